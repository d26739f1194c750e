"""Reading a raster at fractional positions, by the fastest exact-enough way of each device."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F

# OpenCV cannot make a result with a side of 32768 or more; long lists of points become a table of this width.
_TABLE_WIDTH = 1024
TILE_POINTS = 2**16
"""Points are worked on in tiles of this many for each thread on a CPU: what lies between two steps stays in caches."""
LARGE_TILE_POINTS = 2**21
"""The same on other devices, which have to be kept busy."""
_CV_MODES = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


def tiles(count: int, device: torch.device | str = "cpu", halvings: int = 0) -> list[slice]:
    """Slices that cover a list of ``count`` points on a device; a single empty one for no points.

    halvings: how often they are halved, where memory is short.
    """
    on_cpu = torch.device(device).type == "cpu"
    points = min(TILE_POINTS * torch.get_num_threads(), LARGE_TILE_POINTS) if on_cpu else LARGE_TILE_POINTS
    points = max(1, min(points, count) >> halvings)
    return [slice(first, min(first + points, count)) for first in range(0, max(count, 1), points)]


def _fold(raster: torch.Tensor, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same mirror image in a form OpenCV can work with.

    It folds a far position back one picture at a time, or only once, and never comes to an end where a side is a single
    pixel.
    """
    height, width, channels = raster.shape
    raster = raster.expand(max(height, 2), max(width, 2), channels)
    # By NumPy, in this thread alone: others may be at work on tiles of their own.
    shorter, low, high = max(min(height, width) - 1, 1), positions.numpy().min(), positions.numpy().max()
    if low < -shorter or high > 2 * shorter:
        period = 2.0 * torch.tensor([max(width - 1, 1), max(height - 1, 1)])
        folded = positions.remainder(period)
        positions = torch.minimum(folded, period - folded)
    return raster, positions


def _table(positions: torch.Tensor) -> np.ndarray:
    """Positions [M, 2] in rows of the width that OpenCV can work with; the last one is filled up."""
    count = positions.shape[0]
    rows = -(-count // _TABLE_WIDTH)
    table = np.ascontiguousarray(positions.numpy(), np.float32)
    if count % _TABLE_WIDTH:
        table = np.zeros((rows * _TABLE_WIDTH, 2), np.float32)
        table[:count] = positions.numpy()
    return table.reshape(rows, _TABLE_WIDTH, 2)


def _look_up(values: np.ndarray, positions: torch.Tensor, mode: int, **border: Any) -> np.ndarray:
    none: Any = None  # OpenCV's stubs do not know that one map of pairs is enough
    return cv2.remap(values, _table(positions), none, mode, **border)


def _remap(raster: torch.Tensor, positions: torch.Tensor, mode: str, outside: str) -> np.ndarray:
    """[M rounded up to whole rows, C] by OpenCV."""
    if outside == "mirror":
        raster, positions = _fold(raster, positions)
    border = cv2.BORDER_REPLICATE if outside == "edge" else cv2.BORDER_REFLECT_101
    return _look_up(np.ascontiguousarray(raster.numpy()), positions, _CV_MODES[mode], borderMode=border)


def _by_opencv(raster: torch.Tensor) -> bool:
    return raster.device.type == "cpu" and max(raster.shape[:2]) < 32767


def sample(
    raster: torch.Tensor, positions: torch.Tensor, *, mode: str = "bilinear", outside: str = "edge"
) -> torch.Tensor:
    """Values [M, C] of a float32 raster [H, W, C] at pixel positions [M, 2] (x, y; pixel centres at whole numbers).

    mode: 'bilinear' or 'bicubic' (Keys' kernel, a = -0.75, on every device). outside: 'edge' repeats the border,
    'mirror' reflects about the border pixels. On the CPU cv2.remap does it (positions to 1/32 px; several times
    faster than grid_sample), elsewhere torch's grid_sample.
    """
    if not _by_opencv(raster):
        return _sample_torch(raster, positions, mode, outside).T
    if not len(positions):
        return raster.new_zeros(0, raster.shape[-1])
    return torch.from_numpy(_remap(raster, positions, mode, outside).reshape(-1, raster.shape[-1])[: len(positions)])


def sample_planar(
    raster: torch.Tensor, positions: torch.Tensor, *, mode: str = "bilinear", outside: str = "edge"
) -> torch.Tensor:
    """:func:`sample` as planes [C, M] of a raster with up to 4 channels; bilinear look-ups are fastest with 4."""
    if not _by_opencv(raster):
        return _sample_torch(raster, positions, mode, outside)
    if not len(positions):
        return raster.new_zeros(raster.shape[-1], 0)
    values = _remap(raster, positions, mode, outside)
    planes = np.empty((raster.shape[-1], *values.shape[:2]), np.float32)
    if len(planes) == 1:
        planes[0] = values.reshape(values.shape[:2])
    else:
        cv2.split(values, [planes[channel] for channel in range(len(planes))])
    return torch.from_numpy(planes.reshape(len(planes), -1)[:, : len(positions)])


def inside(mask: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """bool [M]: whether the pixel nearest to a position [M, 2] lies in a mask, bool [H, W]; none beyond it does."""
    height, width = mask.shape
    if _by_opencv(mask) and len(positions):
        flags = _look_up(mask.numpy().view(np.uint8), positions, cv2.INTER_NEAREST, borderValue=0)
        return torch.from_numpy(flags).reshape(-1)[: len(positions)].view(torch.bool)
    x, y = torch.round(positions).long().unbind(1)
    within = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return within & mask[y.clamp(0, height - 1), x.clamp(0, width - 1)]


def interleave(planes: torch.Tensor) -> torch.Tensor:
    """[C, M] -> [M, C], contiguous; on the CPU by OpenCV, several times faster than torch."""
    if planes.device.type != "cpu" or not planes.numel():
        return planes.T.contiguous()
    return torch.from_numpy(cv2.transpose(planes.contiguous().numpy())).view(-1, planes.shape[0])


def _sample_torch(raster: torch.Tensor, positions: torch.Tensor, mode: str, outside: str) -> torch.Tensor:
    height, width = raster.shape[:2]
    # Without a tensor of constants, which would be uploaded each time.
    x, y = (2.0 / max(side - 1, 1) * positions[:, k] - 1.0 for k, side in ((0, width), (1, height)))
    grid = torch.stack([x, y], -1)[None, None]
    padding = "border" if outside == "edge" else "reflection"
    values = F.grid_sample(raster.permute(2, 0, 1)[None], grid, mode=mode, padding_mode=padding, align_corners=True)
    return values[0, :, 0]


def sample_planes(planes: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Bilinear values [C, M] of planes [C, H, W], any number of them, at positions [M, 2]; the border is repeated."""
    return torch.cat([sample_planar(p.permute(1, 2, 0), positions) for p in planes.split(4)])
