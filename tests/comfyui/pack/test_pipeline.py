"""The whole graph on a real server, and the files that come out of it."""

from __future__ import annotations

import asyncio
import json
import struct
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from PIL import Image

from scripts.errors import RunInterrupted

pytestmark = pytest.mark.comfyui

WIDTH, HEIGHT, FRAMES = 128, 96, 6
# How far a decoded still pixel may lie from the source, in 8 bit levels: (largest, mean).
STILL = {
    "mp4": (40, 3.0),
    "mp4-hq": (8, 1.5),
    "webm": (50, 3.5),
    "gif": (160, 8.0),
    "webp": (60, 4.0),
    "apng": (1, 0.7),
    "png": (1, 0.7),
}


def _reference(pipeline: Any, server: Any, run: Callable[..., Any]) -> tuple[np.ndarray, np.ndarray]:
    """The scaled picture uint8 [H, W, 3] and where nothing may move, bool [H, W]."""
    source = pipeline.add("SaveImage", images=pipeline.image, filename_prefix="reference/source")
    as_image = pipeline.add("MaskToImage", mask=pipeline.segmenter)
    mask = pipeline.add("SaveImage", images=as_image, filename_prefix="reference/mask")
    outputs = run(pipeline.nodes).outputs

    def saved(node: str) -> np.ndarray:
        entry = outputs[node]["images"][0]
        return np.array(Image.open(server.data / "output" / entry["subfolder"] / entry["filename"]).convert("RGB"))

    return saved(source), saved(mask)[..., 0] == 0


def _file(result: Any, node: str, server: Any) -> Path:
    shown = result.outputs[node]
    entry = (shown.get("folders") or shown["images"])[0]
    assert entry["type"] == "output"
    return server.data / "output" / entry["subfolder"] / entry["filename"]


@pytest.mark.parametrize("name", STILL)
def test_every_format(name: str, pipeline: Any, server: Any, run_graph: Any, read: Any) -> None:
    graph = pipeline()
    saver = graph.add(
        "SaveCinemagraph", warp=graph.warp, filename_prefix=f"formats/{name}", format=name, frame_rate=25.0
    )
    path = _file(run_graph(graph.nodes), saver, server)
    source, still = _reference(graph, server, run_graph)

    frames, rate = read(path)
    assert frames.shape == (FRAMES, HEIGHT, WIDTH, 3)
    assert rate == (None if name == "png" else pytest.approx(25.0))
    assert 0.02 < (~still).mean() < 0.9
    largest, mean = STILL[name]
    # The border between moving and still shares its blocks in the lossy formats; a gif has 256 colours; where a level
    # lies between two, the reference from Save Image is cut off while ours are rounded to the nearest.
    error = np.abs(frames.astype(int) - source)[:, still]
    assert error.max() <= largest
    assert error.mean() <= mean
    if name in ("gif", "apng", "png"):
        assert (frames[:, still] == frames[0, still]).all()
    steps = np.abs(np.diff(frames.astype(int), axis=0))[:, ~still].mean(axis=(1, 2))
    assert (steps > 1.0).all(), "the fluid stands still"


def test_two_files_get_two_numbers(pipeline: Any, server: Any, run_graph: Any) -> None:
    graph = pipeline()
    first = graph.add("SaveCinemagraph", warp=graph.warp, filename_prefix="two/%width%x%height%")
    one = _file(run_graph(graph.nodes), first, server)
    second = graph.add("SaveCinemagraph", warp=graph.warp, filename_prefix="two/%width%x%height%", format="webm")
    two = _file(run_graph(graph.nodes), second, server)
    assert [one.name, two.name] == [f"{WIDTH}x{HEIGHT}_00001_.mp4", f"{WIDTH}x{HEIGHT}_00002_.webm"]
    assert one.parent.name == "two"


def test_loops_repeat_in_a_video(pipeline: Any, server: Any, run_graph: Any, read: Any) -> None:
    graph = pipeline()
    saver = graph.add("SaveCinemagraph", warp=graph.warp, loops=3, format="mp4-hq", quality=100)
    frames, _ = read(_file(run_graph(graph.nodes), saver, server))
    assert len(frames) == 3 * FRAMES
    once, again = frames[:FRAMES].astype(int), frames[FRAMES : 2 * FRAMES].astype(int)
    same = np.abs(once - again).mean()
    other = np.abs(once - np.roll(again, 1, axis=0)).mean()
    assert same < 0.5 * other


@pytest.mark.parametrize("name", ["mp4", "webm", "gif", "webp", "apng", "png"])
def test_workflow_is_kept_in_the_file(name: str, pipeline: Any, server: Any, run_graph: Any) -> None:
    graph = pipeline(frames=2)
    saver = graph.add("SaveCinemagraph", warp=graph.warp, format=name, filename_prefix=f"metadata/{name}")
    path = _file(run_graph(graph.nodes), saver, server)
    data = b"".join(p.read_bytes() for p in ([path] if path.is_file() else sorted(path.iterdir())))
    needle = json.dumps({"class_type": "SaveCinemagraph"})[1:-1].encode()
    if name == "png":
        first = sorted(path.iterdir())[0]
        assert "SaveCinemagraph" in Image.open(first).info["prompt"]
    else:
        assert needle in data or needle.replace(b'"', b'\\"') in data


@pytest.mark.parametrize(("width", "height"), [(97, 64), (96, 65), (97, 65)])
def test_a_loop_of_an_odd_size_is_saved_by_core(
    width: int, height: int, pipeline: Any, server: Any, run_graph: Any, read: Any
) -> None:
    graph = pipeline(width=width, height=height)
    blend = graph.add("LoopBlend", warp=graph.warp)
    video = graph.add("SaveVideo", video=(blend, 1), filename_prefix="odd/video", format="mp4", codec="h264")
    shown, _ = read(_file(run_graph(graph.nodes), video, server))
    assert shown.shape == (FRAMES, 64, 96, 3)


def test_loop_blend_feeds_core_nodes(pipeline: Any, server: Any, run_graph: Any, read: Any) -> None:
    graph = pipeline()
    blend = graph.add("LoopBlend", warp=graph.warp, frame_rate=24.0)
    video = graph.add("SaveVideo", video=(blend, 1), filename_prefix="core/video", format="mp4", codec="h264")
    images = graph.add("SaveImage", images=blend, filename_prefix="core/frames")
    coverage = graph.add("SaveImage", images=graph.add("MaskToImage", mask=(blend, 2)), filename_prefix="core/coverage")
    result = run_graph(graph.nodes)
    frames, rate = read(_file(result, video, server))
    assert frames.shape == (FRAMES, HEIGHT, WIDTH, 3)
    assert rate == 24.0
    assert len(result.outputs[images]["images"]) == FRAMES
    covered = np.array(Image.open(_file(result, coverage, server)).convert("L"))
    source, still = _reference(graph, server, run_graph)
    assert covered.shape == (HEIGHT, WIDTH)
    assert (covered[still] == 255).all()
    first = np.array(Image.open(_file(result, images, server)).convert("RGB"))
    assert (first[still] == source[still]).all()

    shown = result.outputs[blend]["images"][0]
    assert shown["type"] == "temp"
    preview, _ = read(server.data / "temp" / shown["filename"])
    assert len(preview) == FRAMES


def test_a_length_in_seconds_takes_the_place_of_frames(pipeline: Any, server: Any, run_graph: Any, read: Any) -> None:
    """Prompts of before, without the input, keep the warp's number: all other tests."""
    graph = pipeline(width=64, height=48)
    blend = graph.add("LoopBlend", warp=graph.warp, frame_rate=20.0, seconds=0.39, preview=False)
    images = graph.add("SaveImage", images=blend, filename_prefix="seconds/frames")
    saved = graph.add("SaveCinemagraph", warp=graph.warp, filename_prefix="seconds/a", frame_rate=12.5, seconds=0.8)
    result = run_graph(graph.nodes)
    assert len(result.outputs[images]["images"]) == 8
    frames, rate = read(_file(result, saved, server))
    assert (len(frames), rate) == (10, 12.5)


def test_coverage_is_right_in_both_orders_of_connecting(pipeline: Any, server: Any, run_graph: Any) -> None:
    size = (152, 88)

    def covered(frame_rate: float, *, later: bool) -> np.ndarray:
        graph = pipeline(*size)
        blend = graph.add("LoopBlend", warp=graph.warp, frame_rate=frame_rate)
        graph.add("SaveImage", images=blend, filename_prefix="order/frames")
        if later:
            run_graph(graph.nodes)
        mask = graph.add("MaskToImage", mask=(blend, 2))
        saved = graph.add("SaveImage", images=mask, filename_prefix="order/coverage")
        return np.array(Image.open(_file(run_graph(graph.nodes), saved, server)).convert("L"))

    first = covered(24.0, later=False)
    assert first.min() < 255 == first.max()
    assert (covered(25.0, later=True) == first).all()


def test_coverage_is_made_only_where_it_is_connected(pipeline: Any, server: Any) -> None:
    """The node says what it made. Ids with a colon are those of nodes in a subgraph."""

    def said(connected: bool, prefix: str, width: int) -> list[str]:
        graph = pipeline(width, 88)
        blend = graph.add("LoopBlend", warp=graph.warp, preview=False)
        graph.add("PreviewImage", images=blend)
        if connected:
            graph.add("PreviewImage", images=graph.add("MaskToImage", mask=(blend, 2)))
        nodes = json.loads(json.dumps(graph.nodes))
        for node in nodes.values():
            links = {name: value for name, value in node["inputs"].items() if isinstance(value, list)}
            node["inputs"] |= {name: [prefix + origin, slot] for name, (origin, slot) in links.items()}
        prompt = {prefix + name: node for name, node in nodes.items()}
        return asyncio.run(_texts(server.url, prompt, prefix + blend))

    # Sizes of their own: ComfyUI's cache knows a node by what it is made from, whatever its id.
    for prefix, width in (("", 144), ("7:3:", 152)):
        assert f"{FRAMES} frames of {width}x88" in said(False, prefix, width)
        made = said(True, prefix, width)
        assert any("covered at least" in text for text in made), "not from the cache of the run before"


async def _texts(url: str, prompt: dict[str, Any], node: str) -> list[str]:
    """What a node of a prompt says while it runs."""
    texts, client = [], uuid.uuid4().hex
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws?clientId={client}") as socket:
        async with session.post(f"{url}/prompt", json={"prompt": prompt, "client_id": client}) as answer:
            assert answer.status == 200, await answer.text()
        while True:
            message = await socket.receive(timeout=100)
            if message.type == aiohttp.WSMsgType.BINARY:
                kind, length = struct.unpack(">II", message.data[:8])
                if kind == 3 and message.data[8 : 8 + length].decode() == node:
                    texts.append(message.data[8 + length :].decode())
            elif message.type == aiohttp.WSMsgType.TEXT:
                event = message.json()
                assert event["type"] != "execution_error", event
                if event["type"] == "execution_success":
                    return texts
            else:
                raise AssertionError(message)


def test_previews_are_shown(pipeline: Any, server: Any, run_graph: Any) -> None:
    # A size of its own: what another test has left in the cache is not run again, and shows nothing.
    size = (136, 88)
    graph = pipeline(*size)
    preview = graph.add("FlowPreview", image=graph.image, flow=graph.flow)
    result = run_graph(graph.nodes)
    for node in (graph.segmenter, graph.flow, preview):
        entry = result.outputs[node]["images"][0]
        with Image.open(server.data / "temp" / entry["filename"]) as picture:
            assert picture.size == size


def test_flow_survives_the_trip_through_a_picture(pipeline: Any, server: Any, run_graph: Any, read: Any) -> None:
    graph = pipeline()
    stored = graph.add("FlowToImage", flow=graph.flow)
    again = graph.add("ImageToFlow", image=stored, max_speed=(stored, 1))
    warp = graph.add("EulerianWarp", image=graph.image, flow=again, frames=FRAMES)
    direct = graph.add("SaveCinemagraph", warp=graph.warp, format="png", filename_prefix="trip/direct")
    tripped = graph.add("SaveCinemagraph", warp=warp, format="png", filename_prefix="trip/tripped")
    result = run_graph(graph.nodes)
    first, second = (read(_file(result, node, server))[0].astype(int) for node in (direct, tripped))
    assert np.abs(first - second).max() <= 2


def test_metrics_of_a_loop(pipeline: Any, run_graph: Any) -> None:
    graph = pipeline(width=288, height=384, frames=24)
    blend = graph.add("LoopBlend", warp=graph.warp, preview=False)
    metrics = graph.add("CinemagraphMetrics", images=blend, mask=graph.segmenter, flow=graph.flow, source=graph.image)
    numbers = [graph.add("PreviewAny", source=(metrics, i)) for i in range(1, 5)]
    result = run_graph(graph.nodes)
    seam, error, contrast, amount = (float(result.outputs[n]["text"][0]) for n in numbers)
    assert 0.3 < seam < 2.0
    assert error == 0.0
    assert 0.5 < contrast < 1.5
    assert amount > 0.1
    assert "seam" in result.outputs[metrics]["text"][0]


def test_rebatched_pictures_give_one_loop_each(pipeline: Any, server: Any, run_graph: Any, read: Any) -> None:
    graph = pipeline(batch=2, rebatch=True)
    saver = graph.add("SaveCinemagraph", warp=graph.warp, filename_prefix="batch/loop")
    entries = run_graph(graph.nodes).outputs[saver]["images"]
    assert [e["filename"] for e in entries] == ["loop_00001_.mp4", "loop_00002_.mp4"]
    for entry in entries:
        assert len(read(server.data / "output" / "batch" / entry["filename"])[0]) == FRAMES


@pytest.mark.parametrize("convert", ["T2CTestAlpha", "T2CTestHalf"])
def test_half_precision_and_alpha_are_accepted(
    convert: str, pipeline: Any, server: Any, run_graph: Any, read: Any
) -> None:
    loops = []
    for node in (None, convert):
        graph = pipeline(convert=node)
        saver = graph.add("SaveCinemagraph", warp=graph.warp, format="png", filename_prefix=f"kinds/{node}")
        loops.append(read(_file(run_graph(graph.nodes), saver, server))[0].astype(int))
        graph.nodes.clear()
    plain, converted = loops
    assert plain.shape == converted.shape
    assert np.abs(plain - converted).mean() < 1.0


def test_half_precision_mask_is_accepted(pipeline: Any, run_graph: Any, server: Any) -> None:
    graph = pipeline()
    half = graph.add("T2CTestHalf", image=graph.image, mask=graph.segmenter)
    cut = graph.add("RealImageSegmenter", image=half, method="mask", mask=(half, 1), hints=graph.hints)
    flow = graph.add("FlowPredictor", image=half, mask=cut, direction="custom angle", angle=0.0)
    warp = graph.add("EulerianWarp", image=half, flow=flow, frames=3)
    saver = graph.add("SaveCinemagraph", warp=warp)
    assert _file(run_graph(graph.nodes), saver, server).stat().st_size > 1000


def test_mask_of_another_size_is_scaled_and_hints_cut_it(
    pipeline: Any, hints_json: Any, server: Any, run_graph: Any
) -> None:
    graph = pipeline()
    white = graph.add("SolidMask", value=1.0, width=64, height=64)
    freeze = {"points": [[0.0, 0.0], [1.0, 0.0]], "radius": 0.25, "mode": "freeze"}
    hints = graph.add("MotionHints", hints=hints_json(strokes=[freeze], pins=[[0.5, 0.75]]))
    mask = graph.add("RealImageSegmenter", image=graph.image, method="mask", mask=white, hints=hints, feather=0.0,
                     fill_holes=0.0)  # fmt: skip
    saver = graph.add("SaveImage", images=graph.add("MaskToImage", mask=mask), filename_prefix="cut/mask")
    cut = np.array(Image.open(_file(run_graph(graph.nodes), saver, server)).convert("L")) / 255.0
    assert cut.shape == (HEIGHT, WIDTH)
    assert cut[: HEIGHT // 4].max() == 0.0
    assert cut[-4:].min() == 1.0
    assert cut[round(0.75 * HEIGHT), round(0.5 * WIDTH)] == 0.0


def test_the_same_again_is_fully_cached(pipeline: Any, run_graph: Any, written: Any) -> None:
    graph = pipeline()
    graph.add("SaveCinemagraph", warp=graph.warp, filename_prefix="cached/loop")
    blend = graph.add("LoopBlend", warp=graph.warp)
    graph.add("CinemagraphMetrics", images=blend)
    run_graph(graph.nodes)
    before = written()
    assert set(run_graph(graph.nodes).cached) == set(graph.nodes)
    assert written() == before


@pytest.mark.parametrize("node", ["SaveCinemagraph", "LoopBlend"])
def test_cancel_leaves_nothing_and_the_server_serves_on(
    node: str, pipeline: Any, server: Any, run_graph: Any, written: Any, read: Any
) -> None:
    graph = pipeline(width=320, height=240, frames=1200)
    blend = graph.add(node, warp=graph.warp)
    if node == "LoopBlend":
        graph.add("SaveVideo", video=(blend, 1), filename_prefix="cancelled", format="mp4", codec="h264")
    before = written()
    reached = []

    def cancel(progress: Any) -> None:
        if progress.class_type == node and progress.value >= 3:
            reached.append(progress.value)
            server.client.interrupt()

    with pytest.raises(RunInterrupted):
        run_graph(graph.nodes, on_progress=cancel)
    assert reached
    assert reached[-1] < 1200
    assert written() == before
    assert not [p for p in (server.data / "temp").rglob("*") if p.suffix == ".part"]

    graph.nodes.clear()
    small = pipeline()
    saver = small.add("SaveCinemagraph", warp=small.warp, filename_prefix=f"after_cancel/{node}")
    assert len(read(_file(run_graph(small.nodes), saver, server))[0]) == FRAMES


def test_progress_is_reported(pipeline: Any, run_graph: Any) -> None:
    graph = pipeline(width=384, height=512, frames=40)
    graph.add("SaveCinemagraph", warp=graph.warp, filename_prefix="progress/loop")
    seen = []
    run_graph(graph.nodes, on_progress=lambda p: seen.append((p.value, p.total)) if p.total == 40 else None)
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert seen[-1] == (40, 40)
