"""The editor across subgraphs, reroutes and bypassed nodes, and its end with its node."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.browser.comfy_page import ComfyPage

COUNT = """() => {
    if (window.t2cTimers) return;
    const [set, clear] = [window.setInterval, window.clearInterval];
    const timers = (window.t2cTimers = new Set());
    window.setInterval = (call, every, ...more) => {
        const id = set(call, every, ...more);
        if (every === 300) timers.add(id);
        return id;
    };
    window.clearInterval = (id) => { timers.delete(id); clear(id); };
}"""
TIMERS = "(count) => window.t2cTimers.size === count"


@pytest.fixture
def timers(page: ComfyPage) -> Iterator[ComfyPage]:
    page.js(COUNT)
    page.js("() => window.t2cTimers.clear()")
    yield page


def running(page: ComfyPage) -> int:
    return page.js("() => window.t2cTimers.size")


def with_hints(page: ComfyPage) -> tuple[int, int]:
    load = page.add("LoadImage", (0, 0), (300, 360))
    page.set_widget(load, "image", "t2c_stream.jpg")
    hints = page.add("MotionHints", (700, 0), (460, 620))
    page.look_at(-20, -60, 0.8)
    return load, hints


@pytest.mark.parametrize("between", ["Reroute", "bypassed"])
def test_what_only_hands_on_is_followed(page: ComfyPage, between: str) -> None:
    load, hints = with_hints(page)
    middle = page.add("Reroute" if between == "Reroute" else "ImageInvert", (400, 0))
    page.js(
        """([load, middle, hints, mode]) => {
            const [a, b, c] = [load, middle, hints].map((id) => app.graph.getNodeById(id));
            a.connect(0, b, 0);
            b.connect(0, c, 0);
            if (mode) b.mode = mode;
        }""",
        [load, middle, hints, 4 if between == "bypassed" else 0],
    )
    page.raw.wait_for_function("() => document.querySelector('.t2c-image')?.width > 0")
    page.wait(800)
    assert page.painted("image") > 10_000


def test_inside_a_subgraph_the_picture_outside_is_seen(timers: ComfyPage) -> None:
    page = timers
    load, hints = with_hints(page)
    page.link(load, "IMAGE", hints, "image")
    page.set_widget(hints, "hints", json.dumps({"version": 1, "pins": [[0.5, 0.5]]}))
    page.wait(800)
    page.js(
        """(id) => {
            const { node } = app.graph.convertToSubgraph(new Set([app.graph.getNodeById(id)]));
            window.t2cHost = node;
        }""",
        hints,
    )
    page.wait(1500)
    assert running(page) <= 1
    page.js("() => app.canvas.openSubgraph(window.t2cHost.subgraph, window.t2cHost)")
    page.wait(1500)
    assert running(page) == 1
    assert page.painted("image") > 10_000, "the picture of Load Image, which is outside"
    page.js("() => app.canvas.setGraph(app.rootGraph)")
    page.wait(500)
    page.js("() => app.graph.clear()")
    page.raw.wait_for_function(TIMERS, arg=0)
    page.raw.wait_for_function("() => !document.querySelector('.t2c-stage')")


def test_editors_end_with_their_nodes(timers: ComfyPage) -> None:
    page = timers
    _, hints = with_hints(page)
    page.raw.wait_for_function(TIMERS, arg=1)
    for _ in range(20):
        page.js("(id) => { app.canvas.copyToClipboard(new Set([app.graph.getNodeById(id)])); }", hints)
        page.js("() => app.canvas.pasteFromClipboard()")
    page.raw.wait_for_function(TIMERS, arg=21)
    assert page.js("() => app.graph._nodes.filter((n) => n.comfyClass === 'MotionHints').length") == 21
    page.js("() => app.graph.clear()")
    page.raw.wait_for_function(TIMERS, arg=0)
    page.raw.wait_for_function("() => !document.querySelector('.t2c-stage')")
    page.js("() => LiteGraph.createNode('MotionHints')")
    page.wait(1000)
    assert running(page) == 0, "a node that is in no graph has no timer"
