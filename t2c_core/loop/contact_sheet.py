"""Many frames of a loop on one image."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from ..errors import InputError
from .frames import Frame, as_bytes

COLUMNS, MOST_FRAMES, WIDTH, GAP = 4, 12, 1600, 8
_BACKGROUND = 24


def contact_sheet(frames: Iterable[Frame]) -> np.ndarray:
    """uint8 [h, WIDTH, 3]: up to 12 evenly spaced frames, beginning with the first, with their numbers, 4 in a row.

    frames: [H, W, 3] float 0..1 or uint8; read once, one at a time, shrunk at once. Raises InputError without any.
    """
    tiles = [_tile(as_bytes(frame), number) for number, frame in enumerate(frames)]
    if not tiles:
        raise InputError("frames", "there are none.")
    count = min(len(tiles), MOST_FRAMES)
    chosen = [tiles[index * len(tiles) // count] for index in range(count)]
    height, width = chosen[0].shape[:2]
    sheet = np.full((GAP + -(-count // COLUMNS) * (height + GAP), WIDTH, 3), _BACKGROUND, np.uint8)
    for index, tile in enumerate(chosen):
        top, left = GAP + index // COLUMNS * (height + GAP), GAP + index % COLUMNS * (width + GAP)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def _tile(frame: np.ndarray, number: int) -> np.ndarray:
    width = (WIDTH - GAP) // COLUMNS - GAP
    height = max(1, round(frame.shape[0] * width / frame.shape[1]))
    shrinks = width < frame.shape[1]
    tile = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    for shade, thickness in ((0, 4), (255, 2)):
        cv2.putText(
            tile, str(number), (8, height - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (shade,) * 3, thickness, cv2.LINE_AA
        )
    return tile
