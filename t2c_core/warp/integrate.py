"""Integration of a velocity that is constant in time: where a point is after t frames.

Eulerian integration (Holynski et al., "Animating Pictures with Eulerian Motion Fields", CVPR 2021): the position obeys
dx/dt = v(x). Because v does not depend on time, one frame's step is the same map in every frame: it is computed once
(by Runge-Kutta 4 if asked), and N frames cost N look-ups of it, never N^2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from ..errors import InputError
from ..types import INTEGRATIONS
from .sample import sample

SUBSTEPS = 4
STORED_BYTES = 192 * 2**20
"""Traces up to this size are kept whole; larger ones are remade from check points."""


def pixel_grid(height: int, width: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Pixel positions [H * W, 2] (x, y), row by row, float32."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device, dtype=torch.float32),
        torch.arange(width, device=device, dtype=torch.float32),
        indexing="ij",
    )
    return torch.stack([x.reshape(-1), y.reshape(-1)], 1)


def unit_step(velocity: torch.Tensor, integration: str = "rk4") -> torch.Tensor:
    """The displacement of one frame [H, W, 2] (px) from a velocity [1, 2, H, W] (px/frame).

    'rk4': four Runge-Kutta steps of a quarter frame; 'bilinear' and 'nearest': the velocity itself (Euler).
    Raises InputError for another name.
    """
    if integration not in INTEGRATIONS:
        raise InputError("integration", f"is '{integration}'; choose one of {', '.join(INTEGRATIONS)}.")
    v = velocity[0].permute(1, 2, 0).contiguous().float()
    if integration != "rk4":
        return v
    height, width = v.shape[:2]
    start = pixel_grid(height, width, v.device)
    h, position = 1.0 / SUBSTEPS, start
    for _ in range(SUBSTEPS):
        k1 = sample(v, position)
        k2 = sample(v, position + 0.5 * h * k1)
        k3 = sample(v, position + 0.5 * h * k2)
        k4 = sample(v, position + h * k3)
        position = position + (h / 6.0) * (k1 + 2 * k2 + 2 * k3 + k4)
    return (position - start).reshape(height, width, 2)


def _advance(step: torch.Tensor, positions: torch.Tensor, integration: str) -> torch.Tensor:
    if integration != "nearest":
        return positions + sample(step, positions)
    height, width = step.shape[:2]
    x, y = torch.round(positions).long().unbind(1)
    moved = positions + step[y.clamp(0, height - 1), x.clamp(0, width - 1)]
    # A point that has left the picture stays where it left.
    return torch.where(outside(positions, height, width)[:, None], positions, moved)


def outside(positions: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """bool [M]: which positions [M, 2] lie beyond the middle of the picture's border pixels."""
    x, y = positions.unbind(1)
    return (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)


def displacement(velocity: torch.Tensor, steps: int, integration: str = "rk4") -> torch.Tensor:
    """Displacement [1, 2, H, W] (px) of every pixel after ``steps`` frames of a velocity [1, 2, H, W] (px/frame).

    'nearest' is the published code's integration: Euler steps with the velocity of the nearest pixel; a pixel that
    has once left the picture is marked with max(H, W) + 1 in both components, so that its splat falls outside.
    Raises InputError for a negative number of steps or an unknown integration.
    """
    if steps < 0:
        raise InputError("steps", f"is {steps}; it cannot be negative.")
    step = unit_step(velocity, integration)
    height, width = step.shape[:2]
    start = pixel_grid(height, width, step.device)
    positions = start
    for _ in range(steps):
        positions = _advance(step, positions, integration)
    moved = positions - start
    if integration == "nearest":
        moved[outside(positions, height, width)] = float(max(height, width) + 1)
    return moved.reshape(height, width, 2).permute(2, 0, 1)[None]


def traces(step: torch.Tensor, start: torch.Tensor, steps: int, integration: str) -> Iterator[torch.Tensor]:
    """Positions [M, 2] after 0, 1, ..., ``steps`` frames, from ``start`` [M, 2] along a unit step [H, W, 2]."""
    positions = start
    yield positions
    for _ in range(steps):
        positions = _advance(step, positions, integration)
        yield positions


def reversed_traces(
    step: torch.Tensor,
    start: torch.Tensor,
    steps: int,
    integration: str,
    stored_bytes: int = STORED_BYTES,
) -> Iterator[torch.Tensor]:
    """The same positions in the opposite order: after ``steps``, ..., 1, 0 frames.

    Kept whole where they fit into ``stored_bytes``; otherwise every sqrt(steps)-th is kept and the rest are
    integrated a second time from there (2 * steps look-ups, memory proportional to sqrt(steps)).
    """
    size = max(1, start.numel() * start.element_size())
    interval = 1 if size * (steps + 1) <= stored_bytes else max(1, math.isqrt(steps))
    kept = [p for i, p in enumerate(traces(step, start, steps, integration)) if i % interval == 0]
    for first in range(len(kept) - 1, -1, -1):
        length = min(interval - 1, steps - first * interval)
        yield from reversed(list(traces(step, kept.pop(), length, integration)))
