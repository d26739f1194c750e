"""Places on the example's picture in the editor of Motion Hints."""

from __future__ import annotations

from typing import Any

from tests.browser.comfy_page import ComfyPage

PICTURE = (792, 1024)


def put(page: ComfyPage, *points: tuple[float, float]) -> list[tuple[float, float]]:
    return page.on_picture(PICTURE, points)


def counts(page: ComfyPage) -> list[int]:
    hints = page.hints()
    return [len(hints[name]) for name in ("arrows", "pins", "strokes")]


def near(found: Any, expected: Any, page: ComfyPage, pixels: float = 1.0) -> bool:
    _, _, width, height = page.picture_box(PICTURE)
    return len(found) == len(expected) and all(
        abs(x - u) * width <= pixels and abs(y - v) * height <= pixels
        for (x, y), (u, v) in zip(found, expected, strict=True)
    )
