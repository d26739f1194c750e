"""The contrast-preserving cross-fade on a CPU by loops that Numba has compiled, tiles side by side."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from ..kernels import compiled
from ..kernels.compiled_look_ups import faded, padded
from ..kernels.workers import TileWorkers
from ..warp.layers import GatherFrame, Layers
from ..warp.restarts import Pair
from ..warp.sample import TILE_POINTS
from .blend import EASE, HIGHEST_GAIN, ContrastBlend, Underlay
from .layer_weights import FARTHEST, FLOOR, REAL, TRUST
from .statistics import LUMA, NOISE_FLOOR, GridMoments

F = np.float32
LUMA_WEIGHTS = tuple(map(F, LUMA))
NONE = np.empty(0, F)


class NumbaBlend(ContrastBlend):
    """:class:`ContrastBlend` with tiles of one thread each; what they add up is summed in the tiles' order.

    Tiles are whole runs of neighbouring pixels: see :mod:`t2c_core.kernels.compiled`.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        statistics, anchor, count = self.statistics, self.anchor, self.rest.shape[1]
        self._workers = TileWorkers()
        self._rasters: tuple[torch.Tensor, np.ndarray, np.ndarray] | None = None
        runs = statistics.runs()
        starts = np.append(runs[:, 0], count)
        size = max(1, (TILE_POINTS // 2) >> statistics.halvings)
        bounds = np.unique(np.append(np.searchsorted(starts, np.arange(0, count, size)), len(runs)))
        self._runs = [runs[first:stop] for first, stop in pairwise(bounds)]
        self.tiles = [slice(int(starts[a]), int(starts[b])) for a, b in pairwise(bounds)]
        self._place, self._cell_row = statistics.axis(statistics.rows, statistics.height)
        self._column, cell_column = statistics.axis(statistics.columns, statistics.width)
        self._cell_starts = np.flatnonzero(np.diff(cell_column, prepend=-1))
        rows = [self._cell_row[runs[[0, -1], 2]] for runs in self._runs]
        self._cell_rows = [(int(first), int(last) + 1) for first, last in rows]
        like = self.confidence.likeness
        look = np.empty((3, 0), F) if like is None else np.concatenate([like[0].numpy()[None], like[1].numpy()])
        self._looks = [np.ascontiguousarray(look[:, tile]) if like else look for tile in self.tiles]
        self._per_spread = F(1 if like is None else like[2])
        self._angle = NONE if self.angle is None else self.angle.numpy()
        self._source = (np.empty((3, 0), F), np.empty((2, 0), F), NONE)
        if anchor is not None:
            self._source = (anchor.mean.numpy(), anchor.variance.numpy(), anchor.around.numpy())
        self._fading = tuple(map(F, (TRUST * self.confidence.strength, REAL, FARTHEST, FLOOR, EASE)))
        strength = anchor.strength if anchor else 0.0
        self._restoring = tuple(map(F, (strength, self.lowest_gain, HIGHEST_GAIN, NOISE_FLOOR)))

    def fade(self, layers: Callable[[slice], Layers]) -> torch.Tensor:
        if not isinstance(layers, GatherFrame):
            return super().fade(layers)
        if self._rasters is None or self._rasters[0] is not layers.colours:
            assert layers.aux is not None
            self._rasters = layers.colours, padded(layers.colours.numpy()), padded(layers.aux.numpy())
        return self._sums(3, lambda number, sums: self._fade_tile(layers, number, sums))

    def _fade_tile(self, frame: GatherFrame, number: int, sums: np.ndarray) -> None:
        tile, angle = self.tiles[number], self._angle
        at = frame.sources(tile)
        frame.note_coverage(tile, at)
        looks = self._looks[number], self._per_spread, angle[tile], self._fading
        colours, variances = self._faded(frame, tile, at, looks)
        more = frame.restarts and frame.restarts.second_of(tile)
        if more:
            points, pixels, weight = more[0], more[1].numpy(), more[2].numpy()
            look, turn = looks[0], looks[2]
            look = look[:, pixels] if look.size else look
            looks = np.ascontiguousarray(look), self._per_spread, turn[pixels] if len(turn) else turn, self._fading
            second = self._faded(frame, points, frame.sources(points), looks)
            for values, others in zip((colours, variances), second, strict=True):
                compiled.mix(pixels, weight, others, values)
        self.rest.numpy()[:, tile], self.wanted.numpy()[:, tile] = colours, variances
        compiled.add_to_rows(colours, self._runs[number], tile.start, self._cell_row, self._cell_rows[number][0], sums)

    def _faded(self, frame: GatherFrame, points: slice, at: Pair, looks: tuple) -> tuple[np.ndarray, np.ndarray]:
        """The blended colours [3, p] and variances [2, p] of points that come from positions ``at``."""
        assert self._rasters is not None
        count, share = len(at[0]), frame.share_of(points)
        shares = share.numpy() if isinstance(share, torch.Tensor) else np.full(count, share, F)
        out = np.empty((3, count), F), np.empty((2, count), F)
        faded(*self._rasters[1:], *(positions.numpy() for positions in at), shares, *looks, *out)
        return out

    def _sums(self, channels: int, add: Callable[[int, np.ndarray], None]) -> torch.Tensor:
        """Sums [channels, h, w] over the cells of what ``add`` adds to sums [channels, h, W] for each tile."""
        total = np.zeros((channels, self.statistics.rows, self.statistics.width), F)

        def of_tile(number: int) -> np.ndarray:
            first, stop = self._cell_rows[number]
            sums = np.zeros((channels, stop - first, total.shape[2]), F)
            add(number, sums)
            return sums

        numbers = range(len(self.tiles))
        for number, sums in zip(numbers, self._workers.map(of_tile, numbers), strict=True):
            total[:, slice(*self._cell_rows[number])] += sums
        return torch.from_numpy(np.add.reduceat(total, self._cell_starts, axis=2))

    def subtract_coarse(self, grid: torch.Tensor, energy: torch.Tensor) -> None:
        across, rest = self._across(grid), self.rest.numpy()

        def add(number: int, sums: np.ndarray) -> None:
            compiled.subtract_coarse(
                rest,
                across,
                self._runs[number],
                self._place,
                self._cell_row,
                self._cell_rows[number][0],
                LUMA_WEIGHTS,
                sums,
            )

        energy += self._sums(2, add)

    def split(self, sums: torch.Tensor) -> GridMoments:
        """LocalStatistics.split by NumPy, in this thread: torch's own would go on spinning in the workers' way."""
        of, values = self.statistics, sums.numpy()
        mean = of.blur(sums).numpy() / of.in_window.numpy()
        cells = np.where(of.empty.numpy(), mean, values / of.in_cell.numpy())
        middle = cells - mean
        middle = np.concatenate([middle, np.tensordot(np.array(LUMA_WEIGHTS), middle, 1)[None]])
        energy = torch.zeros(2, of.rows, of.columns)
        self.subtract_coarse(torch.from_numpy(np.concatenate([cells, middle[3:]])).permute(1, 2, 0), energy)
        grids = (middle, np.concatenate([mean, middle[3:]]), of.blur(energy).numpy() / of.in_window.numpy())
        return GridMoments(*(torch.from_numpy(grid).permute(1, 2, 0) for grid in grids))

    def _across(self, *grids: torch.Tensor) -> np.ndarray:
        """Grids [h, w, K] read along x for all columns of the image: [K, h, W]."""
        planes = np.concatenate([grid.permute(2, 0, 1).numpy() for grid in grids])
        out = np.empty((*planes.shape[:2], self.statistics.width), F)
        self._workers.map(lambda k: compiled.read_across(planes[k], self._column, out[k]), range(len(planes)))
        return out

    def restore(self, moments: GridMoments) -> torch.Tensor:
        across = self._across(moments.means, moments.variances)
        values = self.rest.numpy(), self.wanted.numpy(), across

        def restored(number: int) -> tuple[float, float, float]:
            return compiled.restore(
                *values, self._runs[number], self._place, self._source, self._restoring, LUMA_WEIGHTS
            )

        products = self._workers.map(restored, range(len(self.tiles)))
        return torch.tensor(products, dtype=torch.float64).sum(0)

    def compose(self, layers: Callable[[slice], Layers], under: Underlay) -> torch.Tensor:
        middle, gain = self.blended(layers)
        frame, width = np.empty(under.image.shape, F), under.image.shape[1]
        of = self.rest.numpy(), self.wanted.numpy()[0], F(gain), self._across(middle[..., :3])
        below = under.source.numpy(), under.alpha.numpy(), width
        image, out = under.image.numpy().reshape(-1, 3), frame.reshape(-1, 3)
        starts = [0, *(int(runs[0, 2]) * width + int(runs[0, 3]) for runs in self._runs[1:]), len(out)]

        def composed(number: int) -> None:
            first, stop = starts[number : number + 2]
            out[first:stop] = image[first:stop]
            compiled.compose(*of, self._runs[number], self._place, *below, out)

        self._workers.map(composed, range(len(self.tiles)))
        return torch.from_numpy(frame)
