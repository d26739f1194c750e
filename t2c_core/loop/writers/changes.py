"""Which part of a frame has to be stored when the frame before is already on the screen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Box(NamedTuple):
    left: int
    top: int
    right: int
    bottom: int

    @property
    def rows_columns(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)


def bounding_box(changed: np.ndarray, *, even: bool = False) -> Box:
    """The smallest box around the True values of [H, W]; one pixel at the origin when there are none.

    An unchanged frame is stored as that one pixel: leaving it out would change the number of frames and the rhythm.
    ``even`` rounds left and top down to even numbers, as WebP demands.
    """
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    if rows.size == 0:
        return Box(0, 0, 1, 1)
    left, top = int(columns[0]), int(rows[0])
    if even:
        left, top = left - left % 2, top - top % 2
    return Box(left, top, int(columns[-1]) + 1, int(rows[-1]) + 1)
