"""What the server tells the editor, and what of the pack's folder it does not serve."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

import pytest

from scripts.server import PACK_NAME, ComfyServer
from t2c_core import hints
from t2c_core.errors import InputError
from t2c_core.preview import LONGEST, read_settings


@pytest.fixture
def settings(server: ComfyServer) -> dict[str, Any]:
    return server.client.get("/text2cinemagraph/settings")


def test_limits_of_hints_are_those_of_the_reader(settings: dict[str, Any]) -> None:
    told = settings["hints"]
    assert (told["version"], told["max_items"]) == (hints.VERSION, hints.MAX_ITEMS)
    point = f"[{told['coordinate']['max']}, {told['coordinate']['min']}]"
    for mode in told["modes"]:
        radius, feather = told["radius"]["max"], told["feather"]["max"]
        fields = f'"points": [{point}], "mode": "{mode}", "radius": %s, "feather": {feather}'
        hints.parse_hints('{"strokes": [{' + fields % radius + "}]}")
        with pytest.raises(InputError, match="radius"):
            hints.parse_hints('{"strokes": [{' + fields % (radius + 0.1) + "}]}")


def test_the_defaults_are_those_of_the_nodes(settings: dict[str, Any], object_info: dict[str, Any]) -> None:
    widgets = {name: object_info[name]["input"]["required"] for name in ("EulerianWarp", "SaveCinemagraph")}
    assert settings["loop"] == {
        "frames": widgets["EulerianWarp"]["frames"][1]["default"],
        "speed": widgets["EulerianWarp"]["speed"][1]["default"],
        "frame_rate": widgets["SaveCinemagraph"]["frame_rate"][1]["default"],
    }


@pytest.mark.parametrize(("group", "node"), [("flow", "FlowPredictor"), ("mask", "RealImageSegmenter")])
def test_the_inputs_that_a_preview_takes_are_widgets_with_values_it_accepts(
    settings: dict[str, Any], object_info: dict[str, Any], group: str, node: str
) -> None:
    inputs = object_info[node]["input"]
    widgets = {**inputs["required"], **inputs.get("optional", {})}
    assert len(settings["preview"][group]) >= 3
    read_settings({name: widgets[name][1]["default"] for name in settings["preview"][group]})
    assert settings["preview"]["max_side"] == LONGEST


@pytest.mark.parametrize("name", ["package.json", "package-lock.json", "eslint.config.js", "tsconfig.json", ".npmrc"])
def test_nothing_beside_the_page_is_served(server: ComfyServer, name: str) -> None:
    extensions = server.client.get("/extensions")
    assert not [path for path in extensions if name in path or "node_modules" in path]
    for path in (name, f"../{name}", f"%2e%2e/{name}", f"..%2f{name}"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{server.url}/extensions/{PACK_NAME}/{path}")
        assert caught.value.code in (403, 404)
