"""ComfyUI's real page in a real Chromium, in both of its renderers: the classic canvas and Nodes 2.0."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.browser import find_browser
from scripts.paths import EXAMPLE
from scripts.server import ComfyServer
from tests.browser.comfy_page import ComfyPage, open_browser

RENDERERS = ("classic", "nodes2")


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    """The running browser (T2C_BROWSER, or one that is installed); skips (fails under CI) where there is none."""
    path = find_browser()
    if not path:
        reason = "no Chromium to test in: run 'python3 scripts/test.py', or set T2C_BROWSER"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with open_browser(path) as browser:
        yield browser


@pytest.fixture(scope="session", params=RENDERERS)
def renderer(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def opened(chromium: object, server: ComfyServer, renderer: str) -> Iterator[ComfyPage]:
    """The page, opened once for each renderer."""
    for picture in EXAMPLE.parent.glob("*.jpg"):
        server.put_input(picture)
    page = ComfyPage(chromium, server, nodes2=renderer == "nodes2")
    page.open()
    yield page
    page.close()


@pytest.fixture
def page(opened: ComfyPage, tmp_path: Path) -> Iterator[ComfyPage]:
    """The page with an empty graph. A test in which our part of the page complained on the console fails."""
    folder = Path(os.environ.get("T2C_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    opened.screenshots = folder
    opened.clear()
    yield opened
    assert opened.complaints == []


@pytest.fixture
def node(page: ComfyPage) -> int:
    """A Motion Hints node beside a Load Image with the example, large and in sight, its picture drawn."""
    load = page.add("LoadImage", (-400, 0))
    page.set_widget(load, "image", EXAMPLE.name)
    node = page.add("MotionHints", (0, 0), (560, 760))
    page.link(load, "IMAGE", node, "image")
    page.look_at(-30, -60)
    page.wait_for_picture()
    return node
