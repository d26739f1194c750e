"""The values that travel between the stages; ComfyUI's T2C_* sockets carry exactly these.

Pictures are float32 tensors [B, H, W, C] in 0..1, masks float32 [B, H, W] in 0..1 (1 = moves), as in ComfyUI.
Velocities are px/frame at the picture's own size, x to the right, y downwards.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from .errors import InputError

Point = tuple[float, float]
"""(x, y), each 0..1 across the picture's width and height."""

REFERENCE_SIZE = 512
"""Speeds of arrows and directions are px/frame of a picture whose longer side has this many pixels (the paper's)."""


def speed_scale(height: int, width: int) -> float:
    """Picture pixels in one reference pixel, so that the same hints move the same way at any size."""
    return max(height, width) / REFERENCE_SIZE


@dataclass(frozen=True)
class Arrow:
    """A path the fluid follows. ``speed`` is in px/frame at the reference size of 512 px."""

    points: tuple[Point, ...]
    speed: float = 1.0


@dataclass(frozen=True)
class Stroke:
    """A brush stroke. ``mode`` 'erase' takes away what earlier strokes painted.

    radius: fraction of the picture's longer side. feather: how much of the radius fades out, 0 (hard) to 1.
    """

    points: tuple[Point, ...]
    radius: float
    mode: Literal["move", "freeze", "erase"] = "move"
    feather: float = 0.0


@dataclass(frozen=True)
class MotionHints:
    """What the user drew: where the fluid goes (arrows), what stays (pins), what is and is not fluid (strokes)."""

    arrows: tuple[Arrow, ...] = ()
    pins: tuple[Point, ...] = ()
    strokes: tuple[Stroke, ...] = ()

    @property
    def empty(self) -> bool:
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
    """What a diffusion model itself knows of one picture's regions, gathered while it painted it.

    affinity: [T, T] float32, how much query (row) attends to key (column), averaged over heads, steps and blocks;
        rows sum to 1, not symmetric. T = h * w places, row by row, together covering the whole picture.
    grid: (h, w).
    features: [T, F] float32, one point per place for k-means; distances between them are those between the rows of
        all heads' maps side by side.
    words: the K words of the prompt in their order, lower case, without weights and punctuation.
    heat: [K, h, w] float32 in 0..1, how much each place's cross-attention goes to each word; not normalised.
    """

    affinity: torch.Tensor
    grid: tuple[int, int]
    features: torch.Tensor
    words: tuple[str, ...] = ()
    heat: torch.Tensor | None = None

    def __post_init__(self) -> None:
        places = self.grid[0] * self.grid[1]
        heat = (len(self.words), *self.grid)
        if tuple(self.affinity.shape) != (places, places) or not len(self.features) == places > 0:
            raise InputError("attention", f"does not fit its grid of {self.grid[1]}x{self.grid[0]}.")
        if self.words and (self.heat is None or tuple(self.heat.shape) != heat):
            raise InputError("attention", f"needs heat maps of shape {list(heat)}.")


@dataclass(frozen=True)
class FluidRegion:
    """One kind of thing that moves.

    label: its kind ('river'), or the word asked for. name: what the model calls it ('river, stream', 'brook').
    score: 0..1, how sure the model is of it on average. mask: [H, W] float32 in 0..1.
    """

    label: str
    name: str
    score: float
    mask: torch.Tensor


@dataclass(frozen=True)
class FluidRegions:
    """What moves in one picture, kind by kind: one region for a label, no two in the same place. May be empty."""

    regions: tuple[FluidRegion, ...] = ()

    def __post_init__(self) -> None:
        if any(r.mask.ndim != 2 or r.mask.shape != self.regions[0].mask.shape for r in self.regions):
            raise InputError("regions", "need masks [H, W] of one size.")

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) in pixels; None without any region."""
        return tuple(self.regions[0].mask.shape) if self.regions else None

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(region.label for region in self.regions)


Renderer = Literal["gather", "splat"]
RENDERERS: tuple[str, ...] = ("gather", "splat")
Integration = Literal["rk4", "bilinear", "nearest"]
INTEGRATIONS: tuple[str, ...] = ("rk4", "bilinear", "nearest")
MOST_FRAMES = 100_000
"""Almost an hour at 30 frames per second: more is a mistake."""
Blend = Literal["contrast", "linear"]
BLENDS: tuple[str, ...] = ("contrast", "linear")


@dataclass(frozen=True)
class WarpPlan:
    """Everything needed to render any frame of the loop; no frames (a few MB).

    picture: [1, H, W, 3] float32 0..1, the picture that is animated.
    flow: its motion field at the same size.
    frames: N, the loop's length; frame N would equal frame 0 and is never produced.
    speed: multiplies the velocity.
    renderer: 'gather' samples the picture along inverse traces; 'splat' pushes its pixels forward (softmax splatting).
    integration: how a trace is integrated: 'rk4', 'bilinear' (Euler) or 'nearest' (Euler at rounded positions).
    """

    picture: torch.Tensor
    flow: MotionField
    frames: int = 60
    speed: float = 1.0
    renderer: Renderer = "gather"
    integration: Integration = "rk4"
    metric: torch.Tensor | None = field(default=None, compare=False)
    """Softmax splatting metric Z [1, 1, H, W]; None gives every pixel the same weight."""
    network: Any = field(default=None, compare=False)
    """A published video network that renders the frames from features instead; None warps the picture's pixels."""
    network_still: bool = False
    """With a network: whether what does not move is the network's picture too, not the source's pixels."""

    def __post_init__(self) -> None:
        p = self.picture
        if p.ndim != 4 or p.shape[-1] != 3:
            raise InputError("image", f"needs shape [1, H, W, 3], not {list(p.shape)}.")
        if p.shape[0] != 1:
            raise InputError(
                "image",
                f"holds {p.shape[0]} pictures; one loop is made from one picture.",
                "Choose one with 'Get Image from Batch', or put 'Rebatch Images' (batch size 1) before this node "
                "to get one loop for each.",
            )
        if tuple(p.shape[1:3]) != self.flow.size:
            raise InputError(
                "flow",
                f"was made for a {self.flow.size[1]}x{self.flow.size[0]} picture, "
                f"the image is {p.shape[2]}x{p.shape[1]}.",
                "Make the flow from this image, or scale one of them to the other's size.",
            )
        if self.frames < 2:
            raise InputError("frames", f"is {self.frames}; a loop needs at least 2.")
        if self.frames > MOST_FRAMES:
            raise InputError("frames", f"is {self.frames}; at most {MOST_FRAMES} are rendered.")
        if not 0.0 <= self.speed <= 100.0:
            raise InputError("speed", f"is {self.speed}; it must lie between 0 and 100.")
        z = self.metric
        if z is not None and tuple(z.shape) != (1, 1, *self.flow.size):
            raise InputError("metric", f"has shape {list(z.shape)}; needs {[1, 1, *self.flow.size]}.")
        for name, value, allowed in (
            ("renderer", self.renderer, RENDERERS),
            ("integration", self.integration, INTEGRATIONS),
        ):
            if value not in allowed:
                raise InputError(name, f"is '{value}'; choose one of {', '.join(allowed)}.")
