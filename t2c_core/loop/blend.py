"""Cross-fading the two layers of a frame without losing contrast.

A linear cross-fade of two uncorrelated textures has variance a^2 + (1 - a)^2 of theirs, half of it in mid-loop: the
water seems to breathe. Variance-preserving blending (Heitz & Neyret, "High-Performance By-Example Noise using a
Histogram-Preserving Blending Operator", 2018) scales the deviation from the mean back up. Here mean and contrast are
local, and measured instead of assumed: the layers are not always uncorrelated, and resampling takes contrast as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..warp.layers import Layers
from ..warp.sample import sample, tiles
from .suit import Suitability

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
LOWEST_GAIN, HIGHEST_GAIN = 0.8, 2.5
EASE = 0.6
LOWEST_LIFT, HIGHEST_LIFT = 0.8, 1.25


def linear_blend(layers: Layers) -> torch.Tensor:
    """share * forward + (1 - share) * backward, [M, 3]: the published cross-fade."""
    return _cross_fade(layers.forward, layers.backward, layers.share)


def _cross_fade(
    forward: torch.Tensor, backward: torch.Tensor, share: torch.Tensor | float, out: torch.Tensor | None = None
) -> torch.Tensor:
    return torch.lerp(backward, forward, share[:, None] if isinstance(share, torch.Tensor) else share, out=out)


def linear_tiles(layers: Callable[[slice], Layers]) -> Callable[[slice], torch.Tensor]:
    """The published cross-fade of a frame, tile by tile: what gives a tile's colours [m, 3]."""
    return lambda tile: linear_blend(layers(tile))


def even_pace(share: torch.Tensor | float) -> torch.Tensor | float:
    """The share cos / (cos + sin) of an angle that goes from 0 to 90 degrees as a linear share goes from 1 to 0.

    With its contrast restored a blend weighs two unrelated textures by cos and sin: over the linear share the one
    would give way to the other twice as fast in mid-loop as at the seam. EASE: the layers go over into one another a
    little faster still at the seam, where the picture is nearly one layer and changes by its motion alone.
    """
    cos, sin = (torch.cos, torch.sin) if isinstance(share, torch.Tensor) else (math.cos, math.sin)
    gone = 1.0 - share
    angle = (gone + EASE / (2 * math.pi) * sin(2 * math.pi * gone)) * (math.pi / 2)
    return cos(angle) / (cos(angle) + sin(angle))


def luma(colours: torch.Tensor) -> torch.Tensor:
    """Rec. 601 luma [M] of colours [M, >= 3]."""
    return colours[:, :3] @ torch.tensor(LUMA, device=colours.device, dtype=colours.dtype)


def _gaussian_matrix(size: int, device: torch.device) -> torch.Tensor:
    """Symmetric [size, size]: a Gaussian window around each cell; on a small grid a product beats a convolution."""
    at = torch.arange(size, device=device, dtype=torch.float32)
    distance = (at[:, None] - at) / WINDOW
    # Cut where it no longer matters: the tail's denormal numbers would slow the product down many times.
    return torch.where(distance.abs() < 4, torch.exp(-0.5 * distance**2), 0.0)


@dataclass(frozen=True)
class Bands:
    """Colours [M, 3] split by scale, and how strong each scale is around every pixel.

    mean: the local mean colour; middle: mean colour of the cell minus that; fine: the rest. The three add up to the
    colours. variance: [M, 2], local variance of luma of the middle and of the fine band.
    """

    mean: torch.Tensor
    middle: torch.Tensor
    fine: torch.Tensor
    variance: torch.Tensor


class LocalStatistics:
    """Splits colours on a scattered set of pixels into bands of scale.

    positions: [M, 2] pixel positions (x, y); height, width: the picture's size in pixels.
    """

    def __init__(self, positions: torch.Tensor, height: int, width: int) -> None:
        self.cell = max(1.0, max(height, width) / CELLS)
        self.rows, self.columns = (max(1, -int(-s // self.cell)) for s in (height, width))
        self.device = device = positions.device
        self._positions = positions
        self._cell_of = torch.empty(len(positions), dtype=torch.int32, device=device)
        for tile in tiles(len(positions), device):
            x, y = (positions[tile] / self.cell).long().unbind(1)
            self._cell_of[tile] = y.clamp(max=self.rows - 1) * self.columns + x.clamp(max=self.columns - 1)
        self._blur_rows, self._blur_columns = (_gaussian_matrix(k, device) for k in (self.rows, self.columns))
        counts = self._sums(torch.ones(1, 1, device=device).expand(1, len(positions)))
        self._in_cell = counts.clamp_min(1e-9)
        self._in_window = self._blur(counts).clamp_min(1e-9)
        # A cell without pixels takes its neighbourhood's mean, so that interpolation at the mask's edge stays sane.
        self._empty = counts < 0.5

    def _sums(self, values: torch.Tensor, tile: slice = ALL, into: torch.Tensor | None = None) -> torch.Tensor:
        """Sums over each cell, [K, rows, columns], of values [K, m] of the pixels in ``tile``; added to ``into``."""
        count = len(values)
        if into is None:
            into = torch.zeros(count, self.rows, self.columns, device=values.device)
        into.view(count, -1).scatter_add_(1, self._cell_of[tile].long().expand(count, -1), values)
        return into

    def _blur(self, grid: torch.Tensor) -> torch.Tensor:
        return self._blur_rows @ grid @ self._blur_columns

    def _at_pixels(self, grid: torch.Tensor, tile: slice = ALL) -> torch.Tensor:
        """Bilinear values [m, K] of a grid [K, rows, columns], K <= 4, at the pixels in ``tile``."""
        return sample(grid.permute(1, 2, 0), (self._positions[tile] + 0.5) / self.cell - 0.5)

    def wide_mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean [M] of values [M] over windows sqrt(1 + WIDER) times as wide, at every pixel."""
        sums, counts = self._sums(values[None]), self._in_cell
        for _ in range(WIDER):
            sums, counts = self._blur(sums), self._blur(counts)
        grid, out = sums / counts.clamp_min(1e-9), torch.empty_like(values)
        for tile in tiles(len(values), self.device):
            out[tile] = self._at_pixels(grid, tile)[:, 0]
        return out

    def __call__(self, colours: torch.Tensor) -> Bands:
        """The bands of colours [M, 3]."""
        middle, fine, mean = torch.empty_like(colours), colours.clone(), torch.empty_like(colours)
        sums = self._sums(colours.T)
        split = self.split(sums, middle, fine)
        variance = colours.new_empty(len(colours), 2)
        for tile in tiles(len(colours), self.device):
            mean[tile], variance[tile] = split.mean(tile), split.variance(tile)
        return Bands(mean, middle, fine, variance)

    def split(self, sums: torch.Tensor, middle: torch.Tensor, fine: torch.Tensor) -> LocalMoments:
        """Split colours whose sums over the cells are ``sums``, in place: ``fine`` [M, 3] holds them on entry.

        On return ``middle`` and ``fine`` hold these bands; mean and variance can be read tile by tile.
        """
        mean = self._blur(sums) / self._in_window
        cells = torch.where(self._empty, mean, sums / self._in_cell)
        energy = torch.zeros(2, self.rows, self.columns, device=self.device)
        for tile in tiles(len(fine), self.device):
            cells_at = self._at_pixels(cells, tile)
            torch.sub(cells_at, self._at_pixels(mean, tile), out=middle[tile])
            fine[tile] -= cells_at
            self._sums(torch.stack([luma(middle[tile]) ** 2, luma(fine[tile]) ** 2]), tile, energy)
        return LocalMoments(self, mean, self._blur(energy) / self._in_window)


@dataclass(frozen=True)
class LocalMoments:
    """Mean and variances on the statistics' grid, to be read at the pixels of a tile."""

    statistics: LocalStatistics
    means: torch.Tensor
    variances: torch.Tensor

    def mean(self, tile: slice) -> torch.Tensor:
        """[m, 3], the local mean colour."""
        return self.statistics._at_pixels(self.means, tile)

    def variance(self, tile: slice) -> torch.Tensor:
        """[m, 2], the local variances of the middle and of the fine band."""
        return self.statistics._at_pixels(self.variances, tile)


class Anchor:
    """Keeps the scene's large shapes in place while the finer texture flows.

    A stream's cascades and pools stand still, only what is carried through them moves: every pixel's local mean and
    local contrast stay the source picture's own. source: [M, 3], the picture's colours; strength: 0..1.
    """

    def __init__(self, source: torch.Tensor, statistics: LocalStatistics, strength: float) -> None:
        self.strength = strength
        place = statistics(source)
        self.mean, self.variance = place.mean, place.variance
        self.suitability = Suitability(luma(place.mean), place.variance, strength)
        self._around = statistics.wide_mean(self.suitability.mean)
        self._energy = float((luma(source) - self._around).square_().mean())

    def products(self, middle: torch.Tensor, rest: torch.Tensor, tile: slice = ALL) -> torch.Tensor:
        """float64 [3]: sums over a tile of s s, s m and m m.

        m: luma of the ``middle`` band [m, 3]; s: of the ``rest``, mean and fine band, over its wide surroundings.
        """
        m, s = luma(middle), luma(rest).sub_(self._around[tile])
        return torch.stack([(a * b).sum(dtype=torch.float64) for a, b in ((s, s), (s, m), (m, m))])

    def lift(self, products: torch.Tensor) -> float:
        """The factor on the carried middle band that gives the frame the energy of the source picture.

        In the source the bands go together (foam is bright and rough); carried over other shapes they do not, and
        energy is lost. It solves E[(s + k m)^2] = E of the source for k. The fine band, which makes up most of what
        changes from frame to frame, is left as it is: the loop keeps its pace.
        """
        alone, together, squared = (products / len(self._around)).tolist()
        squared = max(squared, 1e-12)
        k = (max(together**2 - squared * (alone - self._energy), 0.0) ** 0.5 - together) / squared
        return 1.0 + min(1.0, 2.0 * self.strength) * (min(max(k, LOWEST_LIFT), HIGHEST_LIFT) - 1.0)


class ContrastBlend:
    """The cross-fade with the contrast that the carried texture had in the source picture, frame by frame.

    Each band of the blended colours is scaled so that its local variance equals the cross-fade of the carried
    variances; with an anchor, mean and variances are drawn towards those of the place itself.

    Pixels are worked on in tiles; only the sums over the cells and the lift's three need all of them. Between the
    passes over the tiles eight numbers are kept of each pixel, in memory that is used again for the next frame.
    """

    def __init__(self, statistics: LocalStatistics, anchor: Anchor | None, count: int) -> None:
        self.statistics, self.anchor = statistics, anchor
        self._suitability = anchor.suitability if anchor else Suitability(None, None, 0.0)
        self.tiles = tiles(count, statistics.device)
        self._middle, self._rest = (torch.empty(count, 3, device=statistics.device) for _ in range(2))
        self._wanted = torch.empty(count, 2, device=statistics.device)

    def __call__(self, layers: Callable[[slice], Layers]) -> Callable[[slice], torch.Tensor]:
        """What gives a tile's colours [m, 3] until the next call; ``layers`` gives the layers of a tile.

        Along with the colours go CHANNELS more: the source's local variances (:class:`Bands`), its local mean of luma
        and 1 on the fluid.
        """
        sums = None
        for tile in self.tiles:
            part = layers(tile)
            share = even_pace(self._suitability.share(part.share, part.along, tile))
            _cross_fade(part.forward, part.backward, share, out=self._rest[tile])
            _cross_fade(*(a[:, :2] for a in part.along), share, out=self._wanted[tile]).clamp_min_(0)
            sums = self.statistics._sums(self._rest[tile].T, tile, sums)
        moments = self.statistics.split(sums, self._middle, self._rest)
        products = sum(self._restore(tile, moments) for tile in self.tiles)
        lift = 1.0 if self.anchor is None else self.anchor.lift(products)
        return lambda tile: torch.add(self._rest[tile], self._middle[tile], alpha=lift)

    def _restore(self, tile: slice, moments: LocalMoments) -> torch.Tensor | float:
        """Give the bands of a tile the contrast they shall have, and the fine one its mean; returns the products."""
        anchor, middle, fine = self.anchor, self._middle[tile], self._rest[tile]
        wanted, lowest = self._wanted[tile], LOWEST_GAIN
        if anchor is not None:
            wanted = torch.lerp(wanted, anchor.variance[tile], anchor.strength)
            lowest *= 1.0 - 0.8 * anchor.strength
        gain = (wanted + NOISE_FLOOR).div_(moments.variance(tile).add_(NOISE_FLOOR))
        gain = gain.sqrt_().clamp_(lowest, HIGHEST_GAIN)
        middle *= gain[:, :1]
        fine *= gain[:, 1:]
        mean = moments.mean(tile)
        if anchor is not None:
            mean = torch.lerp(mean, anchor.mean[tile], anchor.strength)
        fine += mean
        return 0.0 if anchor is None else anchor.products(middle, fine, tile)


def contrast_blend(layers: Layers, statistics: LocalStatistics, anchor: Anchor | None = None) -> torch.Tensor:
    """One frame's :class:`ContrastBlend` of layers as a whole, [M, 3]."""
    colours = ContrastBlend(statistics, anchor, len(layers.forward))(layers.of)
    return colours(ALL)
