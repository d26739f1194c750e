"""What lies nearest, for values that are known on a part of a picture only."""

from __future__ import annotations

import cv2
import numpy as np


def nearest_inside(inside: np.ndarray) -> np.ndarray:
    """int32 [H, W]: which pixel of a bool [H, W] mask, counted row by row, is the nearest to every pixel.

    Inside it is the pixel itself. The mask must hold some pixels, but not all.
    """
    _, labels = cv2.distanceTransformWithLabels(
        (~inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros(labels.max() + 1, np.int32)
    table[labels[inside]] = np.flatnonzero(inside)
    return table[labels]
