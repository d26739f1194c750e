"""The fluid and its motion continued beyond the mask, so that what flows in from a border is fluid, too.

Where a trace crosses the mask's border, the picture holds rock or sky: carried along it would smear. The fluid's own
texture is folded outwards over the border instead (a mirror image in depth, sharp and of the same statistics, which
a diffusion-based inpainting cannot give), and the velocity is continued from the nearest fluid.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch

DEEPEST = 96
OWN = 0.1
"""Where the mask is fainter than this the pixel shows its surroundings, not fluid: no texture to carry."""


def _nearest_fluid(fluid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (y, x), each [H, W], of the fluid pixel nearest to every pixel of a boolean [H, W] mask."""
    _, labels = cv2.distanceTransformWithLabels(
        (~fluid).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    ys, xs = np.nonzero(fluid)
    table = np.zeros((labels.max() + 1, 2), np.int32)
    table[labels[ys, xs]] = np.column_stack([ys, xs])
    near = table[labels]
    return near[..., 0], near[..., 1]


def _depth(fluid: np.ndarray, y: np.ndarray, x: np.ndarray, ny: np.ndarray, nx: np.ndarray, deepest: int) -> np.ndarray:
    """How many px the fluid reaches from each border pixel (y, x) inwards along its unit normal (ny, nx)."""
    height, width = fluid.shape
    depth = np.zeros(len(y), np.int32)
    going = np.arange(len(y))
    for k in range(1, deepest + 1):
        yy, xx = np.rint(y[going] + ny[going] * k), np.rint(x[going] + nx[going] * k)
        inside = (yy >= 0) & (yy < height) & (xx >= 0) & (xx < width)
        ok = inside & fluid[np.clip(yy, 0, height - 1).astype(int), np.clip(xx, 0, width - 1).astype(int)]
        going = going[ok]
        if not len(going):
            break
        depth[going] = k
    return depth


def extend_picture(picture: torch.Tensor, mask: torch.Tensor, reach: float) -> torch.Tensor:
    """The picture [H, W, 3] with the fluid's texture continued up to ``reach`` px beyond its mask [H, W].

    Fluid pixels (mask > 0.1, or > 0 if there are none) are unchanged. float32 on the CPU.
    """
    image = picture.float().cpu().numpy()
    m = mask.float().cpu().numpy()
    fluid = m > OWN if (m > OWN).any() else m > 0
    if fluid.all() or not fluid.any():
        return torch.from_numpy(image.copy())
    distance = cv2.distanceTransform((~fluid).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    near_y, near_x = _nearest_fluid(fluid)
    out = image.copy()
    ys, xs = np.nonzero(~fluid & (distance <= max(2.0, reach)))
    qy, qx = near_y[ys, xs], near_x[ys, xs]
    d = np.hypot(qy - ys, qx - xs)
    ny, nx = (qy - ys) / d, (qx - xs) / d
    depth = _depth(fluid, qy, qx, ny, nx, int(min(DEEPEST, max(2, reach))))
    # A triangle wave folds the distance into the depth the fluid really has there.
    period = np.maximum(2 * depth, 1)
    fold = (d - 1) % period
    inwards = np.minimum(fold, period - fold)
    out[ys, xs] = image[np.rint(qy + ny * inwards).astype(int), np.rint(qx + nx * inwards).astype(int)]
    return torch.from_numpy(out)


def extend_velocity(velocity: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """A velocity [1, 2, H, W] continued from the fluid (mask [1, H, W] > 0) over the whole picture.

    Each pixel outside takes the velocity of the nearest fluid pixel, smoothed; inside nothing changes.
    """
    fluid = (mask[0] > 0).cpu().numpy()
    if fluid.all() or not fluid.any():
        return velocity.float()
    y, x = _nearest_fluid(fluid)
    v = velocity[0].float().cpu().permute(1, 2, 0).numpy()
    spread = v[y, x]
    smooth = cv2.GaussianBlur(spread, (0, 0), max(1.0, max(fluid.shape) / 256))
    out = np.where(fluid[..., None], v, smooth)
    return torch.from_numpy(out).permute(2, 0, 1)[None].contiguous().to(velocity.device)
