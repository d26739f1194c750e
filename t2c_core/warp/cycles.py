"""Restarts: every place is cross-faded over k short cycles of the loop instead of one long one, at times of its own.

In a loop of one cycle each pixel shows in mid-loop what lies N / 2 frames up and down the stream, and whatever stands
still in the fluid (lips and feet of falls, waves at a rock) melts. With k cycles a pixel restarts from the image at

    r_j = (j + JITTER * (2 n_j - 1)) * N / k,   j = 1 .. k - 1,   r_0 = 0,   r_k = N,

n_j: smooth random fields in 0..1, another one for every j. Within a cycle the forward layer is a = t - r_j frames old,
the backward layer b = r_{j+1} - t frames ahead, and the forward layer's share goes from 1 to 0: within DISSOLVE frames,
around a moment set by another random field, so that in a long cycle most places show one layer and not two copies. At
t = 0 every place restarts: frame 0 is the image and the loop closes. Neighbours restart at slightly different times, so
no frame is in mid-cycle everywhere, and no cycle repeats another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ..devices import on_host
from ..kernels.dispatch import run_or_fallback, use_numba, use_triton
from ..kernels.workers import side_by_side
from .integrate import pixel_grid, trajectory
from .sample import TILE_POINTS

JITTER = 0.3
FEATURE = 1 / 8
"""Size of the random fields' features, as a part of the image's longer side."""
GRID = 128
"""The longer side of the grid the random fields are made on."""
DISSOLVE = 24.0
"""Frames that a place takes at most to change over from one layer to the other: for as long as both show, an edge in
them is seen twice."""
DISSOLVE_FEATURE = 1 / 16
"""Size of the places that change over together: the finer, the more even the pace."""
DISSOLVE_SEED = 1000
TABLE_BYTES = 256 * 2**20
"""Displacements of one direction are kept on every pixel where they fit into this, else on every second, fourth ..."""


def restart_noise(height: int, width: int, count: int, feature: float = FEATURE, seed: int = 0) -> torch.Tensor:
    """Smooth random fields [count, h, w] with values spread evenly over 0..1, for an image of height x width.

    The same for the same size and number, whatever the state of any random generator.
    """
    scale = GRID / max(height, width)
    h, w = max(2, round(height * scale)), max(2, round(width * scale))
    sigma = GRID * feature / 2
    out = np.empty((count, h, w), np.float32)
    for number, field in enumerate(out):
        white = np.random.default_rng(seed + number).standard_normal((h, w)).astype(np.float32)
        smooth = cv2.GaussianBlur(white, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
        field.reshape(-1)[np.argsort(smooth, axis=None)] = np.linspace(0, 1, h * w, dtype=np.float32)
    return torch.from_numpy(out)


@dataclass(frozen=True)
class Cycles:
    """Cycles of each of M points. Where one number gives way to the next a point has two, mixed by a weight.

    number: [M] whole numbers. both: [E] int64 in rising order, the points that have a second; second: [E] whole
    numbers; weight: [E], the second's share, above 0 and below 1.
    """

    number: torch.Tensor
    both: torch.Tensor
    second: torch.Tensor
    weight: torch.Tensor

    @classmethod
    def even(cls, count: int, number: int, device: torch.device | str = "cpu") -> Cycles:
        """The same number for all of ``count`` points."""
        none = torch.zeros(0, device=device)
        return cls(torch.full((count,), number, device=device), none.long(), none.long(), none)

    @property
    def fewest(self) -> int:
        """The smallest number of all points; 1 without points."""
        return int(self.number.min()) if len(self.number) else 1

    def reach(self, frames: int) -> torch.Tensor:
        """``longest`` of each point's own cycles, int64 [M]."""
        fewest = self.number.double()
        fewest[self.both] = torch.minimum(fewest[self.both], self.second.double())
        length = ((1 + 2 * JITTER) * frames / fewest).ceil_().clamp_(max=frames)
        return torch.where(fewest == 1, float(frames), length).long()

    def longest(self, frames: int) -> int:
        """Whole frames than which no cycle of a loop of ``frames`` is longer."""
        return longest_cycle(frames, self.fewest)


def longest_cycle(frames: int, cycles: int) -> int:
    """Whole frames than which no cycle is longer, of ``cycles`` in a loop of ``frames``."""
    return frames if cycles == 1 else min(frames, math.ceil((1 + 2 * JITTER) * frames / cycles))


def most_cycles(frames: int) -> int:
    """The largest number of cycles of which none can be shorter than a frame."""
    return max(1, int((1 - 2 * JITTER) * frames))


class RestartClock:
    """When each of P points restarts: frame by frame, from frame 0 on.

    positions: [P, 2] px in an image of height x width; cycles: [P] whole numbers from 1 to ``most_cycles``; frames: N.
    age: [P] frames since the last restart, a; left: [P] frames until the next one, b; a + b is the cycle's length.
    share: [P] of the forward layer, 1 at a restart, 0 before the next.
    """

    def __init__(self, positions: torch.Tensor, cycles: torch.Tensor, frames: int, height: int, width: int) -> None:
        self.frames, self._cycles = frames, cycles.float()
        most = int(cycles.max()) if len(cycles) else 1
        restarts = restart_noise(height, width, most)
        dissolves = restart_noise(height, width, most, DISSOLVE_FEATURE, DISSOLVE_SEED)
        self._most, self._noise = most, torch.cat([restarts, dissolves]).to(positions.device)
        h, w = self._noise.shape[1:]
        self._places = torch.stack(
            [
                (positions[:, k] * ((cells - 1) / max(side - 1, 1))).clamp(0, cells - 1)
                for k, cells, side in ((0, w, width), (1, h, height))
            ],
            1,
        )
        self._number = torch.zeros_like(cycles, dtype=torch.int32)
        self._start = torch.zeros_like(self._cycles)
        self._end = self._restart_time(slice(None))
        self._last, self._rate = self._dissolve(slice(None))

    def _noise_at(self, points: torch.Tensor | slice, field: torch.Tensor) -> torch.Tensor:
        """The noise [p] number ``field`` [p] at ``points`` [p]."""
        h, w = self._noise.shape[1:]
        x, y = self._places[points].unbind(1)
        x0, y0 = x.long().clamp(max=w - 2), y.long().clamp(max=h - 2)
        flat, base = self._noise.reshape(-1), (field * h + y0) * w + x0
        top = torch.lerp(flat[base], flat[base + 1], x - x0)
        return torch.lerp(top, torch.lerp(flat[base + w], flat[base + w + 1], x - x0), y - y0)

    def _restart_time(self, points: torch.Tensor | slice) -> torch.Tensor:
        """The time [p] of the next restart of ``points`` [p], which have restarted ``number`` times."""
        number, cycles = self._number[points], self._cycles[points]
        noise = self._noise_at(points, number.clamp(max=self._most - 1))
        time = (number + 1 + JITTER * (2 * noise - 1)) * (self.frames / cycles)
        return torch.where(number + 1 < cycles, time, torch.full_like(time, self.frames))

    def _dissolve(self, points: torch.Tensor | slice) -> tuple[torch.Tensor, torch.Tensor]:
        """(time [p] at which ``points`` have changed over to the backward layer, their pace [p] until then)."""
        start, end = self._start[points], self._end[points]
        field = self._number[points].clamp(max=self._most - 1) + self._most
        middle = torch.lerp(start, end, self._noise_at(points, field))
        last = torch.minimum(middle + DISSOLVE / 2, end)
        return last, 1.0 / (last - torch.maximum(middle - DISSOLVE / 2, start))

    def at(self, frame: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(age, left, share) [P] of every point at ``frame``; frames must be asked for in their order."""
        if use_triton(self._end.device, atomics=False):
            return run_or_fallback("tick", lambda: self._by_triton(frame), lambda: self._by_torch(frame))
        if use_numba(self._end.device):
            return self._by_numba(frame)
        return self._by_torch(frame)

    def _by_numba(self, frame: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        from ..kernels.compiled_paths import tick

        state = self._cycles, self._number, self._start, self._end, self._last, self._rate
        out = np.empty((3, len(self._cycles)), np.float32)
        at = self._noise.numpy(), self._places.numpy(), tuple(values.numpy() for values in state)
        settings = tuple(map(np.float32, (self.frames, JITTER, DISSOLVE)))
        side_by_side(lambda part: tick(part.start, part.stop, *at, frame, settings, out), out.shape[1], TILE_POINTS)
        age, left, share = torch.from_numpy(out)
        return age, left, share

    def _by_triton(self, frame: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        from ..kernels.restarts import tick

        state = self._number, self._start, self._end, self._last, self._rate
        return tick(self._noise, self._places, self._cycles, state, frame, self.frames, JITTER, DISSOLVE)

    def _by_torch(self, frame: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if not on_host(self._end):
            every, passed = slice(None), self._end <= frame
            self._number += passed
            self._start = torch.where(passed, self._end, self._start)
            self._end = torch.where(passed, self._restart_time(every), self._end)
            self._last, self._rate = (
                torch.where(passed, new, old)
                for new, old in zip(self._dissolve(every), (self._last, self._rate), strict=True)
            )
        else:
            # Few restart in a frame.
            over = torch.nonzero(self._end <= frame).reshape(-1)
            self._number[over] += 1
            self._start[over] = self._end[over]
            self._end[over] = self._restart_time(over)
            self._last[over], self._rate[over] = self._dissolve(over)
        share = (self._last - frame).mul_(self._rate).clamp_(0, 1)
        return frame - self._start, self._end - frame, share


@dataclass(frozen=True)
class DisplacementTable:
    """Displacements along a flow map after 0, 1, ..., steps frames: of every point, or where that is too much on a grid
    of every ``stride``-th pixel.

    values: [steps + 1, R, 2] int16, displacement (px) over ``unit``, of the points (stride 1) or row by row of the
    grid's nodes; columns: of the grid; origin: (x, y) of its first node.
    """

    values: torch.Tensor
    unit: float
    stride: int = 1
    columns: int = 0
    origin: tuple[int, int] = (0, 0)

    def positions(self, points: torch.Tensor, age: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Positions [P, 2] of ``points`` [P, 2] (whole px) after ``age`` [P] frames (0..steps, fractions too).

        rows: [P] whole numbers, which of the table's points they are.
        """
        if use_triton(points.device, atomics=False):
            return run_or_fallback(
                "positions", lambda: self._by_triton(points, age, rows), lambda: self._by_torch(points, age, rows)
            )
        if use_numba(points.device):
            return self._by_numba(points, age, rows)
        return self._by_torch(points, age, rows)

    def _by_triton(self, points: torch.Tensor, age: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        from ..kernels.restarts import table_positions

        return table_positions(self.values, self.unit, self.stride, self.columns, self.origin, points, age, rows)

    def _by_torch(self, points: torch.Tensor, age: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        lists, nodes = self.values.shape[:2]
        step = age.long().clamp_(0, lists - 2)
        # Once for x and once for y: broadcasting over pairs is several times slower.
        fraction = (age - step)[:, None].expand(-1, 2).contiguous()
        first = step.mul_(nodes)
        if self.stride == 1:
            return self._displacement(first.add_(rows), fraction).mul_(self.unit).add_(points)
        out = torch.zeros_like(points)
        for node, weight in self._nodes(points):
            out.addcmul_(self._displacement(first + node, fraction), weight[:, None])
        return out.mul_(self.unit).add_(points)

    def _by_numba(self, points: torch.Tensor, age: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        from ..kernels.compiled import grid_positions, table_positions

        out, unit = np.empty((len(points), 2), np.float32), np.float32(self.unit)
        of = (self.values.numpy(), unit, points.numpy(), age.numpy())
        if self.stride == 1:
            table_positions(*of, rows.numpy(), out)
        else:
            grid_positions(*of, *self.origin, self.stride, self.columns, out)
        return torch.from_numpy(out)

    def _displacement(self, at: torch.Tensor, fraction: torch.Tensor) -> torch.Tensor:
        """[P, 2], in units, between the values at flat indices ``at`` [P] and those a frame on."""
        flat = self.values.view(torch.int32).reshape(-1)
        now, on = (
            flat.index_select(0, index).view(torch.int16).float().view(-1, 2)
            for index in (at, at + self.values.shape[1])
        )
        return torch.lerp(now, on, fraction)

    def _nodes(self, points: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The four nodes around each point, [P] each, and their bilinear weights."""
        x, y = ((points[:, k] - self.origin[k]) / self.stride for k in (0, 1))
        fx, fy = x.frac(), y.frac()
        corner = y.long() * self.columns + x.long()
        yield corner, (1 - fx) * (1 - fy)
        yield corner + 1, fx * (1 - fy)
        yield corner + self.columns, (1 - fx) * fy
        yield corner + self.columns + 1, fx * fy


def displacement_table(
    flow_map: torch.Tensor,
    points: torch.Tensor,
    steps: int,
    integration: str,
    table_bytes: int = TABLE_BYTES,
    needed: torch.Tensor | None = None,
) -> DisplacementTable:
    """The displacements of ``points`` [P, 2] (whole px) along a ``flow_map`` [H, W, 2] for 0..steps frames.

    As densely as ``table_bytes`` allow, 16 bits a number: finer than 1/32 px, which is what image look-ups resolve,
    for displacements up to 1024 px. needed: [P] int64, up to ``steps``, after how many frames a point is read at most.
    """
    start, grid, stride = points, (0, (0, 0)), 1
    if 4 * (steps + 1) * len(points) > table_bytes:
        low, high = points.amin(0).long().tolist(), points.amax(0).long().tolist()

        def nodes(stride: int) -> list[int]:
            return [(high[k] - low[k]) // stride + 2 for k in (0, 1)]

        stride = next(s for s in (2, 4, 8, 16) if s == 16 or 4 * (steps + 1) * math.prod(nodes(s)) <= table_bytes)
        columns, rows = nodes(stride)
        start = pixel_grid(rows, columns, points.device).mul_(stride).add_(torch.tensor(low, device=points.device))
        grid = columns, (low[0], low[1])
    farthest = float(torch.linalg.vector_norm(flow_map, dim=-1).max()) * steps
    unit = max(farthest, 1.0) / 32767
    values = torch.zeros(steps + 1, len(start), 2, dtype=torch.int16, device=points.device)
    if use_numba(points.device) and integration != "nearest":
        from ..kernels.compiled_paths import follow

        along, flat, out = flow_map.contiguous().numpy(), start.reshape(-1).numpy(), values.view(steps + 1, -1).numpy()
        until = np.full(len(start), steps) if needed is None or stride > 1 else needed.numpy()
        work = lambda tile: follow(along, flat, np.float32(unit), until, tile.start, tile.stop, out)  # noqa: E731
        side_by_side(work, len(flat), TILE_POINTS // 2)
        return DisplacementTable(values, unit, stride, *grid)
    for number, positions in enumerate(trajectory(flow_map, start, steps, integration)):
        values[number] = ((positions - start) / unit).round_()
    return DisplacementTable(values, unit, stride, *grid)
