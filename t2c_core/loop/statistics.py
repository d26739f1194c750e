"""Local mean and contrast of the fluid's colours, in two bands of scale, on a coarse grid of cells.

The fine band is what differs from pixel to pixel within a cell, the middle band how cells differ from their
surroundings; the local mean is what remains.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from ..kernels.dispatch import use_numba
from ..warp.sample import sample_planar, tiles
from .layer_weights import LayerConfidence

LUMA = (0.299, 0.587, 0.114)
CELLS = 128
"""The longer side of the statistics' grid, in cells."""
WINDOW = 1.5
"""Standard deviation of the statistics' window, in cells: 1/85 of the picture's longer side."""
WIDER = 2
"""How many times more the window is applied for wide means."""
ALL = slice(None)
NOISE_FLOOR = 1e-3**2
"""Variance below which there is nothing to restore."""
MIN_ANGLE = 0.05
MIN_ENERGY_GAIN, MAX_ENERGY_GAIN = 0.8, 1.25


def luma(colours: torch.Tensor) -> torch.Tensor:
    """Rec. 601 luma [M] of colours [3, M]; with Rec. 709's weights frames would differ by up to 5/255."""
    red, green, blue = LUMA
    return torch.mul(colours[0], red).add_(colours[1], alpha=green).add_(colours[2], alpha=blue)


def _gaussian(distance: torch.Tensor) -> torch.Tensor:
    """The window at whole distances in cells."""
    distance = distance / WINDOW
    # Cut where it no longer matters: the tail's denormal numbers would slow products down many times.
    return torch.where(distance.abs() < 4, torch.exp(-0.5 * distance**2), 0.0)


def _gaussian_matrix(size: int, device: torch.device) -> torch.Tensor:
    """Symmetric [size, size]: a Gaussian window around each cell; on a small grid a product beats a convolution."""
    at = torch.arange(size, device=device, dtype=torch.float32)
    return _gaussian(at[:, None] - at)


class Moments(NamedTuple):
    """mean: [3, M], local mean colour; variance: [2, M], local variance of luma of the middle and of the fine band."""

    mean: torch.Tensor
    variance: torch.Tensor


class LocalStatistics:
    """Splits colours on a scattered set of pixels into bands of scale.

    positions: [M, 2] pixel positions (x, y); height, width: the image's size in pixels; halvings: of the tiles.
    places: [M, 2], the same on the grid; cell_of: [M] int32, each pixel's cell.
    """

    def __init__(self, positions: torch.Tensor, height: int, width: int, halvings: int = 0) -> None:
        self.cell = max(1.0, max(height, width) / CELLS)
        self.rows, self.columns = (max(1, -int(-s // self.cell)) for s in (height, width))
        self.device = device = positions.device
        self.height, self.width, self._positions = height, width, positions
        self.halvings, self.tiles = halvings, tiles(len(positions), device, halvings)
        self.places = torch.empty_like(positions)
        self.cell_of = torch.empty(len(positions), dtype=torch.int32, device=device)
        for tile in self.tiles:
            self.places[tile] = self._place(positions[tile])
            x, y = (positions[tile] / self.cell).long().unbind(1)
            self.cell_of[tile] = y.clamp(max=self.rows - 1) * self.columns + x.clamp(max=self.columns - 1)
        self._blur_rows, self._blur_columns = (_gaussian_matrix(k, device) for k in (self.rows, self.columns))
        self._window = _gaussian(torch.arange(-6.0, 7.0)).numpy()
        counts = self.sums(torch.ones(1, 1, device=device).expand(1, len(positions)))
        self.in_cell = counts.clamp_min(1e-9)
        self.in_window = self.blur(counts).clamp_min(1e-9)
        # A cell without pixels takes its neighbourhood's mean, so that interpolation at the mask's edge stays sane.
        self.empty = counts < 0.5

    def runs(self) -> np.ndarray:
        """Runs of neighbouring pixels, int64 [n, 4]: first pixel, how many, image row, first column."""
        x, y = self._positions.numpy().astype(np.int64).T
        starts = np.flatnonzero(np.diff(y * (self.width + 1) + x, prepend=-2) != 1)
        return np.stack([starts, np.diff(starts, append=len(x)), y[starts], x[starts]], 1)

    def axis(self, cells: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Of each of ``size`` image rows (or columns): its place between ``cells`` rows of the grid, whole and fraction
        [size, 2], and the row of cells it is in, int64 [size]."""
        at = torch.arange(size)
        place = self._place(at).clamp(0, cells - 1)
        cell = (at / self.cell).long().clamp(max=cells - 1)
        return torch.stack([place.floor(), place.frac()], 1).numpy(), cell.numpy()

    def _place(self, positions: torch.Tensor) -> torch.Tensor:
        """Positions on the grid, in steps of 1/32, to which OpenCV rounds: every way of reading gives the same."""
        return (((positions + 0.5) / self.cell - 0.5) * 32).round_() / 32

    def sums(self, values: torch.Tensor, tile: slice = ALL, into: torch.Tensor | None = None) -> torch.Tensor:
        """Sums over each cell, [K, rows, columns], of values [K, m] of the pixels in ``tile``; added to ``into``."""
        count = values.shape[0]
        if into is None:
            into = torch.zeros(count, self.rows, self.columns, device=values.device)
        into.view(count, -1).scatter_add_(1, self.cell_of[tile].long().expand(count, -1), values)
        return into

    def blur(self, grid: torch.Tensor) -> torch.Tensor:
        if not use_numba(grid.device):
            return self._blur_rows @ grid @ self._blur_columns
        from ..kernels.compiled import blur

        planes = grid.contiguous().numpy()
        out = np.empty_like(planes)
        blur(planes, self._window, out)
        return torch.from_numpy(out)

    def at_pixels(self, grid: torch.Tensor, tile: slice = ALL) -> torch.Tensor:
        """Bilinear values [K, m] of a grid [rows, columns, K], K <= 4, at the pixels in ``tile``."""
        return sample_planar(grid, self.places[tile])

    def wide_mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean [M] of values [M] over windows sqrt(1 + WIDER) times as wide, at every pixel."""
        sums, counts = self.sums(values[None]), self.in_cell
        for _ in range(WIDER):
            sums, counts = self.blur(sums), self.blur(counts)
        grid, out = (sums / counts.clamp_min(1e-9)).permute(1, 2, 0), torch.empty_like(values)
        for tile in self.tiles:
            out[tile] = self.at_pixels(grid, tile)[0]
        return out

    def layer_angle(self, forward: torch.Tensor, backward: torch.Tensor) -> torch.Tensor:
        """acos [M] of the local correlation of two layers' luma [M], MIN_ANGLE to pi / 2; pi / 2 where one is flat."""

        def mean(values: torch.Tensor) -> torch.Tensor:
            return self.blur(self.sums(values[None])) / self.in_window

        first, second = mean(forward), mean(backward)
        variances = (mean(forward**2) - first**2).clamp_min(0) * (mean(backward**2) - second**2).clamp_min(0)
        correlation = (mean(forward * backward) - first * second) / variances.sqrt().clamp_min(NOISE_FLOOR)
        angle = torch.acos(correlation.clamp(0, math.cos(MIN_ANGLE)))
        out = torch.empty_like(forward)
        for tile in self.tiles:
            out[tile] = self.at_pixels(angle.permute(1, 2, 0), tile)[0]
        return out

    def __call__(self, colours: torch.Tensor) -> Moments:
        """The moments of colours [3, M]."""
        fine = colours.clone()
        grids = self.split(self.sums(colours), lambda grid, energy: self.subtract(fine, grid, energy))
        mean, variance = torch.empty_like(colours), colours.new_empty(2, colours.shape[1])
        for tile in self.tiles:
            mean[:, tile] = self.at_pixels(grids.means, tile)[:3]
            variance[:, tile] = self.at_pixels(grids.variances, tile)
        return Moments(mean, variance)

    def split(self, sums: torch.Tensor, subtract: Callable[[torch.Tensor, torch.Tensor], None]) -> GridMoments:
        """Split colours whose sums over the cells are ``sums``; what is left of them becomes the fine band.

        subtract: :meth:`subtract` from the colours of all pixels, called with grid and energy.
        """
        mean = self.blur(sums) / self.in_window
        cells = torch.where(self.empty, mean, sums / self.in_cell)
        middle = cells - mean
        middle = torch.cat([middle, luma(middle.flatten(1)).view(1, self.rows, self.columns)])
        energy = torch.zeros(2, self.rows, self.columns, device=self.device)
        subtract(torch.cat([cells, middle[3:]]).permute(1, 2, 0).contiguous(), energy)
        grids = (middle, torch.cat([mean, middle[3:]]), self.blur(energy) / self.in_window)
        return GridMoments(*(grid.permute(1, 2, 0).contiguous() for grid in grids))

    def subtract(self, fine: torch.Tensor, grid: torch.Tensor, energy: torch.Tensor) -> None:
        """Subtract from colours ``fine`` [3, M] a grid [h, w, 4]; energy [2, h, w] gets, added up by cells, the squares
        of the grid's fourth channel there and of the luma of what remains."""
        for tile in self.tiles:
            at = self.at_pixels(grid, tile)
            fine[:, tile] -= at[:3]
            self.sums(torch.stack([at[3], luma(fine[:, tile])]).square_(), tile, energy)


class GridMoments(NamedTuple):
    """Bands and variances on the statistics' grid: the middle band and its luma [h, w, 4]; mean colour and luma of the
    middle band [h, w, 4]; variances of luma of the middle and of the fine band [h, w, 2]."""

    middle: torch.Tensor
    means: torch.Tensor
    variances: torch.Tensor


class SourceStatistics:
    """Keeps the scene's large shapes in place while the finer texture flows.

    A stream's cascades and pools stand still, only what is carried through them moves: every pixel's local mean and
    local contrast stay the source image's. source: [3, M], the image's colours; strength: 0..1.
    """

    def __init__(self, source: torch.Tensor, statistics: LocalStatistics, strength: float) -> None:
        self.strength = strength
        self.mean, self.variance = statistics(source)
        self.confidence = LayerConfidence(luma(self.mean), self.variance, strength)
        self.around = statistics.wide_mean(luma(self.mean))
        self._energy = (luma(source) - self.around).square_().mean()

    def products(self, middle: torch.Tensor, rest: torch.Tensor, tile: slice = ALL) -> torch.Tensor:
        """float64 [3]: sums over a tile of s s, s m and m m.

        m: luma [m] of the middle band; s: of the ``rest`` [3, m], mean and fine band, over its wide surroundings.
        """
        s = luma(rest).sub_(self.around[tile])
        return torch.stack([(a * b).sum(dtype=torch.float64) for a, b in ((s, s), (s, middle), (middle, middle))])

    def energy_gain(self, products: torch.Tensor) -> torch.Tensor:
        """float32 []: the factor on the carried middle band that gives the frame the energy of the source image.

        In the source the bands go together (foam is bright and rough); warped bands decorrelate, and energy drops. It
        solves E[(s + k m)^2] = E of the source for k. The fine band, which makes up most of what changes from frame to
        frame, is left as it is: the loop keeps its pace.
        """
        alone, together, squared = products / len(self.around)
        squared = squared.clamp_min(1e-12)
        k = ((together**2 - squared * (alone - self._energy)).clamp_min(0).sqrt() - together) / squared
        return (1.0 + min(1.0, 2.0 * self.strength) * (k.clamp(MIN_ENERGY_GAIN, MAX_ENERGY_GAIN) - 1.0)).float()
