"""The fluid and its motion continued beyond the mask, so that what flows in from a border is fluid, too.

Where a trace crosses the mask's border, the picture holds rock or sky: carried along it would smear. The fluid's own
texture is folded outwards over the border instead (a mirror image in depth, sharp and of the same statistics, which
a diffusion-based inpainting cannot give), and the velocity is continued from the nearest fluid.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch

from ..geometry import nearest_inside
from ..kernels.dispatch import use_numba
from ..kernels.workers import side_by_side

DEEPEST = 96
TILE = 2**16
"""Pixels beyond the mask are worked on in tiles of this many."""
MIN_COVERAGE = 0.1
"""Where the mask is fainter than this the pixel shows its surroundings, not fluid: no texture to carry."""


def _depth(fluid: np.ndarray, y: np.ndarray, x: np.ndarray, ny: np.ndarray, nx: np.ndarray, deepest: int) -> np.ndarray:
    """How many px the fluid reaches from each border pixel (y, x) inwards along its unit normal (ny, nx).

    fluid: [H, W] with a margin of one pixel that is none.
    """
    height, width = fluid.shape
    flat = fluid.reshape(-1)
    depth = np.zeros(len(y), np.int32)
    going = np.arange(len(y))
    for k in range(1, deepest + 1):
        at = _steps_on(y, ny, k, height) * width
        at += _steps_on(x, nx, k, width)
        ok = flat.take(at)
        if not ok.all():
            going, y, x, ny, nx = (values[ok] for values in (going, y, x, ny, nx))
        if not len(going):
            break
        depth[going] = k
    return depth


def _steps_on(start: np.ndarray, step: np.ndarray, k: int, size: int) -> np.ndarray:
    """int32: the pixels k steps on, counted with a margin of one pixel, on which all beyond it end up."""
    at = step * k
    at += start
    at = np.rint(at, out=at).astype(np.int32)
    at += 1
    return np.minimum(np.maximum(at, 0, out=at), size - 1, out=at)


def extend_image(image: torch.Tensor, mask: torch.Tensor, reach: float) -> torch.Tensor:
    """The picture [H, W, 3] with the fluid's texture continued up to ``reach`` px beyond its mask [H, W].

    Fluid pixels (mask > 0.1, or > 0 if there are none) are unchanged. float32 on the CPU; where nothing lies beyond
    the fluid it is the picture itself.
    """
    rgb = image.float().cpu().numpy()
    m = mask.float().cpu().numpy()
    fluid = m > MIN_COVERAGE if (m > MIN_COVERAGE).any() else m > 0
    if fluid.all() or not fluid.any():
        return torch.from_numpy(rgb)
    distance = cv2.distanceTransform((~fluid).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    beyond = np.flatnonzero(~fluid & (distance <= max(2.0, reach))).astype(np.int32)
    del distance
    near, padded, out = nearest_inside(fluid).reshape(-1), np.pad(fluid, 1), rgb.copy()
    deepest = int(min(DEEPEST, max(2, reach)))
    of_fluid = _folded_inwards
    if use_numba(torch.device("cpu")):
        from ..kernels.compiled_paths import folded_inwards as of_fluid

    def extend(part: slice) -> None:
        tile = beyond[part]
        out.reshape(-1, 3)[tile] = rgb.reshape(-1, 3)[of_fluid(padded, tile, near[tile], deepest)]

    side_by_side(extend, len(beyond), TILE)
    return torch.from_numpy(out)


def _folded_inwards(fluid: np.ndarray, pixels: np.ndarray, nearest: np.ndarray, deepest: int) -> np.ndarray:
    """The fluid pixel that each of ``pixels`` shows, by numbers that count the picture row by row.

    fluid: [H, W] with a margin of one pixel that is none; nearest: the fluid's nearest to each pixel.
    """
    width = fluid.shape[1] - 2
    (ys, xs), (qy, qx) = np.divmod(pixels, width), np.divmod(nearest, width)
    d = np.hypot(qy - ys, qx - xs)
    ny, nx = (qy - ys) / d, (qx - xs) / d
    depth = _depth(fluid, qy, qx, ny, nx, deepest)
    # A triangle wave folds the distance into the depth the fluid really has there.
    period = np.maximum(2 * depth, 1)
    fold = (d - 1) % period
    inwards = np.minimum(fold, period - fold)
    return np.rint(qy + ny * inwards).astype(np.int32) * width + np.rint(qx + nx * inwards).astype(np.int32)


def extend_velocity(velocity: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """A velocity [1, 2, H, W] continued from the fluid (mask [1, H, W] > 0) over the whole picture.

    Each pixel outside takes the velocity of the nearest fluid pixel, smoothed; inside nothing changes.
    """
    fluid = (mask[0] > 0).cpu().numpy()
    if fluid.all() or not fluid.any():
        return velocity.float()
    near, out = nearest_inside(fluid), []
    for v in velocity[0].float().cpu().numpy():
        smooth = cv2.GaussianBlur(v.reshape(-1)[near], (0, 0), max(1.0, max(fluid.shape) / 256))
        np.copyto(smooth, v, where=fluid)
        out.append(torch.from_numpy(smooth))
    return torch.stack(out)[None].to(velocity.device)
