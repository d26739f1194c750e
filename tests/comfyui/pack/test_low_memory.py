"""Networks on a card that is nearly full: as with --novram and --lowvram, on a CPU that plays such a card.

Without a card ComfyUI itself does not start with these options: it refuses them together with --cpu.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from scripts.server import ComfyServer
from tests.comfyui.pack.conftest import PICTURE, Graph
from tests.comfyui.pack.test_twins import sampler, saved
from tests.core import tiny_segmenters as tiny
from tests.core.published_networks import published_weights

pytestmark = pytest.mark.comfyui
KINDS = ("motion_direction", "video")


def play(server: ComfyServer, state: str) -> tuple[Graph, str]:
    """A graph and the id of its picture's node, on a server that unloads all models and plays this state."""
    server.client.post("/free", {"unload_models": True, "free_memory": True})
    graph = Graph(server.object_info())
    image = graph.add("LoadImage", image=server.put_input(PICTURE))
    image = graph.add("ImageScale", image=(image, 0), width=64, height=64, upscale_method="area", crop="disabled")
    image = graph.add("T2CTestVramState", image=(image, 0), state=state)
    server.run(graph.nodes, on_progress=None, timeout=120)
    return graph, image


@pytest.fixture(params=["NO_VRAM", "LOW_VRAM"])
def played(request: pytest.FixtureRequest, server: ComfyServer) -> Iterator[tuple[Graph, str]]:
    yield play(server, request.param)
    play(server, "OFF")


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


def test_twins_of_a_model_that_is_loaded_partly(played: tuple[Graph, str], server: ComfyServer) -> None:
    """Its layers are ComfyUI's own, which fetch weights that stayed behind; what is injected is found all the same."""

    def painted(graph: Graph) -> tuple[list[np.ndarray], dict[str, float]]:
        _, twins = sampler(graph)
        for output in (0, 1):
            graph.add("SaveImage", images=(twins, output), filename_prefix=f"low_memory{output}")
        shown = graph.add("PreviewAny", source=(graph.add("T2CTestLoadedShares", after=(twins, 1)), 0))
        run = server.run(graph.nodes, on_progress=None, timeout=120)
        shares = dict(part.split() for part in run.outputs[shown]["text"][0].split(", "))
        return saved(run.files, "low_memory"), {name: float(share) for name, share in shares.items()}

    partly, shares = painted(played[0])
    assert min(shares.values()) < 0.5
    whole, shares = painted(play(server, "OFF")[0])
    assert min(shares.values()) == 1.0
    assert np.abs(np.subtract(partly, whole, dtype=np.float32)).max() <= 1
