"""Which part of a frame has to be stored when the frame before is already on the screen."""

from __future__ import annotations

import numpy as np

from ...geometry import bounding_box


def changed_box(changed: np.ndarray, *, even: bool = False) -> tuple[slice, slice]:
    """(rows, columns) of the smallest box around the True values of [H, W]; one pixel at the origin without any.

    An unchanged frame is stored as that one pixel: leaving it out would change the number of frames and the rhythm.
    ``even`` rounds top and left down to even numbers, as WebP demands.
    """
    if not changed.any():
        return slice(0, 1), slice(0, 1)
    rows, columns = bounding_box(changed)
    step = 2 if even else 1
    return slice(rows.start // step * step, rows.stop), slice(columns.start // step * step, columns.stop)
