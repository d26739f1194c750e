"""Many frames of a loop on one picture."""

from __future__ import annotations

from collections.abc import Iterable, Sized

import cv2
import numpy as np

from ..errors import InputError
from .frames import Frame, as_bytes

_BACKGROUND = 24
_OUTLINE = (255, 200, 0)


def contact_sheet(
    frames: Iterable[Frame],
    *,
    columns: int = 4,
    count: int = 12,
    width: int = 1600,
    mask: Frame | None = None,
) -> np.ndarray:
    """uint8 [h, width, 3]: up to ``count`` evenly spaced frames, each with its number, in rows of ``columns``.

    frames: [H, W, 3] float 0..1 or uint8; read once, one at a time, shrunk at once. Without a length every frame is
        kept in its small form until the last has come.
    mask: [H, W] or [1, H, W], drawn as an outline at 0.5. Raises InputError.
    """
    for name, value, lowest in (("columns", columns, 1), ("count", count, 1), ("width", width, 16 * columns)):
        if value < lowest:
            raise InputError(name, f"is {value}; it must be at least {lowest}.")
    total = len(frames) if isinstance(frames, Sized) else None
    wanted = None if total is None else set(evenly_spaced(total, count))
    gap = max(2, width // 200)
    tile_width = (width - gap * (columns + 1)) // columns
    tiles: dict[int, np.ndarray] = {}
    for number, frame in enumerate(frames):
        if wanted is None or number in wanted:
            tiles[number] = _tile(as_bytes(frame), number, tile_width, mask)
    if not tiles:
        raise InputError("frames", "there are none.")
    chosen = [tiles[n] for n in evenly_spaced(len(tiles), count)] if wanted is None else list(tiles.values())
    return _arrange(chosen, min(columns, len(chosen)), gap, width)


def evenly_spaced(total: int, count: int) -> list[int]:
    """At most ``count`` of the numbers 0..total-1 at even distances around the loop, beginning with 0."""
    count = min(total, count)
    return [index * total // count for index in range(count)]


def _tile(frame: np.ndarray, number: int, width: int, mask: Frame | None) -> np.ndarray:
    height = max(1, round(frame.shape[0] * width / frame.shape[1]))
    shrinks = width < frame.shape[1]
    tile = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    if mask is not None:
        _draw_outline(tile, mask, frame.shape[:2])
    scale = max(0.4, width / 500)
    place = (round(10 * scale), height - round(12 * scale))
    for colour, thickness in (((0, 0, 0), round(5 * scale)), ((255, 255, 255), round(2 * scale))):
        cv2.putText(tile, str(number), place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, max(1, thickness), cv2.LINE_AA)
    return tile


def _draw_outline(tile: np.ndarray, mask: Frame, size: tuple[int, int]) -> None:
    plane = np.asarray(mask, dtype=np.float32)
    plane = plane.reshape(plane.shape[-2:])
    if plane.shape != size:
        raise InputError("mask", f"{list(plane.shape)} does not fit frames of {list(size)}.")
    small = cv2.resize(plane, tile.shape[1::-1], interpolation=cv2.INTER_AREA)
    contours, _ = cv2.findContours((small > 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(tile, contours, -1, _OUTLINE, 1, cv2.LINE_AA)


def _arrange(tiles: list[np.ndarray], columns: int, gap: int, width: int) -> np.ndarray:
    tile_height, tile_width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    sheet = np.full((gap + rows * (tile_height + gap), width, 3), _BACKGROUND, np.uint8)
    for index, tile in enumerate(tiles):
        top = gap + index // columns * (tile_height + gap)
        left = gap + index % columns * (tile_width + gap)
        sheet[top : top + tile_height, left : left + tile_width] = tile
    return sheet
