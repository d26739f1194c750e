"""Register Twin in a real server: a twin that is off in, the twin in the artistic picture's frame out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.errors import NodeFailed

pytestmark = pytest.mark.comfyui
WIDTH, HEIGHT = 238, 308


def _add(graph: Any, class_type: str, **inputs: Any) -> tuple[str, int]:
    return graph.add(class_type, **inputs), 0


def _scaled(graph: Any, image: Any, width: int = WIDTH, height: int = HEIGHT) -> tuple[str, int]:
    return _add(graph, "ImageScale", image=image, width=width, height=height, upscale_method="area", crop="disabled")


@pytest.fixture
def pair(graph: Any, picture: str) -> tuple[Any, Any, Any]:
    """The example photograph, a rendering of it in other colours, and an editor's twin: cropped and enlarged."""
    loaded = _add(graph, "LoadImage", image=picture)
    cropped = _add(graph, "ImageCrop", image=loaded, width=760, height=984, x=24, y=10)
    photo = _scaled(graph, loaded)
    return photo, _add(graph, "ImageInvert", image=photo), _scaled(graph, cropped, 264, 342)


def _saved(server: Any, written: Any, run_graph: Any, graph: Any) -> dict[str, list[np.ndarray]]:
    before = written()
    run_graph(graph.nodes)
    found: dict[str, list[np.ndarray]] = {}
    for path in sorted(written() - before):
        found.setdefault(path.name.split("_")[0], []).append(np.array(Image.open(path).convert("RGB"), np.float32))
    return found


def test_a_batch_is_registered(server: Any, graph: Any, pair: Any, written: Any, run_graph: Any) -> None:
    photo, artistic, twin = (_add(graph, "RepeatImageBatch", image=each, amount=2) for each in pair)
    registered = graph.add("RegisterTwin", artistic=artistic, twin=twin)
    mask = _add(graph, "MaskToImage", mask=(registered, 1))
    unregistered = _scaled(graph, twin)
    for name, images in {"photo": photo, "off": unregistered, "on": (registered, 0), "confidence": mask}.items():
        graph.add("SaveImage", images=images, filename_prefix=name)
    found = _saved(server, written, run_graph, graph)
    assert [len(images) for images in found.values()] == [2, 2, 2, 2]
    for photograph, off, on, confidence in zip(*(found[n] for n in ("photo", "off", "on", "confidence")), strict=True):
        assert on.shape == confidence.shape == (HEIGHT, WIDTH, 3)
        inner = np.s_[16:-16, 16:-16]
        assert np.abs(on - photograph)[inner].mean() < 0.4 * np.abs(off - photograph)[inner].mean()
        assert confidence[inner].mean() > 0.7 * 255
        assert confidence[:, :4].max() < 26, "the twin shows nothing there"


def test_mask_and_flow_of_the_registered_twin_move_the_artistic_picture(
    pipeline: Any, run_graph: Any, written: Any, read: Any
) -> None:
    p = pipeline()
    artistic = p.add("ImageInvert", image=p.image)
    realistic = p.add("RegisterTwin", artistic=artistic, twin=p.image)
    for node in p.nodes.values():
        if node["class_type"] in ("RealImageSegmenter", "FlowPredictor"):
            node["inputs"]["image"] = [str(realistic), 0]
    p.add("SaveCinemagraph", warp=p.add("EulerianWarp", image=artistic, flow=p.flow, frames=6), format="png")
    before = written()
    run_graph(p.nodes)
    (folder,) = {path.parent for path in written() - before if path.suffix == ".png"}
    frames, _ = read(folder)
    steps = np.abs(np.diff(frames.astype(np.float32), axis=0))
    assert len(frames) == 6
    assert steps.mean(axis=(1, 2, 3)).min() > 0.2
    assert (steps.max(axis=(0, 3)) == 0).mean() > 0.2, "what does not move must stay"


@pytest.mark.parametrize("case", ["two twins", "NaN", "too small"])
def test_errors_name_node_input_and_remedy(case: str, graph: Any, pair: Any, run_graph: Any) -> None:
    _, artistic, twin = pair
    twin, said = {
        "two twins": (_add(graph, "RepeatImageBatch", image=twin, amount=2), "Get Image from Batch"),
        "NaN": (_add(graph, "T2CTestNaN", image=twin), "Look at the node"),
        "too small": (_scaled(graph, twin, 40, 20), "at least 32 px"),
    }[case]
    graph.add("PreviewImage", images=(graph.add("RegisterTwin", artistic=artistic, twin=twin), 0))
    with pytest.raises(NodeFailed) as caught:
        run_graph(graph.nodes)
    assert caught.value.message.startswith("Register Twin: twin: ")
    assert said in caught.value.message
