"""Which picture the editor shows, and what it says when it cannot show one."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from scripts.server import ComfyServer
from tests.browser.comfy_page import ComfyPage


def note(page: ComfyPage) -> str:
    shown = page.raw.locator(".t2c-note")
    return shown.inner_text() if shown.is_visible() else ""


def middle(page: ComfyPage) -> list[int]:
    """Colour of the picture layer's middle."""
    code = """() => {
        const canvas = document.querySelector(".t2c-image");
        const { width, height } = canvas;
        return Array.from(canvas.getContext("2d").getImageData(width / 2, height / 2, 1, 1).data);
    }"""
    return page.js(code)


@pytest.fixture
def node(page: ComfyPage) -> int:
    node = page.add("MotionHints", (0, 0), (560, 700))
    page.look_at(-30, -60)
    page.raw.wait_for_selector(".t2c-stage")
    page.wait(600)
    return node


def test_without_a_picture_one_can_draw_already(page: ComfyPage, node: int) -> None:
    assert "Connect a picture" in note(page)
    box = page.stage()
    page.drag([(box["x"] + 150, box["y"] + 200), (box["x"] + 300, box["y"] + 200)])
    assert len(page.hints()["arrows"]) == 1


def test_a_picture_made_by_nodes_appears_after_the_run(page: ComfyPage, node: int) -> None:
    empty = page.add("EmptyImage", (-500, 0))
    blue = 0xC0 if page.nodes2 else 0xE0  # what ComfyUI has cached would tell the page nothing
    page.set_widget(empty, "color", 0x206000 + blue)
    page.set_widget(empty, "width", 640)
    page.set_widget(empty, "height", 320)
    page.link(empty, "IMAGE", node, "image")
    preview = page.add("MaskPreview", (700, 0))
    page.link(node, "strokes mask", preview, "mask")
    page.wait(700)
    assert "once the workflow has run" in note(page)
    assert page.run(lambda: page.js("() => app.queuePrompt(0, 1)")) == "success"
    page.wait(1200)
    assert note(page) == ""
    assert all(abs(a - b) <= 6 for a, b in zip(middle(page), (0x20, 0x60, blue, 255), strict=True))
    # It comes with the workflow.
    saved = page.js("() => app.graph.serialize()")
    page.load(saved)
    page.wait(1500)
    assert note(page) == ""
    # Another source: the old picture is not taken for it.
    other = page.add("EmptyImage", (-500, 400))
    page.link(other, "IMAGE", page.node("MotionHints"), "image")
    page.wait(1000)
    assert "once the workflow has run" in note(page)


def test_a_picture_upstream_is_shown_before_the_run(page: ComfyPage, node: int) -> None:
    load, invert = page.add("LoadImage", (-900, 0)), page.add("ImageInvert", (-500, 0))
    page.set_widget(load, "image", "stream.jpg")
    page.link(load, "IMAGE", invert, "image")
    page.link(invert, "IMAGE", node, "image")
    page.wait(1500)
    assert note(page) == "" and middle(page)[3] == 255


def test_a_picture_too_large_for_the_page_is_seen_smaller_after_a_run(
    page: ComfyPage, node: int, server: ComfyServer, tmp_path: Path
) -> None:
    file = tmp_path / "huge.png"
    colour = (200, 120, 40 if page.nodes2 else 80)
    Image.new("RGB", (15360, 8640), colour).save(file, compress_level=1)
    server.put_input(file)
    load = page.add("LoadImage", (-500, 0))
    # Without ComfyUI's own preview, which would decode all of it in the page.
    page.js("(id) => { app.graph.getNodeById(id).flags.collapsed = true; }", load)
    page.set_widget(load, "image", "huge.png")
    page.link(load, "IMAGE", node, "image")
    page.raw.get_by_text("15360 x 8640 pixels").wait_for(timeout=30_000)
    box = page.stage()
    page.drag([(box["x"] + 150, box["y"] + 200), (box["x"] + 300, box["y"] + 200)])
    assert len(page.hints()["arrows"]) == 1
    preview = page.add("MaskToImage", (700, 0))
    small = page.add("ImageScale", (1000, 0))
    page.set_widget(small, "width", 64)
    page.set_widget(small, "height", 36)
    shown = page.add("PreviewImage", (1300, 0))
    page.link(node, "strokes mask", preview, "mask")
    page.link(preview, "IMAGE", small, "image")
    page.link(small, "IMAGE", shown, "images")
    assert page.run(lambda: page.js("() => app.queuePrompt(0, 1)")) == "success"
    page.wait(2500)
    assert note(page) == ""
    assert all(abs(a - b) <= 6 for a, b in zip(middle(page), (*colour, 255), strict=True))
    page.js(
        "() => app.api.fetchApi('/free', { method: 'POST', headers: { 'Content-Type': 'application/json' },"
        " body: JSON.stringify({ free_memory: true }) })"
    )


def test_a_picture_that_is_gone_is_said_to_be(page: ComfyPage, node: int) -> None:
    load = page.add("LoadImage", (-500, 0))
    page.set_widget(load, "image", "nowhere.png")
    page.link(load, "IMAGE", node, "image")
    page.wait(1200)
    assert "could not be loaded" in note(page)
    page.complaints.clear()  # the browser reports the 404 itself
