"""What every place of an image looks like: brightness, roughness and grain."""

from __future__ import annotations

import cv2
import numpy as np


def appearance_descriptors(frame: np.ndarray) -> np.ndarray:
    """Local appearance [H, W, 9] float32 of an RGB frame [H, W, 3] in 0..1, rounded to 8 bits.

    Channel 0: 4 * local mean of luma; 1..8: 0.5 * log(local energy of a derivative + 1e-5), at 4 angles (0, 45, 90,
    135 degrees) of 2 scales (sigma 1 and 2.5 px). Local: a Gaussian window of sigma = longer side / 100.
    """
    pixels = (np.clip(frame, 0.0, 1.0) * 255.0).round().astype(np.uint8)
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    window = max(luma.shape) / 100
    out = np.empty((*luma.shape, 9), np.float32)
    out[..., 0] = 4.0 * cv2.GaussianBlur(luma, (0, 0), window)
    for first, sigma in ((1, 1.0), (5, 2.5)):
        smooth = cv2.GaussianBlur(luma, (0, 0), sigma)
        dx, dy = (cv2.Sobel(smooth, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
        # (c dx + s dy)^2 = c^2 dx^2 + 2 c s dx dy + s^2 dy^2: three windows for four angles.
        xx, xy, yy = (cv2.GaussianBlur(product, (0, 0), window) for product in (dx * dx, dx * dy, dy * dy))
        for number, angle in enumerate(np.radians((0, 45, 90, 135))):
            c, s = np.cos(angle), np.sin(angle)
            energy = float(c * c) * xx + float(2 * c * s) * xy + float(s * s) * yy
            out[..., first + number] = 0.5 * np.log(np.maximum(energy, 0.0) + 1e-5)
    return out
