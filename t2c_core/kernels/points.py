"""What the kernels have in common: one point's way along the field, and its share in the four pixels around it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import triton
import triton.language as tl

BLOCK = 256
"""Points or pixels that one program works on."""


NUMBERS = (
    "channels",
    "count",
    "height",
    "width",
    "field_height",
    "field_width",
    "left",
    "top",
    "steps",
    "points",
    "cell_count",
    "programs",
    "columns",
    "lists",
    "nodes",
    "most",
)
"""Arguments whose values are never compiled in: every size would take a compilation of its own."""


def kernel(function: Callable) -> triton.JITFunction:
    """A kernel to be launched, compiled once for each type of its tensors."""
    return triton.jit(do_not_specialize=NUMBERS)(function)


def on_device(tensor: torch.Tensor) -> AbstractContextManager:
    """Launches go to the current CUDA device, which need not be the tensors' own."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()


@triton.jit
def load_points(positions, at, mask):
    """x, y float32 of the points at indices ``at`` of positions [M, 2]."""
    x = tl.load(positions + 2 * at, mask=mask, other=0.0).to(tl.float32)
    y = tl.load(positions + 2 * at + 1, mask=mask, other=0.0).to(tl.float32)
    return x, y


@triton.jit
def corner(position, size):
    """The pixel at or before a coordinate (int32, -2..size) and the fraction beyond it; what is no number is at -2.

    -2 and size stand for all that lies farther out: neither they nor their successors are pixels of the picture.
    """
    position = tl.where(position == position, position, -2.0)
    # Limited before it becomes an integer, which could not hold it.
    position = tl.minimum(tl.maximum(position, -2.0), size.to(tl.float32))
    first = tl.floor(position)
    return first.to(tl.int32), position - first


@triton.jit
def look_up(step, x, y, height, width, mask):
    """The bilinear values (dx, dy) of a raster [H, W, 2] at x, y; the border is repeated."""
    x = tl.minimum(tl.maximum(x, 0.0), (width - 1).to(tl.float32))
    y = tl.minimum(tl.maximum(y, 0.0), (height - 1).to(tl.float32))
    left, top = tl.floor(x), tl.floor(y)
    fx, fy = x - left, y - top
    x0, y0 = left.to(tl.int32), top.to(tl.int32)
    x1, y1 = tl.minimum(x0 + 1, width - 1), tl.minimum(y0 + 1, height - 1)
    upper, lower = step + 2 * (y0 * width), step + 2 * (y1 * width)
    a, b = (1.0 - fy) * (1.0 - fx), (1.0 - fy) * fx
    c, d = fy * (1.0 - fx), fy * fx
    dx = a * tl.load(upper + 2 * x0, mask=mask, other=0.0) + b * tl.load(upper + 2 * x1, mask=mask, other=0.0)
    dx += c * tl.load(lower + 2 * x0, mask=mask, other=0.0) + d * tl.load(lower + 2 * x1, mask=mask, other=0.0)
    dy = a * tl.load(upper + 2 * x0 + 1, mask=mask, other=0.0) + b * tl.load(upper + 2 * x1 + 1, mask=mask, other=0.0)
    dy += c * tl.load(lower + 2 * x0 + 1, mask=mask, other=0.0) + d * tl.load(lower + 2 * x1 + 1, mask=mask, other=0.0)
    return dx, dy


@triton.jit
def round_even(x):
    """The nearest whole number, halves to the even one, as torch.round does."""
    first = tl.floor(x)
    rest = x - first
    odd = first - 2.0 * tl.floor(0.5 * first) == 1.0
    return first + ((rest > 0.5) | ((rest == 0.5) & odd)).to(tl.float32)


@triton.jit
def advance(step, x, y, height, width, mask, NEAREST: tl.constexpr):
    """The points x, y one frame later along the unit step [H, W, 2]."""
    if NEAREST:
        right, bottom = (width - 1).to(tl.float32), (height - 1).to(tl.float32)
        # A point that has left the picture stays where it left.
        mask = mask & (x >= 0) & (x <= right) & (y >= 0) & (y <= bottom)
        column = tl.minimum(tl.maximum(round_even(x), 0.0), right).to(tl.int32)
        row = tl.minimum(tl.maximum(round_even(y), 0.0), bottom).to(tl.int32)
        at = step + 2 * (row * width + column)
        dx = tl.load(at, mask=mask, other=0.0)
        dy = tl.load(at + 1, mask=mask, other=0.0)
    else:
        dx, dy = look_up(step, x, y, height, width, mask)
    return x + dx, y + dy


@triton.jit
def add_corner(out, x, y, height, width, value, weight, mask):
    """Add value * weight to pixel (x, y) of a plane [H, W]; nothing outside it, and nothing where the weight is 0."""
    inside = mask & (x >= 0) & (x < width) & (y >= 0) & (y < height) & (weight > 0)
    tl.atomic_add(out + y * width + x, value * weight, mask=inside, sem="relaxed")


@triton.jit
def scatter(out, values, at, x, y, channels, count, height, width, mask):
    """Add values [C, M] of the points at indices ``at`` to the four pixels around (x, y) of out [C, H, W]."""
    x0, fx = corner(x, width)
    y0, fy = corner(y, height)
    for _ in range(channels):
        value = tl.load(values + at, mask=mask, other=0.0).to(tl.float32)
        add_corner(out, x0, y0, height, width, value, (1.0 - fy) * (1.0 - fx), mask)
        add_corner(out, x0 + 1, y0, height, width, value, (1.0 - fy) * fx, mask)
        add_corner(out, x0, y0 + 1, height, width, value, fy * (1.0 - fx), mask)
        add_corner(out, x0 + 1, y0 + 1, height, width, value, fy * fx, mask)
        # Pointers move on by one plane: an index over all of them could exceed 32 bits.
        values += count
        out += height * width
