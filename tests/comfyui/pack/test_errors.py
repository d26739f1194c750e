"""What a person reads when an input cannot be used: the node, the input, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from scripts.errors import NodeFailed, WorkflowRefused

pytestmark = pytest.mark.comfyui

EMPTY = '{"version": 1}'


def _bad_json(p: Any) -> None:
    text = p.add("PrimitiveStringMultiline", value='{"arrows": [')
    p.add("PreviewAny", source=(p.add("MotionHints", hints=text), 1))


def _batch_for_segmenter(p: Any) -> None:
    two = p.add("RepeatImageBatch", image=p.image, amount=2)
    _show(p, p.add("RealImageSegmenter", image=two, hints=p.hints))


def _batch_for_warp(p: Any) -> None:
    two = p.add("RepeatImageBatch", image=p.image, amount=2)
    p.add("SaveCinemagraph", warp=p.add("EulerianWarp", image=two, flow=p.flow))


def _batch_for_flow(p: Any) -> None:
    two = p.add("RepeatImageBatch", image=p.image, amount=2)
    _show(p, (p.add("FlowPredictor", image=two, mask=p.segmenter, hints=p.hints), 1))


def _no_hints(p: Any) -> None:
    _show(p, p.add("RealImageSegmenter", image=p.image))


def _no_mask(p: Any) -> None:
    _show(p, p.add("RealImageSegmenter", image=p.image, method="mask"))


def _empty_hints(p: Any) -> None:
    _show(p, p.add("RealImageSegmenter", image=p.image, hints=p.add("MotionHints", hints=EMPTY)))


def _black_mask(p: Any) -> None:
    black = p.add("SolidMask", value=0.0, width=128, height=96)
    _show(p, p.add("RealImageSegmenter", image=p.image, method="mask", mask=black))


def _everything_cut(p: Any) -> None:
    white = p.add("SolidMask", value=1.0, width=128, height=96)
    hints = p.add("MotionHints", hints='{"strokes": [{"points": [[0.5, 0.5]], "radius": 1, "mode": "freeze"}]}')
    _show(p, p.add("RealImageSegmenter", image=p.image, method="mask", mask=white, hints=hints))


def _flow_of_an_empty_mask(p: Any) -> None:
    black = p.add("SolidMask", value=0.0, width=128, height=96)
    _show(p, (p.add("FlowPredictor", image=p.image, mask=black, hints=p.hints), 1))


def _mask_of_another_size(p: Any) -> None:
    white = p.add("SolidMask", value=1.0, width=64, height=64)
    _show(p, (p.add("FlowPredictor", image=p.image, mask=white, hints=p.hints), 1))


def _no_direction(p: Any) -> None:
    _show(p, (p.add("FlowPredictor", image=p.image, mask=p.segmenter, prompt="a castle at dawn"), 1))


def _no_arrow(p: Any) -> None:
    hints = p.add("MotionHints", hints='{"pins": [[0.5, 0.5]]}')
    node = p.add("FlowPredictor", image=p.image, mask=p.segmenter, direction="arrows only", hints=hints)
    _show(p, (node, 1))


def _flow_of_another_size(p: Any) -> None:
    small = p.add("ImageScale", image=p.image, width=64, height=48, upscale_method="area", crop="disabled")
    p.add("SaveCinemagraph", warp=p.add("EulerianWarp", image=small, flow=p.flow))


def _preview_of_another_size(p: Any) -> None:
    small = p.add("ImageScale", image=p.image, width=64, height=48, upscale_method="area", crop="disabled")
    p.add("FlowPreview", image=small, flow=p.flow)


def _one_frame(p: Any) -> None:
    one = p.add("PrimitiveInt", value=1)
    p.add("SaveCinemagraph", warp=p.add("EulerianWarp", image=p.image, flow=p.flow, frames=one))


def _nan_picture(p: Any) -> None:
    _show(p, p.add("RealImageSegmenter", image=p.add("T2CTestNaN", image=p.image), hints=p.hints))


def _nan_flow(p: Any) -> None:
    flow = p.add("ImageToFlow", image=p.add("T2CTestNaN", image=p.image))
    p.add("FlowPreview", image=p.image, flow=flow)


def _huge_picture(p: Any) -> None:
    _show(p, p.add("RealImageSegmenter", image=p.add("T2CTestHuge"), hints=p.hints))


def _zero_speed(p: Any) -> None:
    zero = p.add("PrimitiveFloat", value=0.0)
    p.add("FlowPreview", image=p.image, flow=p.add("ImageToFlow", image=p.image, max_speed=zero))


def _clipped_flow(p: Any) -> None:
    _show(p, p.add("FlowToImage", flow=p.flow, max_speed=0.001))


def _outside(p: Any) -> None:
    p.add("SaveCinemagraph", warp=p.warp, filename_prefix="../outside")


def _gif_loops(p: Any) -> None:
    p.add("SaveCinemagraph", warp=p.warp, format="gif", loops=2)


def _metrics_mask(p: Any) -> None:
    white = p.add("SolidMask", value=1.0, width=64, height=64)
    p.add("CinemagraphMetrics", images=p.add("LoopBlend", warp=p.warp, preview=False), mask=white)


def _show(p: Any, source: Any) -> None:
    p.add("PreviewAny", source=source)


CASES: dict[Callable[[Any], None], tuple[str, str, str]] = {
    _bad_json: ("Motion Hints", "hints", "Correct it there"),
    _batch_for_segmenter: ("Real Image Segmenter", "image", "Rebatch Images"),
    _batch_for_warp: ("Eulerian Warp", "image", "Rebatch Images"),
    _batch_for_flow: ("Flow Predictor", "image", "Rebatch Images"),
    _no_hints: ("Real Image Segmenter", "hints", "Connect 'Motion Hints'"),
    _no_mask: ("Real Image Segmenter", "mask", "Connect a mask"),
    _empty_hints: ("Real Image Segmenter", "hints", "Draw an arrow"),
    _black_mask: ("Real Image Segmenter", "mask", "Paint what moves"),
    _everything_cut: ("Real Image Segmenter", "hints", "Erase some"),
    _flow_of_an_empty_mask: ("Flow Predictor", "mask", "paint what moves"),
    _mask_of_another_size: ("Flow Predictor", "mask", "Make it from this image"),
    _no_direction: ("Flow Predictor", "prompt", "Draw an arrow"),
    _no_arrow: ("Flow Predictor", "direction", "custom angle"),
    _flow_of_another_size: ("Eulerian Warp", "flow", "Make the flow from this image"),
    _preview_of_another_size: ("Flow Preview", "image", "96, 128"),
    _one_frame: ("Eulerian Warp", "frames", "between 2 and"),
    _nan_picture: ("Real Image Segmenter", "image", "Look at the node"),
    _huge_picture: ("Real Image Segmenter", "memory", "Make the picture or the batch smaller"),
    _nan_flow: ("Image to Flow", "image", "Look at the node"),
    _zero_speed: ("Image to Flow", "max_speed", "above 0"),
    _clipped_flow: ("Flow to Image", "max_speed", "Set it to"),
    _outside: ("Save Cinemagraph", "filename_prefix", "Use a name such as"),
    _gif_loops: ("Save Cinemagraph", "loops", "Set it to 1"),
    _metrics_mask: ("Cinemagraph Metrics", "mask", "Make it from this image"),
}


@pytest.mark.parametrize("build", CASES, ids=lambda build: build.__name__.strip("_"))
def test_error_names_node_input_and_remedy(
    build: Callable[[Any], None], pipeline: Any, run_graph: Any, written: Any, object_info: dict[str, Any]
) -> None:
    graph = pipeline()
    build(graph)
    display_name, name, remedy = CASES[build]
    before = written()
    with pytest.raises(NodeFailed) as caught:
        run_graph(graph.nodes)
    assert object_info[caught.value.class_type]["display_name"] == display_name
    assert caught.value.message.startswith(f"{display_name}: {name}: ")
    assert remedy in caught.value.message
    assert written() == before


@pytest.mark.parametrize(
    ("class_type", "name", "value", "said"),
    [
        ("MotionHints", "hints", '{"arrows": [{"points": [[0, 0]]}]}', "at least 2 points"),
        ("EulerianWarp", "frames", 1, "smaller than min of 2"),
        ("EulerianWarp", "renderer", "magic", "magic"),
        ("SaveCinemagraph", "format", "avi", "avi"),
        ("ImageToFlow", "max_speed", 0.0, "smaller than min"),
    ],
)
def test_bad_widget_is_refused_before_anything_runs(
    class_type: str, name: str, value: Any, said: str, pipeline: Any, run_graph: Any
) -> None:
    graph = pipeline()
    graph.add("SaveCinemagraph", warp=graph.warp)
    if class_type == "ImageToFlow":
        graph.add("FlowPreview", image=graph.image, flow=graph.add("ImageToFlow", image=graph.image))
    for node in graph.nodes.values():
        if node["class_type"] == class_type:
            node["inputs"][name] = value
    with pytest.raises(WorkflowRefused) as caught:
        run_graph(graph.nodes)
    message = str(caught.value)
    assert f"({class_type})" in message
    assert name in message
    assert said in message


@pytest.mark.parametrize("value", ["../x", 7, None, {"samples": 1}])
@pytest.mark.parametrize(("class_type", "name"), [("SaveCinemagraph", "warp"), ("FlowPreview", "image")])
def test_a_value_in_place_of_a_connection_is_named(
    class_type: str, name: str, value: Any, pipeline: Any, run_graph: Any, object_info: dict[str, Any]
) -> None:
    graph = pipeline()
    given = {"warp": graph.warp} if class_type == "SaveCinemagraph" else {"image": graph.image, "flow": graph.flow}
    graph.add(class_type, **{**given, name: value})
    with pytest.raises(NodeFailed) as caught:
        run_graph(graph.nodes)
    display_name = object_info[class_type]["display_name"]
    assert caught.value.message.startswith(f"{display_name}: {name}: is ") and "Connect" in caught.value.message
