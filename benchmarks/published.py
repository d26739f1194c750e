"""A plain port of the published warp, to measure against: written from the paper and the facts about its code.

For every frame both displacement fields are integrated again from the first step (N steps a frame, N^2 in all) with
the velocity of the nearest pixel, and the whole picture is splatted forward and backward at full resolution.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from t2c_core.warp.integrate import pixel_grid
from t2c_core.warp.plan import WarpPlan
from t2c_core.warp.splat import splat_points


def euler_integration(velocity: torch.Tensor, steps: int) -> torch.Tensor:
    """Displacement [2, H, W] after ``steps`` nearest-pixel Euler steps of a velocity [1, 2, H, W], from scratch."""
    height, width = velocity.shape[-2:]
    start = pixel_grid(height, width).T.reshape(2, height, width)
    destination = start.clone()
    left = torch.zeros(height, width, dtype=torch.bool)
    for _ in range(steps):
        x = destination[0].round().long().clamp(0, width - 1)
        y = destination[1].round().long().clamp(0, height - 1)
        destination = destination + velocity[0][:, y, x]
        left |= (destination[0] < 0) | (destination[0] > width - 1)
        left |= (destination[1] < 0) | (destination[1] > height - 1)
    displacement = destination - start
    displacement[:, left] = float(max(height, width) + 1)
    return displacement


def render(plan: WarpPlan) -> Iterator[torch.Tensor]:
    """Yield the N frames [H, W, 3]: both splats summed with weights 1 - i/N and i/N, holes left at 0."""
    height, width = plan.flow.size
    n = plan.settings.frames
    velocity = plan.flow.velocity * plan.settings.speed
    colours = plan.image[0].permute(2, 0, 1).reshape(3, -1)
    values = torch.cat([colours, torch.ones(1, height * width)])
    start = pixel_grid(height, width)
    for i in range(n):
        forward = euler_integration(velocity, i)
        backward = euler_integration(-velocity, n - i)
        a = 1.0 - i / n
        total = a * splat_points(values, start + forward.reshape(2, -1).T, height, width)
        total += (1 - a) * splat_points(values, start + backward.reshape(2, -1).T, height, width)
        yield (total[:3] / total[3:].clamp_min(1e-8)).T.reshape(height, width, 3)
