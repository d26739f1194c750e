"""Nodes show what matters: few widgets at first sight, the rest one click away, nothing without effect."""

from __future__ import annotations

import json

import pytest

from scripts.paths import REPO
from tests.browser.comfy_page import ComfyPage

MOST = {"RealImageSegmenter": 6, "FlowPredictor": 5, "EulerianWarp": 3, "SaveCinemagraph": 5, "TwinPromptSampler": 8}
BUTTON = "t2c_advanced"


def shown(page: ComfyPage, node: int, *, nodes2: bool) -> list[str]:
    """Names of the widgets a node shows: drawn on the canvas, or elements of Nodes 2.0."""
    if not nodes2:
        code = f"""(id) => app.graph.getNodeById(id).widgets
            .filter((w) => app.graph.getNodeById(id).isWidgetVisible(w) && w.name !== "{BUTTON}").map((w) => w.name)"""
        return page.js(code, node)
    code = """(id) => {
        const element = document.querySelector(`[data-node-id="${id}"]`);
        const names = app.graph.getNodeById(id).widgets.map((w) => w.name);
        const seen = [...element.querySelectorAll(".lg-node-widget")].filter((w) => w.offsetHeight > 0);
        return seen.map((w) => names.find((n) => w.innerText.split("\\n").includes(n.replaceAll("_", " "))
            || w.innerText.split("\\n").includes(n) || w.querySelector(`[aria-label="${n}"]`)) ?? w.innerText);
    }"""
    return page.js(code, node)


@pytest.mark.parametrize("kind", MOST)
def test_few_widgets_at_first_sight(page: ComfyPage, kind: str) -> None:
    node = page.add(kind, (0, 0))
    page.look_at(-30, -60)
    few = shown(page, node, nodes2=page.nodes2)
    assert 2 <= len(few) <= MOST[kind], few
    press_advanced(page, node)
    more = shown(page, node, nodes2=page.nodes2)
    assert len(more) > len(few), more
    press_advanced(page, node)
    assert shown(page, node, nodes2=page.nodes2) == few


def press_advanced(page: ComfyPage, node: int) -> None:
    """Click where the node says "Show advanced inputs", or hides them."""
    if page.nodes2:
        page.raw.get_by_test_id("advanced-inputs-button").first.click()
    else:
        code = f"""(id) => {{
            const node = app.graph.getNodeById(id), button = node.widgets.find((w) => w.name === "{BUTTON}");
            const rect = app.canvas.canvas.getBoundingClientRect();
            const {{ scale, offset }} = app.canvas.ds;
            const x = node.pos[0] + node.size[0] / 2, y = node.pos[1] + button.last_y + 10;
            return [rect.x + (x + offset[0]) * scale, rect.y + (y + offset[1]) * scale];
        }}"""
        below = "(id) => { const n = app.graph.getNodeById(id); return n.widgets.find((w) => w.name === '%s').last_y; }"
        page.look_at(-30, page.js(below % BUTTON, node) - 200)
        page.raw.mouse.click(*page.settled(code, node))
        page.look_at(-30, -60)
    page.wait(400)


def test_a_method_shows_its_own_widgets(page: ComfyPage) -> None:
    node = page.add("RealImageSegmenter", (0, 0))
    page.look_at(-30, -60)
    seen = {}
    for method in ("hints", "model", "attention", "mask", "hints"):
        page.set_widget(node, "method", method)
        page.wait(300)
        seen[method] = set(shown(page, node, nodes2=page.nodes2))
    assert "detail" in seen["hints"] and "detail" not in seen["model"]
    assert {"vocabulary", "threshold", "segmentation_model"} <= seen["model"]
    assert "vocabulary" in seen["attention"] and "threshold" not in seen["attention"]
    assert not {"detail", "vocabulary", "threshold", "segmentation_model"} & seen["mask"]


@pytest.mark.parametrize("name", ["picture_to_cinemagraph", "text_to_cinemagraph"])
def test_folding_changes_neither_values_nor_sizes_of_a_saved_workflow(page: ComfyPage, name: str) -> None:
    workflow = json.loads((REPO / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
    page.load(workflow)
    saved = {node["id"]: node for node in page.js("() => app.graph.serialize()")["nodes"]}
    for node in workflow["nodes"]:
        if node["type"] in MOST:
            values = node["widgets_values"]
            assert saved[node["id"]]["widgets_values"][: len(values)] == values
            assert saved[node["id"]]["size"] == pytest.approx(node["size"], abs=1)
            assert BUTTON not in json.dumps(saved[node["id"]])
    assert BUTTON not in json.dumps(page.prompt())


def test_tokens_of_a_file_name_mean_what_they_mean_in_core_s_save_image(page: ComfyPage) -> None:
    load, core, ours = (
        page.add(kind, (400 * x, 0)) for x, kind in enumerate(("LoadImage", "SaveImage", "SaveCinemagraph"))
    )
    page.set_widget(load, "image", "t2c_stream.jpg")
    prefix = "loops/%date:yyyy-MM-dd%/%Load Image.image%_%width%x%height%_%nothing.here%"
    for node in (core, ours):
        page.set_widget(node, "filename_prefix", prefix)
    page.link(load, "IMAGE", core, "images")
    prompt = page.prompt()
    assert prompt[str(ours)]["inputs"]["filename_prefix"] == prompt[str(core)]["inputs"]["filename_prefix"] != prefix
    assert "t2c_stream.jpg_%width%x%height%" in prompt[str(ours)]["inputs"]["filename_prefix"]
