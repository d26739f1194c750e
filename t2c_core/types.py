"""The values that travel between the stages; ComfyUI's T2C_* sockets carry exactly these.

Images are float32 tensors [B, H, W, C] in 0..1, masks float32 [B, H, W] in 0..1 (1 = moves), as in ComfyUI.
Velocities are px/frame at the image's own size, x to the right, y downwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .errors import InputError
from .settings import fraction, setting

Point = tuple[float, float]
"""(x, y), each 0..1 across the image's width and height."""

REFERENCE_SIZE = 512
"""Speeds of arrows and directions are px/frame of an image whose longer side has this many pixels (the paper's)."""


def speed_scale(height: int, width: int) -> float:
    """Image pixels in one reference pixel, so that the same hints move the same way at any size."""
    return max(height, width) / REFERENCE_SIZE


def check_mask(mask: torch.Tensor, image: torch.Tensor) -> None:
    """Raise InputError('mask') for a mask [1, H, W] that is empty, or of another size than the image [1, H, W, 3]."""
    height, width = mask.shape[-2:]
    if tuple(image.shape[1:3]) != (height, width):
        raise InputError("mask", f"is {width}x{height}, the image {image.shape[2]}x{image.shape[1]}.")
    if not (mask > 0).any():
        raise InputError("mask", "is empty: nothing would move.", "Draw or paint what moves.")


@dataclass(frozen=True)
class Arrow:
    """A path the fluid follows. ``speed`` is in px/frame at the reference size of 512 px."""

    points: tuple[Point, ...]
    speed: float = setting(
        1.0,
        "Pixels per frame of an image whose longer side has 512 pixels.",
        low=0.0,
        high=64.0,
        step=0.05,
        unit="px/frame",
    )


@dataclass(frozen=True)
class Stroke:
    """A brush stroke. ``mode`` 'erase' takes away what earlier strokes painted.

    radius: fraction of the image's longer side. feather: how much of the radius fades out, 0 (hard) to 1.
    """

    points: tuple[Point, ...]
    radius: float = setting(0.02, "Radius, as a fraction of the image's longer side.", low=1e-4, high=1.0, step=0.001)
    mode: str = setting("move", "What the stroke says of what it covers.", choices=("move", "freeze", "erase"))
    feather: float = fraction(0.0, "How much of the radius fades out.")


@dataclass(frozen=True)
class MotionHints:
    """What the user drew: where the fluid goes (arrows), what stays (pins), what is and is not fluid (strokes)."""

    arrows: tuple[Arrow, ...] = ()
    pins: tuple[Point, ...] = ()
    strokes: tuple[Stroke, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing was drawn."""
        return not (self.arrows or self.pins or self.strokes)


@dataclass(frozen=True)
class MotionField:
    """An Eulerian motion field: constant in time.

    velocity: [1, 2, H, W] float32, px/frame, channel 0 = x (right), 1 = y (down). Zero where nothing moves.
    mask: [1, H, W] float32 in 0..1, 1 = fluid; soft at the edge.
    """

    velocity: torch.Tensor
    mask: torch.Tensor

    def __post_init__(self) -> None:
        v, m = self.velocity, self.mask
        if v.ndim != 4 or v.shape[:2] != (1, 2):
            raise InputError("flow", f"velocity must have shape [1, 2, H, W], not {list(v.shape)}.")
        if m.ndim != 3 or m.shape[0] != 1 or m.shape[-2:] != v.shape[-2:]:
            raise InputError("flow", f"mask {list(m.shape)} does not fit the velocity {list(v.shape)}.")
        if not torch.isfinite(v).all():
            raise InputError("flow", "the velocity contains NaN or infinite values.")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.velocity.shape[-2], self.velocity.shape[-1]


@dataclass(frozen=True)
class Attention:
    """Self- and cross-attention of a diffusion model, averaged while it sampled one image.

    affinity: [T, T] float32, attention of query (row) to key (column), averaged over heads, steps and layers; rows sum
        to 1, not symmetric. T = h * w tokens, row by row, together covering the whole image.
    grid: (h, w).
    words: the K words of the prompt in their order, lower case, without weights and punctuation.
    heat: [K, h, w] float32 in 0..1, each token's cross-attention to each word; not normalised.
    maps: [M, T, T] float32, the self-attention of every head, whose mean is the affinity; None: the affinity alone.
    heat_problem: why there are no heat maps; '' if that is not known.
    """

    affinity: torch.Tensor
    grid: tuple[int, int]
    words: tuple[str, ...] = ()
    heat: torch.Tensor | None = None
    maps: torch.Tensor | None = None
    heat_problem: str = ""

    def __post_init__(self) -> None:
        tokens = self.grid[0] * self.grid[1]
        heat = (len(self.words), *self.grid)
        maps = self.affinity[None] if self.maps is None else self.maps
        if not tokens or tuple(self.affinity.shape) != (tokens, tokens) or maps.shape[1:] != self.affinity.shape:
            raise InputError("attention", f"does not fit its grid of {self.grid[1]}x{self.grid[0]}.")
        if self.words and (self.heat is None or tuple(self.heat.shape) != heat):
            raise InputError("attention", f"needs heat maps of shape {list(heat)}.")


@dataclass(frozen=True)
class FluidRegion:
    """One kind of thing that moves.

    label: its kind ('river'), or the word asked for; '' where nobody said. name: what the model calls it ('river,
    stream', 'brook'). score: 0..1, how sure the model is of it on average. mask: [H, W] float32 in 0..1.
    """

    label: str
    name: str
    score: float
    mask: torch.Tensor


@dataclass(frozen=True)
class FluidRegions:
    """What moves in one image, kind by kind: one region for a label, no two in the same place. May be empty."""

    regions: tuple[FluidRegion, ...] = ()

    def __post_init__(self) -> None:
        if any(r.mask.ndim != 2 or r.mask.shape != self.regions[0].mask.shape for r in self.regions):
            raise InputError("regions", "need masks [H, W] of one size.")

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) in pixels; None without any region."""
        if not self.regions:
            return None
        height, width = self.regions[0].mask.shape
        return height, width

    @property
    def labels(self) -> tuple[str, ...]:
        """Every region's label, in their order."""
        return tuple(region.label for region in self.regions)
