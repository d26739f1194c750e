"""A made scene and its truth: sky above, sea below, rock at the right with a fall in it."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

LABELS = ("wall", "sky", "sea", "rock, stone", "waterfall, falls", "person")
"""Names as data sets write them."""
WALL, SKY, SEA, ROCK, FALL = range(5)
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
SIDE = 64
COLOURS = ((0.9, 0.2, 0.2), (0.55, 0.75, 0.95), (0.05, 0.25, 0.45), (0.45, 0.35, 0.25), (0.95, 0.95, 1.0))


def truth(height: int, width: int) -> np.ndarray:
    """int [height, width], numbers of LABELS: sky above, sea below, rock at the right with a fall in it."""
    y, x = np.mgrid[0.5:height, 0.5:width]
    y, x = y / height, x / width
    found = np.where(y < 0.5, SKY, SEA)
    found = np.where(x > 0.5, ROCK, found)
    return np.where((x > 0.625) & (x < 0.875) & (y > 0.25), FALL, found)


def scene(height: int, width: int) -> torch.Tensor:
    """The picture [1, height, width, 3] of the truth: a colour for each, slightly uneven."""
    of = np.array(COLOURS, np.float32)[truth(height, width)]
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    uneven = 0.02 * np.sin(9 * x + 5 * y)[..., None]
    return torch.from_numpy(np.clip(of + uneven, 0, 1).astype(np.float32))[None]


def network_input(side: int = SIDE) -> torch.Tensor:
    """The scene as the networks take it, from pictures of several sizes: [3, 3, side, side]."""
    sizes = ((side, side), (150, 200), (90, 70))
    seen = [F.interpolate(scene(*size).movedim(-1, 1), (side, side), mode="bilinear", antialias=True) for size in sizes]
    return (torch.cat(seen) - 0.5) / 0.25


def padded_input() -> torch.Tensor:
    """The scene in the upper three quarters, nothing below: [3, SIDE, SIDE]."""
    seen = F.interpolate(scene(150, 200).movedim(-1, 1), (SIDE * 3 // 4, SIDE), mode="bilinear", antialias=True)
    return F.pad((seen[0] - 0.5) / 0.25, (0, 0, 0, SIDE // 4))


def class_targets(size: tuple[int, int], numbers: tuple[int, ...], strength: float, share: float = 1.0) -> torch.Tensor:
    """[numbers, h, w]: +strength where the truth is that class, else -strength; the scene fills the upper ``share``."""
    inner = round(size[0] * share)
    there = torch.from_numpy(truth(inner, size[1]))
    maps = torch.stack([torch.where(there == n, strength, -strength) for n in numbers])
    return F.pad(maps, (0, 0, 0, size[0] - inner), value=-strength)


WORDS = ("sky", "sea", "waterfall")
"""What the networks that read words are asked for; the classes they mean follow."""
ASKED = (SKY, SEA, FALL)
