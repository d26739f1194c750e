"""How often every place restarts within a loop: the longest travel that still brings in what looks like the place."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from ..appearance import appearance_descriptors
from ..geometry import fit_longest_side
from ..kernels.dispatch import use_numba
from ..kernels.workers import side_by_side
from ..types import MotionField
from ..warp.cycles import Cycles
from ..warp.integrate import trajectory
from ..warp.layers import FluidWarp
from ..warp.plan import WarpPlan
from ..warp.sample import TILE_POINTS, sample

LEVELS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Numbers of cycles that are chosen from."""
LONGEST_SIDE = 512
"""The image is judged at this size at most."""
DISTANCES = (3, 5, 7, 10, 15, 20, 30, 45, 60)
"""Travel, in frames, that is tried."""
UNLIKE = 0.07
"""Mean difference of appearance descriptors up to which a place still looks like itself."""
LEAST_TRAVEL, TRAVEL = 0.01, 0.04
"""Shortest and longest travel of a cycle, as parts of the image's longer side: less is no motion to the eye."""
SHORTEST = 8
"""Frames; shorter cycles shimmer."""
LEAST_FRAMES = 24
"""Shorter loops have one cycle: with two all places would restart at nearly the same time, and the pace falter."""
WINDOW = 1 / 20
"""Standard deviation of the window that is judged together, as a part of the longer side."""
CHANGE_OVER = 8.0
"""How much steeper than linear one number of cycles gives way to the next."""


def suitable_cycles(plan: WarpPlan, device: torch.device | str = "cpu") -> Cycles | None:
    """Cycles that keep the scene's look, for every fluid pixel (mask > 0, row by row) of a plan, from image and field;
    None, the published single cross-fade, for short loops.

    The longest travel s with D(s) <= UNLIKE, D: how much what the flow brings in from s frames away differs from the
    place, averaged around it; at most TRAVEL and at least LEAST_TRAVEL of the longer side, at least SHORTEST frames.
    """
    inside, frames = plan.flow.mask[0].reshape(-1) > 0, plan.settings.frames
    levels = [k for k in LEVELS if k <= frames / SHORTEST]
    if frames < LEAST_FRAMES or not bool(inside.any()):
        return None
    wished = np.log2(np.clip(frames / _longest_travel(plan), levels[0], levels[-1]))
    rank = np.interp(wished, np.log2(levels), np.arange(len(levels))).astype(np.float32)
    rank = cv2.resize(rank, plan.flow.size[::-1], interpolation=cv2.INTER_LINEAR)
    at = torch.from_numpy(rank).reshape(-1)[inside.cpu()]
    low = at.floor().clamp(0, len(levels) - 2)
    weight = ((at - low - 0.5) * CHANGE_OVER + 0.5).clamp(0, 1)
    table = torch.tensor(levels)
    below, above = table[low.long()], table[low.long() + 1]
    both = torch.nonzero((weight > 0) & (weight < 1)).reshape(-1)
    values = (torch.where(weight >= 1, above, below), both, above[both], weight[both])
    return Cycles(*(v.to(device) for v in values))


def _longest_travel(plan: WarpPlan) -> np.ndarray:
    """Frames [h, w] each place may travel, on a grid of at most LONGEST_SIDE."""
    small = _reduced(plan)
    warp = FluidWarp(small)
    mask = (small.flow.mask[0].numpy() > 0.5).astype(np.float32)
    sigma = max(mask.shape) * WINDOW
    total = cv2.GaussianBlur(mask, (0, 0), sigma) + 1e-6

    def around(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values * mask, (0, 0), sigma) / total

    distances = [0, *(s for s in DISTANCES if s <= plan.settings.frames)]
    unlike = np.stack([np.zeros_like(mask), *(around(d) for d in _unlikeness(warp, distances[1:]))])
    unlike = np.maximum.accumulate(unlike, 0)
    longest = np.full(mask.shape, float(plan.settings.frames), np.float32)
    for i in range(len(distances) - 1, 0, -1):
        part = (UNLIKE - unlike[i - 1]) / np.maximum(unlike[i] - unlike[i - 1], 1e-6)
        reached = distances[i - 1] + np.clip(part, 0, 1) * (distances[i] - distances[i - 1])
        longest = np.where(unlike[i] > UNLIKE, reached, longest)
    speed = torch.hypot(*small.flow.velocity[0]).numpy() * small.settings.speed
    side_in_frames = max(mask.shape) / np.maximum(around(speed), 1e-6)
    return np.clip(longest, LEAST_TRAVEL * side_in_frames, TRAVEL * side_in_frames).clip(1)


def _reduced(plan: WarpPlan) -> WarpPlan:
    """The plan at LONGEST_SIDE, rendered by look-ups."""
    height, width = plan.flow.size
    h, w = fit_longest_side(height, width, min(LONGEST_SIDE, max(height, width)))

    def resize(values: torch.Tensor) -> torch.Tensor:
        out = cv2.resize(values.float().cpu().numpy(), (w, h), interpolation=cv2.INTER_AREA)
        return torch.from_numpy(out)

    velocity = torch.stack(
        [
            resize(v) * (side / full)
            for v, side, full in zip(plan.flow.velocity[0], (w, h), (width, height), strict=True)
        ]
    )[None]
    field = MotionField(velocity, resize(plan.flow.mask[0])[None])
    return WarpPlan(resize(plan.image[0])[None], field, plan.settings)


def _unlikeness(warp: FluidWarp, distances: list[int]) -> list[np.ndarray]:
    """For each distance in frames [h, w]: |descriptors of what the flow brings in - descriptors of the place|."""
    descriptors = torch.from_numpy(appearance_descriptors(warp.texture.numpy()))
    place = warp.of_fluid(descriptors).T.contiguous()
    out = {s: np.zeros((warp.height, warp.width), np.float32) for s in distances}
    for flow_map in warp.flow_maps:
        paths = trajectory(flow_map, warp.positions, distances[-1], warp.plan.settings.integration)
        for s, positions in enumerate(paths):
            if s in out:
                out[s].reshape(-1)[warp.indices.numpy()] += _difference(descriptors, positions, place) / 2
    return list(out.values())


def _difference(descriptors: torch.Tensor, positions: torch.Tensor, place: torch.Tensor) -> np.ndarray:
    """Mean |difference| [M] of descriptors [H, W, C] at positions [M, 2] and of those of the place [M, C]."""
    if not use_numba(positions.device):
        brought = torch.cat([sample(d, positions, outside="mirror") for d in descriptors.split(3, -1)], 1)
        return (brought - place).abs().mean(1).numpy()
    from ..kernels.compiled_look_ups import difference

    raster, points, expected, out = descriptors.numpy(), positions.numpy(), place.numpy(), np.empty(len(place), "f4")
    side_by_side(lambda part: difference(raster, points[part], expected[part], out[part]), len(out), TILE_POINTS // 2)
    return out
