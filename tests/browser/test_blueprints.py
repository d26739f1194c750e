"""Subgraphs of the pack are found beside the nodes, added with one click, and run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.paths import EXAMPLE, REPO
from scripts.server import PACK_NAME
from tests.browser.comfy_page import ComfyPage

BLUEPRINTS = sorted((REPO / "subgraphs").glob("*.json"))
EXPOSED = {
    "Photo to Cinemagraph": ["image", "hints", "prompt", "frames", "speed", "format", "filename_prefix"],
    "Photo to painted Cinemagraph": [
        "image",
        "hints",
        "style",
        "prompt",
        "frames",
        "speed",
        "format",
        "filename_prefix",
    ],
    "Prompt to Cinemagraph": [
        *("model", "clip", "vae", "prompt", "seed", "width", "height", "steps", "frames", "format", "filename_prefix"),
    ],
}


@pytest.mark.parametrize("file", BLUEPRINTS, ids=lambda file: file.stem)
def test_its_nodes_are_ours_and_it_is_offered(page: ComfyPage, file: Path) -> None:
    (inner,) = json.loads(file.read_text(encoding="utf-8"))["definitions"]["subgraphs"]
    known = page.server.object_info()
    assert {known[node["type"]]["python_module"] for node in inner["nodes"]} == {f"custom_nodes.{PACK_NAME}"}
    offered = page.server.client.get("/global_subgraphs").values()
    assert file.stem in {entry["name"] for entry in offered if PACK_NAME in str(entry["info"])}


@pytest.mark.parametrize("name", EXPOSED)
def test_it_is_added_with_a_click_and_shows_few_inputs(page: ComfyPage, name: str) -> None:
    node = add(page, name)
    inputs = page.js("(id) => app.graph.getNodeById(id).inputs.map((i) => i.name)", node)
    assert [entry for entry in inputs if entry != "control_after_generate"] == EXPOSED[name]
    kinds = page.js("(id) => app.graph.getNodeById(id).subgraph._nodes.map((n) => n.type)", node)
    assert "SaveCinemagraph" in kinds


def test_a_photograph_becomes_a_loop(page: ComfyPage) -> None:
    load = page.add("LoadImage", (0, 0))
    page.set_widget(load, "image", "t2c_stream.jpg")
    drawn = page.add("MotionHints", (0, 440))
    page.set_widget(drawn, "hints", EXAMPLE.with_suffix(".hints.json").read_text(encoding="utf-8"))
    page.link(load, "IMAGE", drawn, "image")
    node = add(page, "Photo to Cinemagraph")
    page.link(load, "IMAGE", node, "image")
    page.link(drawn, "hints", node, "hints")
    page.set_widget(node, "frames", 12)
    inner = {entry["class_type"]: entry["inputs"] for entry in page.prompt().values()}
    assert inner["EulerianWarp"]["frames"] == 12 and inner["RealImageSegmenter"]["hints"] == [str(drawn), 0]
    assert page.run(lambda: page.raw.get_by_role("button", name="Run", exact=True).first.click()) == "success"
    if page.nodes2:  # the classic renderer shows the loop inside only
        page.wait_for_playing()
    page.shoot("blueprint")


def add(page: ComfyPage, name: str) -> int:
    """Add a blueprint from the page's list of nodes, where the mouse is; returns the node's id."""
    page.key("n")
    page.raw.get_by_placeholder("Search").first.fill(name)
    page.raw.get_by_text(name, exact=True).first.click()
    page.raw.mouse.move(1000, 300)
    page.wait(300)
    page.raw.mouse.click(1000, 300)
    page.raw.wait_for_function("(name) => app.graph._nodes.some((n) => n.title === name)", arg=name)
    page.key("n")
    page.wait(500)
    return page.js("(name) => app.graph._nodes.find((n) => n.title === name).id", name)
