"""What ComfyUI and the page learn about the nodes: sockets, tooltips, help pages, translations."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from scripts.locales import CATEGORY, FILE, as_text, node_definitions
from scripts.server import PACK_NAME

pytestmark = pytest.mark.comfyui

SIGNATURES = {
    "TwinPromptSampler": (
        {"model": "MODEL", "clip": "CLIP", "vae": "VAE", "prompt": "STRING", "image": "IMAGE", "latent": "LATENT"},
        ["IMAGE", "IMAGE", "T2C_ATTENTION", "STRING"],
    ),
    "LoadSegmentationModel": ({"segmentation_model": "COMBO"}, ["T2C_SEGMENTER"]),
    "LoadT2CModel": ({"model": "COMBO", "dtype": "COMBO"}, ["T2C_MODEL", "STRING"]),
    "PhotoTwin": ({"image": "IMAGE", "style_picture": "IMAGE"}, ["IMAGE", "IMAGE"]),
    "RegisterTwin": ({"artistic": "IMAGE", "twin": "IMAGE"}, ["IMAGE", "MASK"]),
    "MotionHints": ({"image": "IMAGE", "hints": "STRING"}, ["T2C_HINTS", "MASK"]),
    "RealImageSegmenter": (
        {
            "image": "IMAGE",
            "hints": "T2C_HINTS",
            "mask": "MASK",
            "attention": "T2C_ATTENTION",
            "segmenter": "T2C_SEGMENTER",
        },
        ["MASK", "IMAGE", "T2C_REGIONS"],
    ),
    "FlowPredictor": (
        {
            "image": "IMAGE",
            "mask": "MASK",
            "hints": "T2C_HINTS",
            "t2c_model": "T2C_MODEL",
            "clip": "CLIP",
            "regions": "T2C_REGIONS",
        },
        ["T2C_FLOW", "IMAGE", "INT"],
    ),
    "EulerianWarp": (
        {"image": "IMAGE", "flow": "T2C_FLOW", "frames": "INT", "t2c_model": "T2C_MODEL"},
        ["T2C_WARP"],
    ),
    "LoopBlend": ({"warp": "T2C_WARP"}, ["IMAGE", "VIDEO", "MASK"]),
    "SaveCinemagraph": ({"warp": "T2C_WARP", "filename_prefix": "STRING"}, ["STRING"]),
    "FlowPreview": ({"image": "IMAGE", "flow": "T2C_FLOW"}, ["IMAGE"]),
    "FlowToImage": ({"flow": "T2C_FLOW", "max_speed": "FLOAT"}, ["IMAGE", "FLOAT"]),
    "ImageToFlow": ({"image": "IMAGE", "max_speed": "FLOAT", "mask": "MASK"}, ["T2C_FLOW"]),
    "CinemagraphMetrics": (
        {"images": "IMAGE", "mask": "MASK", "flow": "T2C_FLOW", "source": "IMAGE"},
        ["STRING", "FLOAT", "FLOAT", "FLOAT", "FLOAT"],
    ),
}


SAVED_INPUTS = json.loads((Path(__file__).parent / "saved_inputs.json").read_text(encoding="utf-8"))
"""By node: the inputs that saved workflows and API prompts know, in their order."""
WIDGETS = {"BOOLEAN", "COMBO", "FLOAT", "INT", "STRING"}


def _inputs(node: dict[str, Any]) -> dict[str, Any]:
    return {**node["input"].get("required", {}), **node["input"].get("optional", {})}


def test_every_node_of_the_pack_is_listed_here(object_info: dict[str, Any]) -> None:
    assert {n for n, node in object_info.items() if node["category"] == CATEGORY} == set(SIGNATURES)


@pytest.mark.parametrize("name", SIGNATURES)
def test_sockets(object_info: dict[str, Any], name: str) -> None:
    node = object_info[name]
    inputs, outputs = SIGNATURES[name]
    assert {i: _inputs(node)[i][0] for i in inputs} == inputs
    assert node["output"] == outputs


@pytest.mark.parametrize("name", SAVED_INPUTS)
def test_saved_workflows_and_prompts_still_fit(object_info: dict[str, Any], name: str) -> None:
    """Workflows hold widget values by position, prompts by id: both stay, and so do types, defaults and ranges."""
    inputs = _inputs(object_info[name])
    for saved in SAVED_INPUTS[name]:
        kind, options = inputs[saved["id"]]
        assert (kind if isinstance(kind, str) else "COMBO") == saved["type"], saved["id"]
        assert options.get("default") == saved.get("default"), saved["id"]
        assert options.get("min", 0) <= saved.get("min", 0) and options.get("max", 0) >= saved.get("max", 0), saved[
            "id"
        ]
        assert set(saved.get("options", ())) <= set(options.get("options", ())), saved["id"]
        assert saved["required"] or saved["id"] in object_info[name]["input"]["optional"], saved["id"]
    # A prompt of before lacks what has come since: ComfyUI refuses it unless that is optional.
    assert set(object_info[name]["input"].get("required", {})) <= {saved["id"] for saved in SAVED_INPUTS[name]}
    widgets = [i for i, (kind, _) in inputs.items() if not isinstance(kind, str) or kind in WIDGETS]
    saved_widgets = [saved["id"] for saved in SAVED_INPUTS[name] if saved["type"] in WIDGETS]
    assert widgets[: len(saved_widgets)] == saved_widgets


@pytest.mark.parametrize("name", SIGNATURES)
def test_everything_is_explained(object_info: dict[str, Any], name: str) -> None:
    node = object_info[name]
    for input_name, spec in _inputs(node).items():
        assert len(spec[1].get("tooltip", "")) > 15, f"{name}.{input_name} has no tooltip"
    assert len(node["output_tooltips"]) == len(node["output"])
    assert all(tooltip and len(tooltip) > 15 for tooltip in node["output_tooltips"])
    assert len(node["description"]) > 40
    assert node["search_aliases"]
    assert " " in node["display_name"]


@pytest.mark.parametrize("name", SIGNATURES)
def test_help_page_is_served_and_names_every_input(server: Any, object_info: dict[str, Any], name: str) -> None:
    address = f"{server.url}/extensions/{PACK_NAME}/docs/{name}.md"
    with urllib.request.urlopen(address, timeout=20) as answer:
        page = answer.read().decode("utf-8")
    node = object_info[name]
    assert page.startswith(f"# {node['display_name']}\n")
    rows = set(re.findall(r"^\| (\S[^|]*?) \|", page, re.MULTILINE))
    missing = {*_inputs(node), *node["output_name"]} - rows
    assert not missing, f"{name}.md does not mention {missing}"


def test_locale_file_matches_the_nodes(object_info: dict[str, Any]) -> None:
    assert FILE.read_text(encoding="utf-8") == as_text(node_definitions(object_info)), (
        "locales/en/nodeDefs.json is out of date: start ComfyUI and run 'python -m scripts.locales URL'"
    )


def test_server_hands_out_the_translations(server: Any, object_info: dict[str, Any]) -> None:
    english = server.client.get("/i18n")["en"]
    assert english["nodeDefs"]["SaveCinemagraph"] == node_definitions(object_info)["SaveCinemagraph"]
    assert {"T2C_ATTENTION", "T2C_FLOW", "T2C_HINTS", "T2C_REGIONS", "T2C_SEGMENTER", "T2C_WARP"} <= set(
        english["dataTypes"]
    )
    assert CATEGORY in english["nodeCategories"]


def test_locale_texts_hold_nothing_the_translator_would_interpret() -> None:
    """The page's message compiler takes braces, @ and | for syntax."""

    def texts(value: Any) -> list[str]:
        return [value] if isinstance(value, str) else [t for v in value.values() for t in texts(v)]

    for file in FILE.parent.glob("*.json"):
        for text in texts(json.loads(file.read_text(encoding="utf-8"))):
            assert not re.search(r"[{}@|]", text), f"{file.name}: {text}"
