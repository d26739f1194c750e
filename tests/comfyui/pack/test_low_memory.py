"""Networks on a card that is nearly full: as with --novram and --lowvram, on a CPU that plays such a card."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
import torch

from scripts.server import ComfyServer
from tests.comfyui.pack.conftest import PICTURE, Graph
from tests.core import tiny_segmenters as tiny
from tests.core.published_networks import published_weights

pytestmark = pytest.mark.comfyui
KINDS = ("motion_direction", "video")


@pytest.fixture(params=["NO_VRAM", "LOW_VRAM"])
def played(request: pytest.FixtureRequest, server: ComfyServer) -> Iterator[tuple[Graph, str]]:
    """A graph and the id of its picture's node, on a server that has unloaded all models and plays this state."""

    def play(state: str) -> tuple[Graph, str]:
        graph = Graph(server.object_info())
        image = graph.add("LoadImage", image=server.put_input(PICTURE))
        image = graph.add("ImageScale", image=(image, 0), width=64, height=64, upscale_method="area", crop="disabled")
        image = graph.add("T2CTestVramState", image=(image, 0), state=state)
        server.run(graph.nodes, on_progress=None, timeout=120)
        return graph, image

    server.client.post("/free", {"unload_models": True, "free_memory": True})
    yield play(request.param)
    play("OFF")


@pytest.fixture
def models(server: ComfyServer) -> Iterator[None]:
    """A flow network, a video network and a tiny SegFormer of their own among the server's files."""
    folder = server.data / "models" / "t2c"
    segmenter, files = folder / "segmentation" / "whole", [folder / f"whole_{kind}.pth" for kind in KINDS]
    segmenter.mkdir(parents=True)
    tiny.segformer(segmenter)
    for kind, file in zip(KINDS, files, strict=True):
        torch.save(published_weights(kind), file)
    yield
    shutil.rmtree(segmenter)
    for file in files:
        file.unlink()


def test_networks_are_loaded_whole(models: None, played: tuple[Graph, str], server: ComfyServer) -> None:
    graph, image = played[0], (played[1], 0)
    segmenter = graph.add("LoadSegmentationModel", segmentation_model="whole")
    inputs = {"image": image, "method": "model", "vocabulary": "sky, sea, rock, waterfall", "threshold": 0.05}
    mask = graph.add("RealImageSegmenter", **inputs, segmenter=(segmenter, 0))
    motion, video = (graph.add("LoadT2CModel", model=f"whole_{kind}.pth") for kind in KINDS)
    chosen = {"method": "network", "direction": "custom angle", "t2c_model": (motion, 0)}
    flow = graph.add("FlowPredictor", image=image, mask=(mask, 0), **chosen)
    warp = graph.add("EulerianWarp", image=image, flow=(flow, 0), frames=2, t2c_model=(video, 0))
    frames = graph.add("LoopBlend", warp=(warp, 0))
    shares = graph.add("T2CTestLoadedShares", after=(frames, 0))
    shown = graph.add("PreviewAny", source=(shares, 0))
    text = server.run(graph.nodes, on_progress=None, timeout=120).outputs[shown]["text"][0]
    shares = dict(part.split() for part in text.split(", "))
    assert shares == {"SegmentationModel": "1.00", "MotionDirection": "1.00", "Video": "1.00"}
