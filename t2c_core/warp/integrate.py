"""Integration of a velocity that is constant in time: where a point is after t frames.

Eulerian integration (Holynski et al., "Animating Pictures with Eulerian Motion Fields", CVPR 2021): the position obeys
dx/dt = v(x). Because v does not depend on time, one frame's step is the same map in every frame: it is computed once
(by Runge-Kutta 4 if asked), and N frames cost N look-ups of it, never N^2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch

from ..errors import InputError
from ..kernels.dispatch import use_numba
from ..kernels.workers import side_by_side
from .plan import INTEGRATIONS
from .sample import TILE_POINTS, sample, tiles

SUBSTEPS = 4
STORED_BYTES = 384 * 2**20
"""Traces up to this size are kept whole; larger ones are remade from as many check points as fit into it."""
LEAST_KEPT = 4
"""Check points that are kept whatever they take: with fewer the look-ups would become many."""


def pixel_grid(height: int, width: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """Pixel positions [H * W, 2] (x, y), row by row, float32."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device, dtype=torch.float32),
        torch.arange(width, device=device, dtype=torch.float32),
        indexing="ij",
    )
    return torch.stack([x.reshape(-1), y.reshape(-1)], 1)


def flow_map(velocity: torch.Tensor, integration: str = "rk4") -> torch.Tensor:
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
    if use_numba(v.device):
        from ..kernels.compiled_paths import runge_kutta

        rows = np.empty((height, width, 2), np.float32)
        size = max(1, TILE_POINTS // (2 * width))
        side_by_side(lambda tile: runge_kutta(v.numpy(), SUBSTEPS, tile.start, rows[tile]), height, size)
        return torch.from_numpy(rows)
    start = pixel_grid(height, width, v.device)
    step = torch.empty_like(start)
    for tile in tiles(len(start), v.device):
        step[tile] = _runge_kutta(v, start[tile]).sub_(start[tile])
    return step.reshape(height, width, 2)


def _runge_kutta(velocity: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
    """Positions [M, 2] one frame on, along a velocity [H, W, 2]."""
    h = 1.0 / SUBSTEPS
    for _ in range(SUBSTEPS):
        k1 = sample(velocity, position)
        k2 = sample(velocity, position + 0.5 * h * k1)
        k3 = sample(velocity, position + 0.5 * h * k2)
        k4 = sample(velocity, position + h * k3)
        position = position + (h / 6.0) * (k1 + 2 * k2 + 2 * k3 + k4)
    return position


def _advance(step: torch.Tensor, positions: torch.Tensor, integration: str) -> torch.Tensor:
    if use_numba(positions.device) and integration != "nearest":
        from ..kernels.compiled_paths import advance

        moved = torch.empty(positions.shape)
        field, start, end = step.contiguous().numpy(), positions.reshape(-1).numpy(), moved.view(-1).numpy()
        side_by_side(lambda tile: advance(field, start[tile], end[tile]), len(start), 2 * TILE_POINTS)
        return moved
    parts = tiles(len(positions), positions.device)
    if len(parts) == 1:
        return _tile_advanced(step, positions, integration)
    moved = torch.empty_like(positions)
    for tile in parts:
        moved[tile] = _tile_advanced(step, positions[tile], integration)
    return moved


def _tile_advanced(step: torch.Tensor, positions: torch.Tensor, integration: str) -> torch.Tensor:
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
    step = flow_map(velocity, integration)
    height, width = step.shape[:2]
    start = pixel_grid(height, width, step.device)
    positions = start
    for _ in range(steps):
        positions = _advance(step, positions, integration)
    moved = positions - start
    if integration == "nearest":
        moved[outside(positions, height, width)] = float(max(height, width) + 1)
    return moved.reshape(height, width, 2).permute(2, 0, 1)[None]


def trajectory(step: torch.Tensor, start: torch.Tensor, steps: int, integration: str) -> Iterator[torch.Tensor]:
    """Positions [M, 2] after 0, 1, ..., ``steps`` frames, from ``start`` [M, 2] along a unit step [H, W, 2]."""
    positions = start
    yield positions
    for _ in range(steps):
        positions = _advance(step, positions, integration)
        yield positions


def reverse_trajectory(
    step: torch.Tensor,
    start: torch.Tensor,
    steps: int,
    integration: str,
    stored_bytes: int = STORED_BYTES,
) -> Iterator[torch.Tensor]:
    """The same positions in the opposite order: after ``steps``, ..., 1, 0 frames.

    At most ``stored_bytes`` of positions (but at least LEAST_KEPT lists) are kept besides ``start``, the one yielded
    and those a step is made from. Where all fit each is integrated once; otherwise check points are kept and the rest
    is integrated again from them, by binomial check pointing (Griewank & Walther, "Algorithm 799: revolve", 2000):
    with s lists no step is taken more than r times if binomial(s + r + 1, r) > steps, so 6 lists and 5 look-ups a
    frame reach 791 frames.
    """
    lists = max(LEAST_KEPT, stored_bytes // max(1, start.numel() * start.element_size()))
    # Spans still to be yielded, the last one first: positions where it begins, and how many frames it has.
    spans = [(start, steps + 1)]
    while spans:
        first, count = spans.pop()
        free = lists - len(spans)
        if count <= free + 2:
            kept = list(trajectory(step, first, count - 1, integration))
            while kept:
                yield kept.pop()
            continue
        early = _early_part(count, free)
        spans.append((first, early))
        spans.append((_after(step, first, early, integration), count - early))


def _after(step: torch.Tensor, positions: torch.Tensor, steps: int, integration: str) -> torch.Tensor:
    """Positions after ``steps`` frames; none between them are kept."""
    for _ in range(steps):
        positions = _advance(step, positions, integration)
    return positions


def _early_part(count: int, free: int) -> int:
    """How many of ``count`` frames come before the next check point, with room for ``free`` of them: the fewest steps.

    With ``free`` lists besides the first, ``reach(free, r)`` frames can be yielded backwards if no step is taken more
    than r times: those after the check point with a list less, those before it with a time less.
    """

    def reach(free: int, times: int) -> int:
        return math.comb(free + times + 1, times) if free >= 0 and times >= 0 else 0

    if free == 0:
        return count - 1
    times = next(r for r in range(1, count) if reach(free, r) >= count)
    return max(count - reach(free - 1, times), reach(free, times - 2), 1)
