"""Segmentation models in a real server: found, run, handed on by kinds, refused in words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.errors import NodeFailed
from tests.core import tiny_segmenters as tiny

pytestmark = pytest.mark.comfyui

HEIGHT, WIDTH = 96, 128
HARD = {"feather": 0.0, "fill_holes": 0.0, "min_area": 0.0}


@pytest.fixture(scope="module")
def folder(server: Any) -> Iterator[Path]:
    """models/t2c/segmentation of the server with a tiny SegFormer and a tiny CLIPSeg."""
    path = server.data / "models" / "t2c" / "segmentation"
    for name, make in (("ade", tiny.segformer), ("words", tiny.clipseg)):
        (path / name).mkdir(parents=True)
        make(path / name)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def scene(server: Any, graph: Any, tmp_path: Path) -> str:
    """A node that loads the scene."""
    picture = (tiny.scene(HEIGHT, WIDTH)[0].numpy() * 255).round().astype(np.uint8)
    Image.fromarray(picture).save(tmp_path / "segmentation_scene.png")
    return graph.add("LoadImage", image=server.put_input(tmp_path / "segmentation_scene.png"))


def saved(graph: Any, run_graph: Any, **images: Any) -> dict[str, np.ndarray]:
    """The pictures, uint8 [H, W, 3], by name."""
    for name, image in images.items():
        graph.add("SaveImage", images=image, filename_prefix=f"segmentation/{name}")
    files = run_graph(graph.nodes).files
    newest = {name: max(f for f in files if f.name.startswith(f"{name}_")) for name in images}
    return {name: np.asarray(Image.open(file).convert("RGB")) for name, file in newest.items()}


def test_folders_are_offered(folder: Path, server: Any) -> None:
    (folder / "empty").mkdir()
    inputs = server.object_info()["RealImageSegmenter"]["input"]["required"]
    assert inputs["segmentation_model"][1]["options"] == ["auto", "ade", "words"]
    (folder / "empty").rmdir()


def test_mask_preview_and_kinds_that_move_apart(folder: Path, graph: Any, scene: str, run_graph: Any) -> None:
    found = graph.add(
        "RealImageSegmenter",
        image=(scene, 0),
        method="model",
        segmentation_model="ade",
        vocabulary="sky, water",
        **HARD,
    )
    flow = graph.add(
        "FlowPredictor",
        image=(scene, 0),
        mask=(found, 0),
        regions=(found, 2),
        prompt="clouds drifting slowly to the left",
        follow_streaks=0.0,
    )
    shown = graph.add("FlowToImage", flow=(flow, 0), max_speed=2.0)
    frames = graph.add("PreviewAny", source=(flow, 2))
    mask = graph.add("MaskToImage", mask=(found, 0))
    result = saved(graph, run_graph, mask=(mask, 0), preview=(found, 1), flow=(shown, 0))
    truth = tiny.truth(HEIGHT, WIDTH)
    moving = np.isin(truth, (tiny.SKY, tiny.SEA, tiny.FALL))
    assert ((result["mask"][..., 0] > 127) == moving).mean() > 0.98
    # The two kinds have colours of their own; what stays is darker than it was.
    sky, sea = (np.median(result["preview"][truth == kind], 0) for kind in (tiny.SKY, tiny.SEA))
    assert np.abs(sky - sea).max() > 60
    still = np.median(result["preview"][truth == tiny.ROCK], 0)
    assert (still < 0.7 * 255 * np.array(tiny.COLOURS[tiny.ROCK])).all()
    velocity = (result["flow"][..., :2].astype(float) / 255 - 0.5) * 2 * 2.0 * 512 / WIDTH
    for kind, way in ((tiny.SKY, (-0.2, 0.0)), (tiny.SEA, (0.6, 0.0)), (tiny.FALL, (0.0, 1.5))):
        assert np.median(velocity[truth == kind], 0) == pytest.approx(way, abs=0.12), kind
    assert run_graph(graph.nodes).outputs[frames]["text"][0] == "120"


def test_unloading_models_leaves_the_server_at_work(folder: Path, graph: Any, scene: str, server: Any) -> None:
    found = graph.add("RealImageSegmenter", image=(scene, 0), method="model", segmentation_model="ade")
    graph.add("PreviewImage", images=(found, 1))
    for vocabulary in ("sea", "sea, falls"):
        graph.nodes[found]["inputs"]["vocabulary"] = vocabulary
        assert server.run(graph.nodes, on_progress=None, timeout=60).outputs
        server.client.post("/free", {"unload_models": True, "free_memory": True})


def test_strokes_freeze_and_words_choose(folder: Path, graph: Any, scene: str, run_graph: Any, hints_json: Any) -> None:
    freeze = {"points": [[0.75, 0.9]], "radius": 0.15, "mode": "freeze"}
    move = {"points": [[0.95, 0.1]], "radius": 0.05, "mode": "move"}
    hints = graph.add("MotionHints", image=(scene, 0), hints=hints_json(strokes=[freeze, move]))
    found = graph.add(
        "RealImageSegmenter",
        image=(scene, 0),
        method="model",
        segmentation_model="words",
        vocabulary="waterfall",
        hints=(hints, 0),
        **HARD,
    )
    mask = saved(graph, run_graph, frozen=(graph.add("MaskToImage", mask=(found, 0)), 0))["frozen"][..., 0] > 127
    truth = tiny.truth(HEIGHT, WIDTH) == tiny.FALL
    assert not (mask & ~truth)[20:].any()
    assert mask[round(0.1 * HEIGHT), round(0.95 * WIDTH)], "rock for the model, but drawn to move"
    assert mask[40, 96] and not mask[round(0.9 * HEIGHT), round(0.75 * WIDTH)]


def test_auto_takes_the_first_and_its_kinds_make_a_loop(
    folder: Path, graph: Any, scene: str, run_graph: Any, read: Any
) -> None:
    found = graph.add("RealImageSegmenter", image=(scene, 0), method="model", vocabulary="")
    flow = graph.add("FlowPredictor", image=(scene, 0), mask=(found, 0), regions=(found, 2))
    warp = graph.add("EulerianWarp", image=(scene, 0), flow=(flow, 0), frames=4)
    graph.add("SaveCinemagraph", warp=(warp, 0), filename_prefix="segmentation/loop", format="apng")
    (file,) = run_graph(graph.nodes).files
    shown, _ = read(file)
    assert shown.shape == (4, HEIGHT, WIDTH, 3)
    truth = tiny.truth(HEIGHT, WIDTH)
    assert not np.ptp(shown[:, truth == tiny.ROCK].astype(int), axis=0).any()


def test_attention_refines_what_the_model_found(folder: Path, graph: Any, scene: str, run_graph: Any) -> None:
    tiny_model = graph.add("T2CTestTinyModel", family="sd1", context=64)
    twins = graph.add(
        "TwinPromptSampler",
        model=(tiny_model, 0),
        clip=(tiny_model, 1),
        vae=(tiny_model, 2),
        prompt="a waterfall",
        steps=2,
        width=WIDTH,
        height=HEIGHT,
    )
    inputs = {"image": (scene, 0), "method": "model", "segmentation_model": "ade", "vocabulary": "sky, water", **HARD}
    plain = graph.add("RealImageSegmenter", **inputs)
    refined = graph.add(
        "RealImageSegmenter", **inputs, attention=(twins, 2), refine_with_attention=True, overlap=0.3, clusters=8
    )
    flow = graph.add("FlowPredictor", image=(scene, 0), mask=(refined, 0), regions=(refined, 2))
    made = saved(
        graph,
        run_graph,
        plain=(graph.add("MaskToImage", mask=(plain, 0)), 0),
        refined=(graph.add("MaskToImage", mask=(refined, 0)), 0),
        field=(graph.add("FlowToImage", flow=(flow, 0)), 0),
    )
    assert (made["plain"] != made["refined"]).any()
    # Its kinds fill the mask that came of it, and each moves.
    inside = made["refined"][..., 0] > 127
    assert (made["field"][inside][:, :2] != 128).any(-1).mean() > 0.95
    assert (made["field"][~inside][:, 2] == 0).all()


def refused(graph: Any, scene: str, run_graph: Any, **inputs: Any) -> str:
    found = graph.add("RealImageSegmenter", image=(scene, 0), method="model", **inputs)
    graph.add("PreviewImage", images=(found, 1))
    with pytest.raises(NodeFailed) as caught:
        run_graph(graph.nodes)
    for node in list(graph.nodes)[1:]:
        del graph.nodes[node]
    return caught.value.message


def test_what_is_missing_is_said(folder: Path, graph: Any, scene: str, run_graph: Any) -> None:
    said = refused(graph, scene, run_graph, segmentation_model="not_here")
    assert said.startswith(f"Real Image Segmenter: segmentation_model: 'not_here' is not in {folder}.")
    for part in (str(folder / "not_here"), "config.json", "model.safetensors", "preprocessor_config.json"):
        assert part in said
    hidden = folder.rename(folder.with_name("hidden"))
    try:
        said = refused(graph, scene, run_graph, segmentation_model="auto")
    finally:
        hidden.rename(folder)
    assert f"segmentation_model: is not chosen: there is no model in {folder}." in said
    (folder / "half").mkdir()
    assert "'half' has no config.json" in refused(graph, scene, run_graph, segmentation_model="half")
    (folder / "half").rmdir()


def test_bad_folders_and_words_are_refused_and_the_server_goes_on(
    folder: Path, graph: Any, scene: str, run_graph: Any
) -> None:
    bad = Path(shutil.copytree(folder / "ade", folder / "bad"))
    config = json.loads((bad / "config.json").read_text())
    (bad / "config.json").write_text(json.dumps({**config, "id2label": {"0": "sky", "1": "sea"}, "label2id": None}))
    assert "names 2 classes in config.json, its weights were trained for 6" in refused(
        graph, scene, run_graph, segmentation_model="bad"
    )
    (bad / "config.json").write_text(json.dumps(config))
    (bad / "model.safetensors").write_bytes(b"no weights at all")
    assert "damaged or cut off" in refused(graph, scene, run_graph, segmentation_model="bad")
    shutil.rmtree(bad)
    said = refused(graph, scene, run_graph, segmentation_model="ade", vocabulary="smoke")
    assert "vocabulary: (smoke) means none of the model's 6 classes" in said and "'waterfall, falls'" in said
    said = refused(graph, scene, run_graph, segmentation_model="ade", vocabulary="person", threshold=0.6)
    assert "threshold: of 0.6 leaves nothing" in said and "The model sees: rock, stone 0.3" in said
    found = graph.add("RealImageSegmenter", image=(scene, 0), method="model", segmentation_model="ade")
    graph.add("PreviewImage", images=(found, 1))
    assert run_graph(graph.nodes).outputs


def test_a_model_that_is_not_there_stops_no_other_method(folder: Path, graph: Any, scene: str, run_graph: Any) -> None:
    white = graph.add("SolidMask", value=1.0, width=WIDTH, height=HEIGHT)
    found = graph.add(
        "RealImageSegmenter", image=(scene, 0), method="mask", mask=(white, 0), segmentation_model="from elsewhere"
    )
    flow = graph.add(
        "FlowPredictor",
        image=(scene, 0),
        mask=(found, 0),
        regions=(found, 2),
        prompt="a waterfall, a loop of 90 frames",
    )
    frames = graph.add("PreviewAny", source=(flow, 2))
    assert run_graph(graph.nodes).outputs[frames]["text"][0] == "90"


def loads(server: Any) -> int:
    """How often a SegFormer has been put on its device so far."""
    return server.log.read_text(errors="replace").count("Requested to load SegmentationModel")


def test_the_loader_and_the_older_widget_find_the_same(folder: Path, graph: Any, scene: str, run_graph: Any) -> None:
    inputs = {"image": (scene, 0), "method": "model", "vocabulary": "sea", **HARD}
    loader = graph.add("LoadSegmentationModel", segmentation_model="ade")
    linked = graph.add("RealImageSegmenter", **inputs, segmentation_model="words", segmenter=(loader, 0))
    chosen = graph.add("RealImageSegmenter", **inputs, segmentation_model="ade")
    masks = {
        name: (graph.add("MaskToImage", mask=(node, 0)), 0) for name, node in (("linked", linked), ("chosen", chosen))
    }
    made = saved(graph, run_graph, **masks)
    assert (made["linked"] == made["chosen"]).all() and made["linked"].any()


@pytest.mark.parametrize("route", ["loader", "widget"])
def test_a_model_runs_once_until_a_file_of_its_folder_is_replaced(
    folder: Path, graph: Any, scene: str, run_graph: Any, server: Any, route: str
) -> None:
    inputs: dict[str, Any] = {"image": (scene, 0), "method": "model", "vocabulary": f"sea, {route}"}
    if route == "loader":
        inputs["segmenter"] = (graph.add("LoadSegmentationModel", segmentation_model="ade"), 0)
    found = graph.add("RealImageSegmenter", **inputs, segmentation_model="ade")
    graph.add("PreviewImage", images=(found, 1))
    run_graph(graph.nodes)
    before = loads(server)
    for threshold in (0.45, 0.4):
        graph.nodes[found]["inputs"]["threshold"] = threshold
        run_graph(graph.nodes)
    assert loads(server) == before, "other thresholds need no other scores"
    file = folder / "ade" / "model.safetensors"
    file.write_bytes(file.read_bytes())
    run_graph(graph.nodes)
    assert loads(server) == before + 1
