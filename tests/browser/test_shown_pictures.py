"""The editor shows the pixels that its node gets, and says where it cannot know them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scripts.server import ComfyServer
from tests.browser.comfy_page import ComfyPage
from tests.core.test_alpha_and_profiles import wide_gamut

QUARTERS = [(x, y) for y in (0.25, 0.75) for x in (0.25, 0.75)]
SHOWN = """(points) => {
    const canvas = document.querySelector(".t2c-image"), context = canvas.getContext("2d");
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    let [left, right, top, bottom] = [canvas.width, 0, canvas.height, 0];
    for (let i = 3, pixel = 0; i < data.length; i += 4, pixel++) {
        if (!data[i]) continue;
        const [x, y] = [pixel % canvas.width, Math.floor(pixel / canvas.width)];
        [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
    }
    if (right < left) return null;
    return points.map(([u, v]) => {
        const x = Math.round(left + u * (right - left)), y = Math.round(top + v * (bottom - top));
        return [...context.getImageData(x, y, 1, 1).data];
    });
}"""


def save(folder: Path, kind: str) -> Path:
    """Four colours, of which a page left to itself would show others or none, or in another place."""
    colours = np.array([[(250, 40, 10, 255), (20, 230, 60, 128)], [(40, 90, 220, 0), (200, 180, 30, 1)]], np.uint8)
    picture = Image.fromarray(colours.repeat(64, 0).repeat(96, 1))
    file = folder / f"{kind}.{'jpg' if kind == 'turned' else 'png'}"
    if kind == "alpha":
        picture.save(file)
    elif kind == "profile":
        picture.convert("RGB").save(file, icc_profile=wide_gamut())
    else:
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.convert("RGB").save(file, exif=exif, quality=95, icc_profile=wide_gamut())
    return file


@pytest.mark.parametrize("kind", ["profile", "alpha", "turned"])
def test_the_editor_shows_what_the_node_gets(page: ComfyPage, server: ComfyServer, tmp_path: Path, kind: str) -> None:
    name = server.put_input(save(tmp_path, kind))
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": f"shown_{kind}"}},
    }
    image = np.asarray(Image.open(server.client.wait(server.client.queue(graph)).files[0]).convert("RGB"))
    got = [image[int(v * image.shape[0]), int(u * image.shape[1])] for u, v in QUARTERS]
    load, hints = page.add("LoadImage", (-400, 0)), page.add("MotionHints", (0, 0), (560, 700))
    page.set_widget(load, "image", name)
    page.link(load, "IMAGE", hints, "image")
    page.look_at(-30, -60)
    page.raw.wait_for_function("() => document.querySelector('.t2c-origin')?.textContent.startsWith('The file')")
    shown = page.settled(SHOWN, QUARTERS)
    assert np.abs(np.array(shown)[:, :3] - got).max() <= 4, (shown, got)
    assert np.array(shown)[:, 3].min() == 255


def said(page: ComfyPage, words: str, *, stale: bool) -> None:
    """Wait until the editor says so of its picture."""
    code = """([words, stale]) => {
        const [line, stage] = [".t2c-origin", ".t2c-stage"].map((name) => document.querySelector(name));
        return line && !line.hidden && line.textContent.includes(words) && stage.matches(".t2c-stale") === stale;
    }"""
    page.raw.wait_for_function(code, arg=[words, stale])


def test_a_picture_that_may_differ_is_marked(page: ComfyPage) -> None:
    load, invert = page.add("LoadImage", (-900, 0)), page.add("ImageInvert", (-500, 0))
    hints, preview = page.add("MotionHints", (0, 0), (560, 700)), page.add("MaskPreview", (700, 0))
    page.set_widget(load, "image", "stream.jpg")
    page.link(load, "IMAGE", invert, "image")
    page.link(invert, "IMAGE", hints, "image")
    page.link(hints, "strokes mask", preview, "mask")
    page.look_at(-30, -60)
    said(page, "nodes between may change it", stale=True)
    assert page.run(lambda: page.js("() => app.queuePrompt(0, 1)")) == "success"
    said(page, "last run", stale=False)
    page.shoot("picture_of_the_last_run")
    page.load(page.js("() => app.graph.serialize()"))
    said(page, "last run", stale=False)
    load = page.node("LoadImage")
    page.set_widget(load, "image", "starry_night.jpg")
    said(page, "has changed", stale=True)
    page.shoot("picture_that_may_differ")
    page.set_widget(load, "image", "stream.jpg")
    said(page, "last run", stale=False)
    page.js("(id) => { app.graph.getNodeById(id).mode = 4; }", page.node("ImageInvert"))
    said(page, "The file", stale=False)
