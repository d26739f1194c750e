"""The two layers of a frame when every place restarts several times within the loop (see :mod:`.cycles`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ..geometry import nearest_inside
from .cycles import Cycles, RestartClock, displacement_table, longest_cycle
from .splat import splat_points

Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class RestartFrame:
    """One frame: where a tile's colours come from, and how much the forward layer counts.

    age, left: [P] frames since and until the restart of the M points and then of the E second ones; share: [P], the
    forward layer's.
    """

    restarts: Restarts
    age: torch.Tensor
    left: torch.Tensor
    share: torch.Tensor

    def sources(self, points: slice) -> Pair:
        """Positions [p, 2] that the forward and the backward colours of points, second ones too, come from."""
        at, rows = self.restarts.points[points], self.restarts.rows[points]
        against, along = self.restarts.tables
        return against.positions(at, self.age[points], rows), along.positions(at, self.left[points], rows)


class Restarts:
    """Restarts of M points, E of which have a second number of cycles and come twice.

    flow_maps: [H, W, 2] each, displacements (px) of a frame against and along the flow. positions: [M, 2] whole px.
    """

    def __init__(self, cycles: Cycles, positions: torch.Tensor, flow_maps: Pair, frames: int, integration: str) -> None:
        self.cycles, self.frames, self.count = cycles, frames, len(positions)
        self.size = tuple(flow_maps[0].shape[:2])
        rows = torch.cat([torch.arange(len(positions), device=positions.device), cycles.both])
        self.rows, self.points = rows.int(), positions[rows]
        self.number = torch.cat([cycles.number, cycles.second])
        steps = cycles.longest(frames)
        needed = cycles.reach(frames)
        against, along = (displacement_table(m, positions, steps, integration, needed=needed) for m in flow_maps)
        self.tables = against, along
        self._both = cycles.both.cpu().numpy()

    def __iter__(self) -> Iterator[RestartFrame]:
        """The N frames."""
        clock = RestartClock(self.points, self.number, self.frames, *self.size)
        for frame in range(self.frames):
            yield RestartFrame(self, *clock.at(frame))

    def mid_cycle(self) -> Pair:
        """Positions [M, 2] that the two layers of every point come from half-way between two restarts."""
        half, points, rows = self.frames / self.cycles.number / 2, self.points[: self.count], self.rows[: self.count]
        against, along = (table.positions(points, half, rows) for table in self.tables)
        return against, along

    def second_of(self, tile: slice) -> tuple[slice, torch.Tensor, torch.Tensor] | None:
        """(second points, their pixels within ``tile`` [e], their weights [e]); None where there are none."""
        start, stop = tile.start or 0, self.count if tile.stop is None else tile.stop
        first, last = (int(entry) for entry in np.searchsorted(self._both, (start, stop)))
        if first == last:
            return None
        entries = slice(first, last)
        points = slice(self.count + first, self.count + last)
        return points, self.cycles.both[entries] - start, self.cycles.weight[entries]


def cycles_raster(cycles: Cycles, indices: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Number of cycles [H, W] of every pixel: the fluid's own (``indices`` [M] in the flattened image), elsewhere that
    of the nearest fluid pixel; where a pixel has two, the weightier."""
    number = cycles.number.clone()
    heavy = cycles.weight > 0.5
    number[cycles.both[heavy]] = cycles.second[heavy]
    flat = torch.zeros(height * width, dtype=number.dtype, device=number.device)
    flat[indices] = number
    inside = torch.zeros(height * width, dtype=torch.bool)
    inside[indices.cpu()] = True
    if not inside.all():
        nearest = torch.from_numpy(nearest_inside(inside.reshape(height, width).numpy())).long().reshape(-1)
        flat = flat[nearest.to(flat.device)]
    return flat.reshape(height, width)


def source_restarts(
    raster: torch.Tensor, start: torch.Tensor, flow_map: torch.Tensor, frames: int, integration: str, *, backward: bool
) -> Iterator[Pair]:
    """For each frame where sources ``start`` [S, 2] (whole px) are [S, 2], and how much they count [S].

    raster: [H, W] number of cycles of every pixel. backward: sources move against the flow, until their next restart.
    """
    height, width = raster.shape
    x, y = (start[:, k].long().clamp(0, side - 1) for k, side in ((0, width), (1, height)))
    number = raster[y, x]
    fewest = int(number.min()) if len(number) else 1
    table = displacement_table(flow_map, start, longest_cycle(frames, fewest), integration)
    rows = torch.arange(len(start), dtype=torch.int32, device=start.device)
    clock = RestartClock(start, number, frames, height, width)
    for frame in range(frames):
        age, left, share = clock.at(frame)
        travel, share = (left, 1.0 - share) if backward else (age, share)
        yield table.positions(start, travel, rows), share


def restarted_splats(
    values: torch.Tensor,
    sources: Iterator[Pair],
    height: int,
    width: int,
    origin: tuple[int, int],
) -> Iterator[torch.Tensor]:
    """Sums [C, height * width] of values [C, S] times their share, splatted where their sources are, frame by frame."""
    offset = torch.tensor(origin, device=values.device, dtype=torch.float32)
    for positions, share in sources:
        yield splat_points(values * share, positions - offset, height, width)
