"""The example workflows: complete, made of core nodes and ours alone, and they run."""

from __future__ import annotations

import copy
import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.paths import REPO
from scripts.server import PACK_NAME
from scripts.workflow_api import load_workflow, to_api

WORKFLOWS = sorted((REPO / "workflows").glob("*.json"))
DATA = REPO / "tests" / "data"
EDITOR_ONLY = {"MarkdownNote", "Note", "Reroute", "PrimitiveNode"}
# The stream: the left upper corner is rock, the lower middle water.
STREAM = (np.s_[:150, :150], np.s_[850:1000, 250:550], 4.0)
# name: (size, what stays still, what moves, by how much at least from frame to frame); clouds are slow and smooth
RUN = {
    "mask_from_other_nodes": ((666, 1280), np.s_[500:, :], np.s_[80:250, 120:400], 1.0),
    "photo_to_painted_cinemagraph": ((1024, 792), *STREAM),
    "picture_to_cinemagraph": ((1024, 792), *STREAM),
    "upscale_then_loop": ((1280, 990), np.s_[:180, :180], np.s_[1060:1250, 310:680], 4.0),
}


def test_there_are_workflows() -> None:
    names = (
        "mask_from_other_nodes",
        "painting_to_cinemagraph",
        "photo_to_painted_cinemagraph",
        "picture_to_cinemagraph",
        "text_to_cinemagraph",
        "text_to_cinemagraph_paper",
        "upscale_then_loop",
    )
    assert {w.stem for w in WORKFLOWS} == set(names)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda f: f.stem)
def test_nodes_are_core_or_ours(file: Path, object_info: dict[str, Any]) -> None:
    modules = {
        n["type"]: object_info[n["type"]]["python_module"]
        for n in load_workflow(file)["nodes"]
        if n["type"] not in EDITOR_ONLY
    }
    for name, module in modules.items():
        assert module in ("nodes", f"custom_nodes.{PACK_NAME}") or module.startswith("comfy_extras."), (name, module)
    assert file.with_suffix(".jpg").stat().st_size < 200_000


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda f: f.stem)
def test_converter_agrees_with_the_page(file: Path, object_info: dict[str, Any]) -> None:
    """tests/data/*.api.json is what ComfyUI's own page made of the workflows (app.graphToPrompt)."""
    made = to_api(load_workflow(file), object_info)
    page = json.loads((DATA / f"{file.stem}.api.json").read_text(encoding="utf-8"))

    def essential(graph: dict[str, Any]) -> dict[str, Any]:
        return {k: (node["class_type"], node["inputs"]) for k, node in graph.items()}

    assert essential(made) == essential(page)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda f: f.stem)
def test_it_is_offered_as_a_template(file: Path, server: Any) -> None:
    offered = server.client.get("/workflow_templates")
    assert file.stem in offered[PACK_NAME]
    with urllib.request.urlopen(f"{server.url}/api/workflow_templates/{PACK_NAME}/{file.name}", timeout=20) as answer:
        assert json.load(answer) == load_workflow(file)


def put_pictures(graph: dict[str, Any], server: Any) -> None:
    """Copy what Load Image names from the pack's pictures, as the notes say."""
    for node in graph.values():
        if node["class_type"] == "LoadImage":
            server.put_input(REPO / "assets" / node["inputs"]["image"])


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN)
def test_it_runs(name: str, server: Any, run_graph: Any, object_info: dict[str, Any], read: Any) -> None:
    graph = copy.deepcopy(to_api(load_workflow(REPO / "workflows" / f"{name}.json"), object_info))
    put_pictures(graph, server)
    frames, (size, still, moving, least) = 12, RUN[name]
    for node in graph.values():
        if node["class_type"] == "EulerianWarp":
            node["inputs"]["frames"] = frames
        elif node["class_type"] == "ImageScaleToMaxDimension":
            assert node["inputs"]["largest_size"] == 3840
            node["inputs"]["largest_size"] = 1280
    files = run_graph(graph).files
    assert sorted(f.suffix for f in files) == ([".mp4"] if name == "upscale_then_loop" else [".mp4", ".webp"])
    for path in files:
        shown, rate = read(path)
        assert shown.shape == (frames, *size, 3)
        assert rate == pytest.approx(30, rel=0.02)
        steps = np.abs(np.diff(shown.astype(int), axis=0)).mean(axis=(0, 3))
        assert steps[still].mean() < 0.5
        assert steps[moving].mean() > least


def use_tiny_network(graph: dict[str, Any], family: str) -> None:
    """A tiny network of the true topology in the place of the checkpoint, whose outputs are the same."""
    for node in graph.values():
        if node["class_type"] == "CheckpointLoaderSimple":
            node.update(
                class_type="T2CTestTinyModel",
                inputs={"family": family, "dtype": "float32", "in_channels": 4, "context": 64},
            )


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_the_text_workflow_runs(family: str, run_graph: Any, object_info: dict[str, Any], read: Any) -> None:
    graph = copy.deepcopy(to_api(load_workflow(REPO / "workflows" / "text_to_cinemagraph.json"), object_info))
    use_tiny_network(graph, family)
    for node in graph.values():
        if node["class_type"] == "TwinPromptSampler":
            node["inputs"].update(steps=3, width=192, height=128)
        elif node["class_type"] == "EulerianWarp":
            node["inputs"].update(frames=8)
    files = run_graph(graph).files
    assert sorted(f.suffix for f in files) == [".mp4", ".webp"]
    for path in files:
        shown, _ = read(path)
        assert shown.shape == (8, 128, 192, 3)
        assert np.abs(np.diff(shown.astype(int), axis=0)).max() > 8


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_the_painting_workflow_runs(
    family: str, server: Any, run_graph: Any, object_info: dict[str, Any], read: Any
) -> None:
    """The tiny network again. The painting comes alive at its own size, whatever size the twin is made at."""
    graph = copy.deepcopy(to_api(load_workflow(REPO / "workflows" / "painting_to_cinemagraph.json"), object_info))
    put_pictures(graph, server)
    use_tiny_network(graph, family)
    for node in graph.values():
        if node["class_type"] == "TwinPromptSampler":
            node["inputs"].update(steps=3)
        elif node["class_type"] == "ImageScaleToTotalPixels":
            node["inputs"].update(megapixels=0.03)
        elif node["class_type"] == "EulerianWarp":
            node["inputs"].update(frames=8)
    painting = np.array(Image.open(REPO / "assets" / "starry_night.jpg").convert("RGB")).astype(int)
    files = run_graph(graph).files
    assert sorted(f.suffix for f in files) == [".mp4", ".webp"]
    for path in files:
        shown, _ = read(path)
        assert shown.shape == (8, *painting.shape)
        assert np.abs(shown[0] - painting).mean() < 12, "it begins with the painting"
        steps = np.abs(np.diff(shown.astype(int), axis=0)).mean(axis=(0, 3))
        assert steps[480:].mean() < 0.5, "the village stays"
        assert steps[100:250, 270:450].mean() > 4.0, "the whirls turn"


@pytest.mark.slow
def test_saving_full_hd_does_not_grow_with_the_length(
    pipeline: Any, server: Any, run_graph: Any, object_info: dict[str, Any]
) -> None:
    status = Path(f"/proc/{server.process.pid}/status")
    if not status.exists():
        pytest.skip("needs /proc to see another process's memory")

    def peak() -> float:
        line = next(row for row in status.read_text().splitlines() if row.startswith("VmHWM"))
        return int(line.split()[1]) / 1024

    peaks = [peak()]
    graph = pipeline(width=1920, height=1080)
    graph.add("SaveCinemagraph", warp=graph.warp, filename_prefix="memory/loop")
    for frames in (40, 120):
        graph.nodes[graph.warp]["inputs"]["frames"] = frames
        run_graph(graph.nodes)
        peaks.append(peak())
    before, short, long = peaks
    assert long - before < 1536, f"{peaks} MiB"
    # 80 more frames held as floats would take 1900 MiB, as bytes 475 MiB.
    assert long - short < 200, f"{peaks} MiB"
