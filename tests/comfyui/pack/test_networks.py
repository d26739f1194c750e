"""The paper's networks in a real server, with weights made by the reference's rule."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scripts.errors import NodeFailed
from scripts.paths import REPO
from scripts.workflow_api import load_workflow, to_api
from tests.comfyui.pack.conftest import Graph, Link
from tests.core.published_networks import published_weights

pytestmark = pytest.mark.comfyui


@pytest.fixture(scope="module")
def folder(server: Any) -> Path:
    """models/t2c of the server, with the two small networks."""
    path = server.data / "models" / "t2c"
    path.mkdir(parents=True, exist_ok=True)
    for kind in ("motion_direction", "video"):
        torch.save(published_weights(kind), path / f"{kind}.pth")
    return path


def test_files_are_listed(folder: Path, server: Any) -> None:
    (folder / "notes.txt").write_text("no model")
    options = server.object_info()["LoadT2CModel"]["input"]["required"]["model"][1]["options"]
    assert {"motion_direction.pth", "video.pth"} <= set(options) and "notes.txt" not in options


def test_the_paper_s_workflow_runs(folder: Path, run_graph: Any, object_info: dict[str, Any], read: Any) -> None:
    graph = copy.deepcopy(to_api(load_workflow(REPO / "workflows" / "text_to_cinemagraph_paper.json"), object_info))
    for node in graph.values():
        if node["class_type"] == "CheckpointLoaderSimple":
            inputs = {"family": "sd1", "dtype": "float32", "in_channels": 4, "context": 64}
            node.update(class_type="T2CTestTinyModel", inputs=inputs)
        elif node["class_type"] == "TwinPromptSampler":
            node["inputs"].update(steps=3, width=128, height=96)
        elif node["class_type"] == "EulerianWarp":
            node["inputs"].update(frames=4)
    files = run_graph(graph).files
    assert sorted(f.suffix for f in files) == [".mp4", ".webp"]
    for path in files:
        assert read(path)[0].shape == (4, 96, 128, 3)


def test_still_pixels_and_the_network_s_own(folder: Path, pipeline: Any, run_graph: Any, read: Any) -> None:
    shown = {}
    built = pipeline(width=128, height=96, frames=4)
    model = Link(built.add("LoadT2CModel", model="video.pth"))
    saved = {}
    for still in (False, True):
        inputs = dict(built.nodes[built.warp]["inputs"], t2c_model=[model, 0], network_still=still)
        warp = Link(built.add("EulerianWarp", **inputs))
        saved[still] = built.add("SaveCinemagraph", warp=warp, filename_prefix=f"net/{still}", format="png")
    built.add("SaveImage", images=built.image, filename_prefix="net/source")
    files = run_graph(built.nodes).files
    source = next(f for f in files if f.name.startswith("source"))
    from PIL import Image

    picture = np.asarray(Image.open(source).convert("RGB"))
    for still in (False, True):
        path = next(f for f in files if f.parent.name == str(still) or f.name.startswith(str(still)))
        shown[still] = read(path if path.is_dir() else path.parent)[0] if path.suffix == "" else read(path)[0]
    corner = np.s_[:, :12, :12]  # rock
    # Save Image cuts fractions of a level off, the writer rounds.
    assert np.abs(shown[False][corner].astype(int) - picture[:12, :12]).max() <= 1
    assert np.ptp(shown[False][corner], axis=0).max() == 0
    assert np.abs(shown[True][corner].astype(int) - picture[:12, :12]).max() > 5


def loaded(graph: Any, name: str) -> Link:
    return Link(graph.add("LoadT2CModel", model=name))


def test_motion_reads_the_prompt_and_is_unloaded(
    folder: Path, graph: Any, pipeline: Any, run_graph: Any, server: Any
) -> None:
    """The largest network, 1.3 GB: the prompt changes its field, and its memory comes back."""

    def live() -> float:
        """GB of all tensors of the server's process. (Its resident memory would count what the allocator keeps.)"""
        counter = Graph(server.object_info())
        shown = counter.add("PreviewAny", source=(counter.add("T2CTestLiveTensors", number=next(numbers)), 0))
        return int(run_graph(counter.nodes).outputs[shown]["text"][0]) / 2**30

    def freed() -> float:
        """What is left. The server frees after its next job."""
        server.client.post("/free", {"unload_models": True, "free_memory": True})
        return min(live() for _ in range(3))

    numbers = itertools.count()
    torch.save(published_weights("motion"), folder / "motion.pth")
    published_weights("video")  # only the last one asked for is kept
    before = freed()
    built = pipeline(width=96, height=64)
    model = loaded(built, "motion.pth")
    clip = Link(built.add("T2CTestTinyModel", family="sd1", context=768))
    for number, prompt in enumerate(("a waterfall", "clouds in the sky")):
        inputs = dict(
            built.nodes[built.flow]["inputs"],
            method="network",
            prompt=prompt,
            t2c_model=[model, 0],
            clip=[clip, 1],
            limit="soft",
        )
        flow = Link(built.add("FlowPredictor", **inputs))
        shown = Link(built.add("FlowToImage", flow=flow, max_speed=8.0))
        built.add("SaveImage", images=shown, filename_prefix=f"motion/{number}")
    del built.nodes[built.warp]
    from PIL import Image

    files = sorted(f for f in run_graph(built.nodes).files if f.suffix == ".png")
    first, second = (np.asarray(Image.open(f).convert("RGB")).astype(int) for f in files)
    assert np.abs(first - second).max() > 0
    during = live()
    assert during - before > 1.0, "GB"
    after = freed()
    assert after - before < 0.1, f"{before:.2f} GB before, {during:.2f} with it, {after:.2f} after"
    (folder / "motion.pth").unlink()


def test_a_replaced_file_is_noticed(folder: Path, graph: Any, run_graph: Any) -> None:
    shown = graph.add("PreviewAny", source=(graph.add("LoadT2CModel", model="changed.pth"), 1))
    kinds = []
    for kind in ("video", "motion_direction"):
        torch.save(published_weights(kind), folder / "changed.pth")
        kinds.append(run_graph(graph.nodes).outputs[shown]["text"][0])
    (folder / "changed.pth").unlink()
    assert kinds == ["video", "motion_direction"]


def broken(folder: Path) -> dict[str, str]:
    """Files that cannot be used -> what is said of them."""
    weights = published_weights("video")
    key = "encoder.gblocks.1.ch_a.2.weight_orig"

    class Program:
        def __reduce__(self) -> Any:
            return (print, ("a program ran",))

    torch.save({"x": Program()}, folder / "program.pth")
    torch.save({k: v for k, v in weights.items() if "eblocks.3" not in k}, folder / "part.pth")
    torch.save({"first_stage_model.x": torch.ones(2)}, folder / "foreign.pth")
    torch.save({**weights, key: torch.zeros_like(weights[key])}, folder / "zeros.pth")
    torch.save({**weights, key: weights[key] * torch.nan}, folder / "nan.pth")
    (folder / "cut.pth").write_bytes((folder / "video.pth").read_bytes()[:100_000])
    (folder / "random.pth").write_bytes(np.random.default_rng(0).bytes(50_000))
    return {
        "program.pth": "its program is not run",
        "part.pth": "missing",
        "foreign.pth": "none of the paper's networks",
        "zeros.pth": "only zeros",
        "nan.pth": "NaN",
        "cut.pth": "cut off or no checkpoint",
        "random.pth": "cut off or no checkpoint",
    }


def test_damaged_files_each_have_their_sentence_and_the_server_goes_on(
    folder: Path, graph: Any, run_graph: Any, server: Any
) -> None:
    for name, said in broken(folder).items():
        graph.nodes.clear()
        model = loaded(graph, name)
        graph.add("PreviewAny", source=(model, 1))
        with pytest.raises(NodeFailed) as caught:
            run_graph(graph.nodes)
        assert caught.value.message.startswith("Load T2C Model: model: "), caught.value.message
        assert said in caught.value.message
        (folder / name).unlink()
    assert "a program ran" not in server.log.read_text(errors="replace")
    graph.nodes.clear()
    graph.add("PreviewAny", source=(loaded(graph, "video.pth"), 1))
    assert run_graph(graph.nodes).outputs


@pytest.mark.parametrize(
    ("where", "model", "said"),
    [
        ("flow", None, "t2c_model: is not connected"),
        ("flow", "video.pth", "t2c_model: 'video.pth' is the video network"),
        ("warp", "motion_direction.pth", "t2c_model: 'motion_direction.pth' is the network motion_direction"),
    ],
)
def test_a_network_in_the_wrong_place(
    folder: Path, pipeline: Any, run_graph: Any, where: str, model: str | None, said: str
) -> None:
    built = pipeline()
    inputs = built.nodes[built.flow if where == "flow" else built.warp]["inputs"]
    if where == "flow":
        inputs["method"] = "network"
    if model:
        inputs["t2c_model"] = [loaded(built, model), 0]
    built.add("SaveCinemagraph", warp=built.warp, filename_prefix="wrong/place")
    with pytest.raises(NodeFailed) as caught:
        run_graph(built.nodes)
    assert said in caught.value.message
