"""Morphology of a mask: holes, islands, dilation and erosion, soft edge."""

from __future__ import annotations

import cv2
import numpy as np
import torch


def _distance(inside: np.ndarray) -> np.ndarray:
    return cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def grow_mask(solid: np.ndarray, pixels: float) -> np.ndarray:
    """Dilation of a bool [H, W] mask by ``pixels`` (erosion if negative) in Euclidean distance.

    The image's own border never erodes a mask that touches it.
    """
    if pixels > 0 and solid.any():
        return _distance(~solid) <= pixels
    if pixels < 0 and not solid.all():
        return _distance(solid) > -pixels
    return solid


def feather_mask(solid: np.ndarray, pixels: float) -> np.ndarray:
    """A soft edge of the given width (px) lying wholly inside a boolean [H, W] mask.

    Inside only, because pixels outside the mask stay the original, bit for bit.
    Returns float32 0..1: smoothstep of the distance to the mask's outside; 0 exactly outside.
    """
    if pixels <= 0 or solid.all():
        return solid.astype(np.float32)
    t = np.clip(_distance(solid) / (pixels + 1.0), 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t)).astype(np.float32) * solid


def drop_small(solid: np.ndarray, area: float) -> np.ndarray:
    """Remove the 4-connected components of a bool [H, W] mask with fewer than ``area`` pixels."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(solid.astype(np.uint8), connectivity=4)
    keep = np.asarray(stats[:, cv2.CC_STAT_AREA] >= area)
    keep[0] = False
    return keep[np.asarray(labels, np.int32)] if count > 1 else solid & False


def refine_mask(
    mask: torch.Tensor, *, grow: float = 0.0, feather: float = 0.0, fill_holes: float = 0.0, min_area: float = 0.0
) -> torch.Tensor:
    """Tidy a mask [B, H, W] (0..1) and return a new one of the same shape, float32 on the CPU.

    In this order: holes smaller than ``fill_holes`` and then islands smaller than ``min_area`` (both fractions of
    the image's area, 4-connected) go; the border moves outwards by ``grow`` px (inwards if negative); the edge
    becomes soft over ``feather`` px, inside the mask. With all four at 0 a soft mask passes unchanged; otherwise it
    is cut at 0.5 first.
    """
    mask = mask.float().cpu().clamp(0, 1)
    if not (grow or feather or fill_holes or min_area):
        return mask.clone()
    out = []
    for m in mask.numpy():
        solid = m >= 0.5
        if fill_holes and solid.any():
            solid = ~drop_small(~solid, fill_holes * m.size)
        if min_area:
            solid = drop_small(solid, min_area * m.size)
        out.append(feather_mask(grow_mask(solid, grow), feather))
    return torch.from_numpy(np.stack(out))
