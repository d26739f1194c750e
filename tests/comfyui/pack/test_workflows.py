"""The example workflows: complete, made of core nodes and ours alone, and they run."""

from __future__ import annotations

import copy
import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from scripts.paths import REPO
from scripts.server import PACK_NAME
from scripts.workflow_api import load_workflow, to_api

WORKFLOWS = sorted((REPO / "workflows").glob("*.json"))
DATA = REPO / "tests" / "data"
EARLIER = sorted(file for file in (DATA / "workflows_0_1").glob("*.json") if not file.name.endswith(".api.json"))
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
        "painting_to_cinemagraph_flux",
        "photo_to_painted_cinemagraph",
        "picture_to_cinemagraph",
        "text_to_cinemagraph",
        "text_to_cinemagraph_flux",
        "text_to_cinemagraph_paper",
        "text_to_cinemagraph_sdxl",
        "text_to_cinemagraph_z_image",
        "twin_by_edit_model",
        "upscale_then_loop",
        "words_to_cinemagraph_sam3",
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


@pytest.mark.parametrize("file", WORKFLOWS + EARLIER, ids=lambda f: f"{f.parent.name}/{f.stem}")
def test_converter_agrees_with_the_page(file: Path, object_info: dict[str, Any]) -> None:
    """*.api.json is what ComfyUI's own page made of the workflows (app.graphToPrompt)."""
    made = to_api(load_workflow(file), object_info)
    folder = DATA if file in WORKFLOWS else file.parent
    page = json.loads((folder / f"{file.stem}.api.json").read_text(encoding="utf-8"))

    def essential(graph: dict[str, Any]) -> dict[str, Any]:
        return {k: (node["class_type"], node["inputs"]) for k, node in graph.items()}

    assert essential(made) == essential(page)


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda f: f.stem)
def test_it_is_offered_as_a_template(file: Path, server: Any) -> None:
    offered = server.client.get("/workflow_templates")
    assert file.stem in offered[PACK_NAME]
    with urllib.request.urlopen(f"{server.url}/api/workflow_templates/{PACK_NAME}/{file.name}", timeout=20) as answer:
        assert json.load(answer) == load_workflow(file)


def earlier_prompt(name: str, server: Any) -> dict[str, Any]:
    """An API prompt of before, and the picture that its notes said to copy."""
    graph = json.loads((DATA / "workflows_0_1" / f"{name}.api.json").read_text(encoding="utf-8"))
    for node in graph.values():
        if node["class_type"] == "LoadImage":
            server.put_input(REPO / "assets" / node["inputs"]["image"])
    return graph


@pytest.mark.slow
@pytest.mark.parametrize("name", [*RUN, "0.1/picture_to_cinemagraph"])
def test_it_runs(name: str, server: Any, run_graph: Any, object_info: dict[str, Any], read: Any) -> None:
    """As it opens, with nothing copied: only the loop is made shorter and the 4K picture smaller."""
    earlier, _, name = name.rpartition("/")
    file = REPO / "workflows" / f"{name}.json"
    graph = earlier_prompt(name, server) if earlier else copy.deepcopy(to_api(load_workflow(file), object_info))
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
    """A tiny network of the true topology in the place of the checkpoint, or of the files of a transformer."""
    transformer = family[0].isupper()
    inputs = {"family": family} | ({} if transformer else {"dtype": "float32", "in_channels": 4, "context": 64})
    loader = next(i for i, node in graph.items() if node["class_type"] in ("CheckpointLoaderSimple", "UNETLoader"))
    graph[loader].update(class_type="T2CTestTinyTransformer" if transformer else "T2CTestTinyModel", inputs=inputs)
    for node in graph.values():
        if node["class_type"] == "TwinPromptSampler":
            node["inputs"].update(model=[loader, 0], clip=[loader, 1], vae=[loader, 2])
    for other in [i for i, n in graph.items() if n["class_type"] in ("CLIPLoader", "DualCLIPLoader", "VAELoader")]:
        del graph[other]


TEXT_WORKFLOWS = [("", "sd1"), ("_sdxl", "sdxl"), ("_flux", "Flux"), ("_z_image", "Z-Image")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "family"), TEXT_WORKFLOWS)
def test_the_text_workflow_runs(name: str, family: str, run_graph: Any, object_info: Any, read: Any) -> None:
    graph = copy.deepcopy(to_api(load_workflow(REPO / "workflows" / f"text_to_cinemagraph{name}.json"), object_info))
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
@pytest.mark.parametrize(("name", "family"), [("", "sd1"), ("", "sdxl"), ("_flux", "Flux")])
def test_the_painting_workflow_runs(name: str, family: str, run_graph: Any, object_info: Any, read: Any) -> None:
    """The tiny network again. The painting comes alive at its own size, whatever size the twin is made at."""
    graph = copy.deepcopy(
        to_api(load_workflow(REPO / "workflows" / f"painting_to_cinemagraph{name}.json"), object_info)
    )
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
def test_the_edit_model_workflow_runs(
    tmp_path: Path, server: Any, run_graph: Any, object_info: dict[str, Any], read: Any
) -> None:
    """A cropped rendering of the painting in the place of what Flux Kontext would paint, whose weights are not here."""
    graph = copy.deepcopy(to_api(load_workflow(REPO / "workflows" / "twin_by_edit_model.json"), object_info))
    painting = Image.open(REPO / "assets" / "starry_night.jpg").convert("RGB")
    width, height = painting.size
    ImageOps.solarize(painting.crop((6, 3, width - 2, height - 5)), 200).save(tmp_path / "twin.png")
    (decode,) = (key for key, node in graph.items() if node["class_type"] == "VAEDecode")
    loaders = ("UNETLoader", "DualCLIPLoader", "VAELoader", "CLIPTextEncode", "KSampler", "VAEEncode", "FluxGuidance")
    loaders += ("ReferenceLatent", "ConditioningZeroOut", "FluxKontextImageScale")
    graph = {key: node for key, node in graph.items() if node["class_type"] not in loaders}
    graph[decode] = {"class_type": "LoadImage", "inputs": {"image": server.put_input(tmp_path / "twin.png")}}
    for node in graph.values():
        if node["class_type"] == "EulerianWarp":
            node["inputs"].update(frames=8)
    (path,) = run_graph(graph).files[-1:]
    shown, _ = read(path)
    steps = np.abs(np.diff(shown.astype(int), axis=0)).mean(axis=(0, 3))
    assert shown.shape == (8, height, width, 3)
    assert np.abs(shown[0] - np.array(painting).astype(int)).mean() < 12, "it begins with the painting"
    assert steps[480:].mean() < 0.5, "the village stays"
    assert steps[100:250, 270:450].mean() > 4.0, "the whirls turn"


def test_several_masks_of_core_s_segmentation_all_move(
    tmp_path: Path, server: Any, run_graph: Any, object_info: dict[str, Any], read: Any
) -> None:
    """The graph with SAM 3, two masks in the place of what its nodes find: its weights are not at hand."""
    file = REPO / "workflows" / "words_to_cinemagraph_sam3.json"
    graph = copy.deepcopy(to_api(load_workflow(file), object_info))
    (found,) = (key for key, node in graph.items() if node["class_type"] == "SAM3_Detect")
    graph = {key: node for key, node in graph.items() if not node["class_type"].startswith(("Checkpoint", "CLIPText"))}
    for number, rows in enumerate((slice(100, 300), slice(700, 1000))):
        pixels = np.zeros((1024, 792), np.uint8)
        pixels[rows, 200:600] = 255
        Image.fromarray(pixels).save(tmp_path / f"mask{number}.png")
        name = server.put_input(tmp_path / f"mask{number}.png")
        graph[f"load{number}"] = {"class_type": "LoadImage", "inputs": {"image": name}}
    both = {"image1": ["load0", 0], "image2": ["load1", 0]}
    graph["both"] = {"class_type": "ImageBatch", "inputs": both}
    graph[found] = {"class_type": "ImageToMask", "inputs": {"image": ["both", 0], "channel": "red"}}
    for node in graph.values():
        if node["class_type"] == "EulerianWarp":
            node["inputs"]["frames"] = 12
    (path,) = run_graph(graph).files[-1:]
    shown, _ = read(path)
    steps = np.abs(np.diff(shown.astype(int), axis=0)).mean(axis=(0, 3))
    assert steps[120:280, 230:570].mean() > 1.0 and steps[720:980, 230:570].mean() > 1.0
    assert steps[340:660].mean() < 0.5


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
    for frames in (20, 60):
        graph.nodes[graph.warp]["inputs"]["frames"] = frames
        run_graph(graph.nodes)
        peaks.append(peak())
    before, short, long = peaks
    assert long - before < 1536, f"{peaks} MiB"
    # 40 more frames held as floats would take 950 MiB, as bytes 237 MiB.
    assert long - short < 200, f"{peaks} MiB"
