"""Reading a raster at fractional positions, by the fastest exact-enough way of each device."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F

# OpenCV cannot make a result with a side of 32768 or more; long lists of points become a table of this width.
_TABLE_WIDTH = 1024
TILE_POINTS = 2**18
"""Long lists of points are worked on in tiles of this many on a CPU: all that lies between two steps stays small."""
LARGE_TILE_POINTS = 2**21
"""The same on other devices, which have to be kept busy."""
_CV_MODES = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}


def tiles(count: int, device: torch.device | str = "cpu") -> list[slice]:
    """Slices that cover a list of ``count`` points on a device; a single empty one for no points."""
    points = TILE_POINTS if torch.device(device).type == "cpu" else LARGE_TILE_POINTS
    return [slice(first, min(first + points, count)) for first in range(0, max(count, 1), points)]


def _fold(raster: torch.Tensor, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same mirror image in a form OpenCV can work with.

    It folds a far position back one picture at a time, and never comes to an end where a side is a single pixel.
    """
    height, width, channels = raster.shape
    raster = raster.expand(max(height, 2), max(width, 2), channels)
    if len(positions) and float(positions.abs().max()) > 16 * max(height, width, 2):
        period = 2.0 * torch.tensor([max(width - 1, 1), max(height - 1, 1)])
        folded = positions.remainder(period)
        positions = torch.minimum(folded, period - folded)
    return raster, positions


def _sample_opencv(raster: torch.Tensor, positions: torch.Tensor, mode: str, border: int) -> torch.Tensor:
    count, channels = len(positions), raster.shape[-1]
    if not count:
        return raster.new_zeros(0, channels)
    rows = -(-count // _TABLE_WIDTH)
    table = np.ascontiguousarray(positions.numpy(), np.float32)
    if count % _TABLE_WIDTH:
        table = np.zeros((rows * _TABLE_WIDTH, 2), np.float32)
        table[:count] = positions.numpy()
    table = table.reshape(rows, _TABLE_WIDTH, 2)
    out = cv2.remap(np.ascontiguousarray(raster.numpy()), table, None, _CV_MODES[mode], borderMode=border)
    return torch.from_numpy(out.reshape(rows * _TABLE_WIDTH, channels)[:count])


def sample(
    raster: torch.Tensor, positions: torch.Tensor, *, mode: str = "bilinear", outside: str = "edge"
) -> torch.Tensor:
    """Values [M, C] of a float32 raster [H, W, C] at pixel positions [M, 2] (x, y; pixel centres at whole numbers).

    mode: 'bilinear' or 'bicubic' (Keys' kernel, a = -0.75, on every device). outside: 'edge' repeats the border,
    'mirror' reflects about the border pixels. On the CPU cv2.remap does it (positions to 1/32 px; several times
    faster than grid_sample), elsewhere torch's grid_sample.
    """
    if raster.device.type == "cpu" and max(raster.shape[:2]) < 32767:
        if outside == "edge":
            return _sample_opencv(raster, positions, mode, cv2.BORDER_REPLICATE)
        return _sample_opencv(*_fold(raster, positions), mode, cv2.BORDER_REFLECT_101)
    return _sample_torch(raster, positions, mode, outside)


def _sample_torch(raster: torch.Tensor, positions: torch.Tensor, mode: str, outside: str) -> torch.Tensor:
    height, width = raster.shape[:2]
    size = torch.tensor([max(width - 1, 1), max(height - 1, 1)], device=raster.device, dtype=torch.float32)
    grid = (positions * (2.0 / size) - 1.0)[None, None]
    padding = "border" if outside == "edge" else "reflection"
    values = F.grid_sample(raster.permute(2, 0, 1)[None], grid, mode=mode, padding_mode=padding, align_corners=True)
    return values[0, :, 0].T


def sample_planes(planes: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Bilinear values [C, M] of planes [C, H, W], any number of them, at positions [M, 2]; the border is repeated."""
    return torch.cat([sample(p.permute(1, 2, 0), positions).T for p in planes.split(4)])
