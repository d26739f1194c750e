"""Every example workflow opens in the page, complete and without a complaint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts.paths import REPO
from tests.browser.comfy_page import ComfyPage

WORKFLOWS = sorted((REPO / "workflows").glob("*.json"))


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_it_opens_complete_and_says_what_was_tested(page: ComfyPage, file: Path) -> None:
    workflow = json.loads(file.read_text(encoding="utf-8"))
    page.load(workflow, file.stem)
    page.wait(800)
    types = page.js("() => app.graph._nodes.map((n) => n.type)")
    assert sorted(types) == sorted(node["type"] for node in workflow["nodes"])
    assert page.js("() => app.graph._nodes.filter((n) => !LiteGraph.registered_node_types[n.type]).length") == 0
    expected = json.loads((REPO / "tests" / "data" / f"{file.stem}.api.json").read_text(encoding="utf-8"))

    def essential(prompt: dict) -> dict:
        return {key: (node["class_type"], node["inputs"]) for key, node in prompt.items()}

    assert essential(page.prompt()) == essential(expected)
    page.shoot(f"workflow_{file.stem}")
    assert page.js("() => app.graph._nodes.some((n) => n.type === 'MarkdownNote' && n.widgets[0].value.length > 200)")


def test_the_page_offers_each_with_a_picture(page: ComfyPage) -> None:
    page.raw.get_by_role("button", name="Templates").first.click()
    for file in WORKFLOWS:
        page.raw.locator("[role=dialog]").get_by_text(file.stem, exact=True).first.wait_for()
    page.wait(1500)
    shown = page.js(
        "() => [...document.querySelectorAll('[role=dialog] img')].map((i) => [i.alt, i.naturalWidth, i.naturalHeight])"
    )
    assert len([size for _, *size in shown if min(size) >= 200]) >= len(WORKFLOWS), shown
    page.shoot("templates")
    page.key("Escape")
