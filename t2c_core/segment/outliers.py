"""Things in or before the fluid that stand out from it (posts, leaves, a kite, stars): colours that are rare in it."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

RARE = 0.005
"""Share of the fluid that has about a pixel's colour, below which that is rare."""
CONTRAST = 12.0
"""Least distance, in CIELAB units, of a rare colour from the local mean: the end of a gradient is rare, too."""
BIN, SPREAD = 4.0, (2.0, 1.5, 1.5)
"""CIELAB units a bin of the histogram is wide; standard deviation, in bins, of "about the same colour"."""
LIGHTNESS_WEIGHT = 0.7
WINDOW = 1 / 30
"""Standard deviation of the local mean's window, as a part of the longer side."""
MARGIN = 0.004
"""What is found grows by this part of the longer side."""


def colour_outliers(rgb: np.ndarray, fluid: np.ndarray) -> np.ndarray:
    """bool [H, W]: pixels of ``fluid`` bool [H, W], and a margin around them, whose colour stands out from it.

    rgb: [H, W, 3] float32 in 0..1. A colour stands out if less than RARE of the fluid has about this one (kernel
    density in CIELAB) and it differs from the fluid around it. Foam and glints are too common to do so.
    """
    if not fluid.any():
        return np.zeros_like(fluid)
    lab = cv2.GaussianBlur(cv2.cvtColor(np.ascontiguousarray(rgb, np.float32), cv2.COLOR_RGB2LAB), (0, 0), 0.8)
    bins = tuple(np.clip((lab[..., k] + offset) / BIN, 0, 51).astype(int) for k, offset in enumerate((0, 100, 100)))
    histogram = np.zeros((52, 52, 52), np.float32)
    np.add.at(histogram, tuple(b[fluid] for b in bins), 1.0 / np.count_nonzero(fluid))
    # Scaled so that a single colour of the fluid has the density 1.
    share = ndimage.gaussian_filter(histogram, SPREAD, mode="constant") * (2 * np.pi) ** 1.5 * np.prod(SPREAD)
    sigma = WINDOW * max(fluid.shape)
    inside = fluid.astype(np.float32)
    mean = cv2.GaussianBlur(lab * inside[..., None], (0, 0), sigma)
    mean /= cv2.GaussianBlur(inside, (0, 0), sigma)[..., None] + 1e-6
    contrast = np.linalg.norm((lab - mean) * np.array([LIGHTNESS_WEIGHT, 1, 1], np.float32), axis=-1)
    found = (fluid & (share[bins] < RARE) & (contrast > CONTRAST)).astype(np.uint8)
    size = 2 * max(1, round(MARGIN * max(fluid.shape))) + 1
    return cv2.dilate(found, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))) > 0
