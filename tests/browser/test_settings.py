"""The editor's limits and defaults are the server's, whatever they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.comfy_page import ComfyPage

URL = "**/text2cinemagraph/settings"
Settings = dict[str, Any]


@pytest.fixture
def serve(page: ComfyPage) -> Iterator[Callable[[Callable[[Any], None]], None]]:
    """Answers the page's question for settings in another way, and loads the page with that."""

    def reload_with(answer: Callable[[Any], None]) -> None:
        page.raw.route(URL, answer)
        page.reload()
        page.clear()

    yield reload_with
    page.raw.unroute(URL)
    page.reload()
    page.complaints.clear()


def test_other_limits_hold_at_once(page: ComfyPage, serve: Callable[..., None]) -> None:
    settings = page.server.client.get("/text2cinemagraph/settings")
    settings["hints"].update(max_items=2, version=9)
    settings["hints"]["speed"].update(default=3.0, min=1.0, max=7.0)
    serve(lambda route: route.fulfill(json=settings))
    node = page.add("MotionHints", (0, 0), (560, 700))
    page.look_at(-30, -60)
    page.raw.wait_for_selector(".t2c-stage")
    page.wait(600)
    number = page.raw.locator('[data-t2c="speed-number"]')
    assert [number.get_attribute(name) for name in ("min", "max")] == ["1", "7"]
    page.set_widget(node, "hints", '{"version": 9}')
    page.wait(600)
    box = page.stage()
    for y in (100, 150, 200):
        page.drag([(box["x"] + 150, box["y"] + y), (box["x"] + 300, box["y"] + y)])
    assert [arrow["speed"] for arrow in page.hints(node)["arrows"]] == [3, 3]
    assert page.hints(node)["version"] == 9
    assert "no room" in page.raw.locator(".t2c-status").inner_text()
    arrow = {"points": [[0, 0], [1, 1]], "speed": 8}
    page.set_widget(node, "hints", json.dumps({"version": 9, "arrows": [arrow]}))
    page.raw.locator(".t2c-note").get_by_text("between 1 and 7").wait_for()


def test_without_settings_the_node_keeps_its_text_field(page: ComfyPage, serve: Callable[..., None]) -> None:
    serve(lambda route: route.fulfill(status=500, body=""))
    node = page.add("MotionHints", (0, 0), (560, 700))
    page.wait(600)
    assert page.raw.locator(".t2c-editor").count() == 0
    page.set_widget(node, "hints", '{"pins": [[0.5, 0.5]]}')
    assert page.prompt()[str(node)]["inputs"]["hints"] == '{"pins": [[0.5, 0.5]]}'
    page.complaints.clear()  # that it stays a text field is said on the console
