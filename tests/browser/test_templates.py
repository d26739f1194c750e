"""Every example workflow opens in the page, complete and without a complaint."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scripts.paths import REPO
from tests.browser.comfy_page import ComfyPage

WORKFLOWS = sorted((REPO / "workflows").glob("*.json"))
DATA = REPO / "tests" / "data"
EARLIER = sorted(file for file in (DATA / "workflows_0_1").glob("*.json") if not file.name.endswith(".api.json"))
WEIGHT_FREE = ("mask_from_other_nodes", "photo_to_painted_cinemagraph", "picture_to_cinemagraph", "upscale_then_loop")


SAYS = """() => {
    window.t2cSaid = {};
    app.api.addEventListener("progress_text", ({ detail }) => {
        const node = app.graph.getNodeById(Number(detail.nodeId));
        if (node) window.t2cSaid[node.type] = detail.text;
    });
}"""
"""Remembers what each kind of node said last; newer pages take the text away when the run has ended."""


@pytest.mark.parametrize("file", WORKFLOWS + EARLIER, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_it_opens_complete_and_says_what_was_tested(page: ComfyPage, file: Path) -> None:
    workflow = json.loads(file.read_text(encoding="utf-8"))
    page.load(workflow, file.stem)
    page.wait(800)
    types = page.js("() => app.graph._nodes.map((n) => n.type)")
    assert sorted(types) == sorted(node["type"] for node in workflow["nodes"])
    assert page.js("() => app.graph._nodes.filter((n) => !LiteGraph.registered_node_types[n.type]).length") == 0
    folder = DATA if file in WORKFLOWS else file.parent
    expected = json.loads((folder / f"{file.stem}.api.json").read_text(encoding="utf-8"))

    def essential(prompt: dict) -> dict:
        return {key: (node["class_type"], node["inputs"]) for key, node in prompt.items()}

    assert essential(page.prompt()) == essential(expected)
    page.shoot(f"workflow_{file.parent.name}_{file.stem}")
    assert page.js("() => app.graph._nodes.some((n) => n.type === 'MarkdownNote' && n.widgets[0].value.length > 200)")


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_it_fits_the_window_readably(page: ComfyPage, file: Path) -> None:
    """All of the graph lies in a window of 1600x1000 at 60 % or more, and no node lies on another."""
    page.load(json.loads(file.read_text(encoding="utf-8")), file.stem)
    seen = page.settled("""() => {
        const { scale, offset } = app.canvas.ds, rect = app.canvas.canvas.getBoundingClientRect();
        return [scale, app.graph._nodes.map((n) => {
            const [x, y, width, height] = n.boundingRect;
            const [left, top] = [rect.x + (x + offset[0]) * scale, rect.y + (y + offset[1]) * scale];
            return [n.type, left, top, left + width * scale, top + height * scale];
        })];
    }""")
    scale, places = seen
    assert scale >= 0.6
    for kind, left, top, right, bottom in places:
        assert left >= 60 and right <= 1600 and top >= 40 and bottom <= 1000, (kind, left, top, right, bottom)
    for number, (kind, *a) in enumerate(places):
        for other, *b in places[:number]:
            apart = a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]
            assert apart, f"{kind} lies on {other}"


@pytest.mark.slow
@pytest.mark.parametrize("name", WEIGHT_FREE)
def test_it_runs_as_it_opens(page: ComfyPage, name: str) -> None:
    """From the template browser, with nothing copied or chosen: Run, and the loop plays."""
    page.raw.get_by_role("button", name="Templates").first.click()
    page.raw.locator("[role=dialog]").get_by_text(name, exact=True).first.click()
    page.raw.wait_for_function("() => app.graph._nodes.some((n) => n.type === 'SaveCinemagraph')")
    page.wait(1000)
    assert page.js("() => document.querySelectorAll('[role=dialog]').length") == 0, "a dialog asks for something"
    page.set_widget(page.js("() => app.graph._nodes.find((n) => n.type === 'EulerianWarp').id"), "frames", 12)
    if name == "upscale_then_loop":
        page.set_widget(page.node("ImageScaleToMaxDimension"), "largest_size", 640)
    page.js(SAYS)
    assert page.run(lambda: page.raw.get_by_role("button", name="Run", exact=True).first.click()) == "success"
    page.wait_for_playing()
    said = page.js("() => window.t2cSaid")
    assert re.fullmatch(r"\d+% of the picture moves", said["RealImageSegmenter"])
    assert re.fullmatch(r"[\d.]+ pixels per frame in the mean, [\d.]+ at most", said["FlowPredictor"])
    assert re.fullmatch(r"12 frames in [\d.]+ s", said["SaveCinemagraph"])
    page.js("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    page.wait(1000)
    page.shoot(f"ran_{name}")


def test_the_page_offers_each_with_a_picture(page: ComfyPage) -> None:
    page.raw.get_by_role("button", name="Templates").first.click()
    # The dialog makes more cards, and loads their pictures, as they come into sight.
    loaded = """(name) => [...document.querySelectorAll("[role=dialog] img")].some(
        (image) => image.alt === name && Math.min(image.naturalWidth, image.naturalHeight) >= 200)"""
    for file in WORKFLOWS:
        page.raw.locator("[role=dialog]").get_by_text(file.stem, exact=True).first.scroll_into_view_if_needed()
        page.raw.wait_for_function(loaded, arg=file.stem)
    page.shoot("templates")
    page.key("Escape")
