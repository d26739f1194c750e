"""Guided upsampling of coarse masks to the image's own edges."""

from __future__ import annotations

import cv2
import numpy as np
import torch


def to_rgb(image: torch.Tensor) -> np.ndarray:
    """[H, W, 3] float32 in 0..1 of an image [1, H, W, 3 or 4]."""
    return image[0, ..., :3].float().cpu().clamp(0, 1).numpy()


def guided_upsample(probability: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """Joint upsampling of a probability [h, w] to the size of ``rgb`` [H, W, 3] by a guided filter; float32 [H, W]."""
    from kornia.filters import guided_blur

    full = rgb.shape[:2]
    scale = min(1.0, max(probability.shape) / max(full))
    upsampled = cv2.resize(probability.astype(np.float32), full[::-1], interpolation=cv2.INTER_CUBIC)
    radius = 2 * max(1, round(1.5 / scale)) + 1
    if min(full) <= radius:  # the filter mirrors the image at its border, which a narrower one is too small for
        return upsampled
    guide = torch.from_numpy(rgb).permute(2, 0, 1)[None]
    # Coefficients on a coarser grid (He & Sun, "Fast Guided Filter", 2015): large images would fill the memory.
    coarser = max(1, int(0.5 / scale))
    smooth = guided_blur(guide, torch.from_numpy(upsampled)[None, None], (radius, radius), 1e-3, subsample=coarser)
    return smooth[0, 0].numpy()
