"""The templates that need no weights, laid out as a form: what ComfyUI's app mode shows of them, and that it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scripts.paths import REPO
from tests.browser.comfy_page import ComfyPage

SHOWN = {
    "picture_to_cinemagraph": ["image", "hints", "frames", "speed", "format"],
    "photo_to_painted_cinemagraph": ["image", "hints", "style", "frames", "speed", "format"],
}
PICTURE = (792, 1024)
ARROW = [(0.3, 0.5), (0.5, 0.6)]


@contextmanager
def form(page: ComfyPage, name: str) -> Iterator[None]:
    """A template as a form."""
    page.load(json.loads((REPO / "workflows" / f"{name}.json").read_text(encoding="utf-8")), name)
    toggle = "() => app.extensionManager.command.execute('Comfy.ToggleLinear')"
    page.js(toggle)
    try:
        page.raw.get_by_test_id("app-mode-widget-item").nth(len(SHOWN[name]) - 1).wait_for()
        yield
    finally:
        page.js(toggle)
    page.raw.wait_for_selector("canvas#graph-canvas")


@pytest.mark.parametrize("name", SHOWN)
def test_the_form_shows_what_matters_and_one_draws_in_it(page: ComfyPage, name: str) -> None:
    with form(page, name):
        assert page.raw.get_by_test_id("builder-widget-label").all_inner_texts() == SHOWN[name]
        page.wait_for_picture()
        assert page.stage()["height"] > 250
        page.press("clear")
        page.drag(page.on_picture(PICTURE, ARROW))
        assert len(page.hints()["arrows"]) == 1
        page.shoot(f"app_{name}")


def test_the_form_runs_and_the_loop_plays(page: ComfyPage) -> None:
    with form(page, "picture_to_cinemagraph"):
        page.set_widget(page.node("EulerianWarp"), "frames", 12)
        run = page.raw.get_by_role("button", name="Run", exact=True).last
        assert page.run(lambda: run.click()) == "success"
        page.wait_for_playing()
        page.shoot("app_ran")
