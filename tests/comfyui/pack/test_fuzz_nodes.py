"""Whatever comes over the API: a result, ComfyUI's refusal or the node's sentence, in 10 s, and no file elsewhere."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.errors import NodeFailed, WorkflowRefused
from scripts.server import ComfyServer

pytest.importorskip("hypothesis", reason="the extra 'test' brings it")
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import fuzzing

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
CASES = 40
SLOW = {"frames": 12, "loops": 3, "cycles": 4, "detail": 64}
"""Inputs whose largest values take long by right, and the largest that are tried."""
PATHS = (
    "../x",
    "..",
    "/etc/x",
    "C:\\x",
    "a/../../x",
    "%Nobody.image%",
    "\0",
    "a" * 300,
    "~/x",
    "con",
    "./",
    " ",
    "é水",
)


def values_of(spec: list[Any]) -> st.SearchStrategy[Any]:
    """Values for an input as /object_info describes it: allowed ones, those just outside, and of other kinds."""
    kind, options = spec[0], spec[1] if len(spec) > 1 else {}
    anything = fuzzing.json_values() | st.sampled_from(PATHS) | st.just(["1", 0]) | st.just(["1", 7])
    choices = kind if isinstance(kind, list) else options.get("options")
    if choices:
        return st.sampled_from(choices) | anything
    if kind in ("INT", "FLOAT"):
        low, high = options.get("min", -1e9), options.get("max", 1e9)
        near = (low, high, low - 1, high + 1, options.get("default", 0), str(high), None, float("inf"), float("nan"))
        return st.sampled_from(near) | anything
    if kind == "BOOLEAN":
        return st.booleans() | anything
    return anything


@pytest.fixture
def case(server: ComfyServer, pipeline: Callable[..., Any], object_info: dict[str, Any]) -> dict[str, Any]:
    """A small graph with every node that needs no weights."""
    p = pipeline(width=48, height=32, frames=4)
    p.add("FlowPreview", image=p.image, flow=p.flow)
    picture = p.add("FlowToImage", flow=p.flow)
    p.add("PreviewAny", source=p.add("ImageToFlow", image=picture, mask=p.segmenter))
    frames = p.add("LoopBlend", warp=p.warp)
    p.add("PreviewAny", source=frames)
    p.add("CinemagraphMetrics", images=frames, mask=p.segmenter)
    p.add("SaveCinemagraph", warp=p.warp, filename_prefix="fuzz/a")
    return p.nodes


def run(server: ComfyServer, graph: dict[str, Any]) -> None:
    start = time.monotonic()
    try:
        server.client.wait(server.client.queue(graph), timeout=fuzzing.SECONDS + 20)
    except WorkflowRefused:
        pass
    except NodeFailed as error:
        name = server.object_info(error.class_type)[error.class_type]["display_name"]
        assert error.kind == "ValueError" and error.message.startswith(f"{name}: "), (error.kind, error.message)
    assert time.monotonic() - start < fuzzing.SECONDS


def elsewhere(data: Path) -> set[Path]:
    """Files that a node has no business with."""
    own = {data / name for name in ("output", "temp", "user", "input", "custom_nodes")}
    return {p for p in data.rglob("*") if p.is_file() and own.isdisjoint(p.parents) and not p.name.startswith("c.db")}


def test_node_inputs(server: ComfyServer, case: dict[str, Any], object_info: dict[str, Any]) -> None:
    ours = [node for node, entry in case.items() if object_info[entry["class_type"]]["category"].startswith("Text2Cin")]
    assert len(ours) == 10
    places = [
        (node, name, spec)
        for node in ours
        for group in ("required", "optional")
        for name, spec in object_info[case[node]["class_type"]]["input"].get(group, {}).items()
    ]
    server.client.wait(server.client.queue(case))  # what is imported and compiled at first use
    before, outside = elsewhere(server.data), set(server.data.parent.iterdir())

    @settings(max_examples=int(fuzzing.CASES or CASES))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        graph = {node: {**entry, "inputs": dict(entry["inputs"])} for node, entry in case.items()}
        for node, name, spec in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=3)):
            value = data.draw(values_of(spec), label=f"{graph[node]['class_type']}.{name}")
            if isinstance(value, (int, float)) and name in SLOW and value > SLOW[name]:
                value = SLOW[name]
            graph[node]["inputs"][name] = value
        run(server, graph)

    check()
    assert elsewhere(server.data) == before and set(server.data.parent.iterdir()) == outside
    assert [p for p in server.data.rglob("*") if re.search(r"\.[0-9a-f]{8}\.(part|lock|old)", p.name)] == []
    assert "FlowPredictor" in server.object_info("FlowPredictor")
