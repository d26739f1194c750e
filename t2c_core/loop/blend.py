"""Cross-fading the two layers of a frame without losing contrast.

A linear cross-fade of two uncorrelated textures has variance a^2 + (1 - a)^2 of theirs, half of it in mid-loop: the
water seems to breathe. Variance-preserving blending (Heitz & Neyret, "High-Performance By-Example Noise using a
Histogram-Preserving Blending Operator", 2018) scales the deviation from the mean back up. Here mean and contrast are
local, and measured instead of assumed: the layers are not always uncorrelated, and resampling takes contrast as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..warp.layers import Layers
from ..warp.sample import sample

LUMA = (0.299, 0.587, 0.114)
CELLS = 128
"""The longer side of the statistics' grid, in cells."""
WINDOW = 1.5
"""Standard deviation of the statistics' window, in cells: 1/85 of the picture's longer side."""
WIDER = 2
NOISE_FLOOR = 1e-3**2
"""Variance below which there is nothing to restore."""
LOWEST_GAIN, HIGHEST_GAIN = 0.8, 2.5


def linear_blend(layers: Layers) -> torch.Tensor:
    """share * forward + (1 - share) * backward, [M, C]: the published cross-fade."""
    share = layers.share[:, None] if isinstance(layers.share, torch.Tensor) else layers.share
    return torch.lerp(layers.backward, layers.forward, share)


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
        device = positions.device
        x, y = (positions / self.cell).long().unbind(1)
        self._index = y.clamp(max=self.rows - 1) * self.columns + x.clamp(max=self.columns - 1)
        self._at = (positions + 0.5) / self.cell - 0.5
        self._blur_rows, self._blur_columns = (_gaussian_matrix(k, device) for k in (self.rows, self.columns))
        counts = self._sums(torch.ones(1, len(positions), device=device))
        self._in_cell = counts.clamp_min(1e-9)
        self._in_window = self._blur(counts).clamp_min(1e-9)
        # A cell without pixels takes its neighbourhood's mean, so that interpolation at the mask's edge stays sane.
        self._empty = counts < 0.5

    def _sums(self, values: torch.Tensor) -> torch.Tensor:
        """Sums over each cell, [K, rows, columns], of values [K, M]."""
        count = len(values)
        grid = torch.zeros(count, self.rows * self.columns, device=values.device)
        grid.scatter_add_(1, self._index.expand(count, -1), values)
        return grid.reshape(count, self.rows, self.columns)

    def _blur(self, grid: torch.Tensor) -> torch.Tensor:
        return self._blur_rows @ grid @ self._blur_columns

    def _at_pixels(self, grid: torch.Tensor) -> torch.Tensor:
        """Bilinear values [M, K] of a grid [K, rows, columns], K <= 4."""
        return sample(grid.permute(1, 2, 0), self._at)

    def wide_mean(self, values: torch.Tensor) -> torch.Tensor:
        """The mean [M] of values [M] over windows WIDER times as wide, at every pixel."""
        sums, counts = self._sums(values[None]), self._in_cell
        for _ in range(WIDER**2):
            sums, counts = self._blur(sums), self._blur(counts)
        return self._at_pixels(sums / counts.clamp_min(1e-9))[:, 0]

    def __call__(self, colours: torch.Tensor) -> Bands:
        """The bands of colours [M, 3]."""
        sums = self._sums(colours.T)
        mean = self._blur(sums) / self._in_window
        cells = torch.where(self._empty, mean, sums / self._in_cell)
        mean_at, cells_at = self._at_pixels(mean), self._at_pixels(cells)
        middle, fine = cells_at - mean_at, colours - cells_at
        energy = self._sums(torch.stack([luma(middle) ** 2, luma(fine) ** 2]))
        return Bands(mean_at, middle, fine, self._at_pixels(self._blur(energy) / self._in_window))


class Anchor:
    """Keeps the scene's large shapes in place while the finer texture flows.

    A stream's cascades and pools stand still, only what is carried through them moves: every pixel's local mean and
    local contrast stay the source picture's own. source: [M, 3], the picture's colours; strength: 0..1.
    """

    def __init__(self, source: torch.Tensor, statistics: LocalStatistics, strength: float) -> None:
        self.place = statistics(source)
        self.strength = strength
        mean = luma(self.place.mean)
        self._shape = mean - statistics.wide_mean(mean)
        detail = luma(self.place.middle) + luma(self.place.fine)
        self._energy = float((detail * (detail + 2 * self._shape)).mean())

    def lift(self, detail: torch.Tensor) -> float:
        """The factor on carried detail [M, 3] that gives shapes and detail together the source's energy.

        In the source they go together (foam is bright and rough); detail from elsewhere does not, and energy is lost.
        It solves E[(shape + k detail)^2] = E[(shape + source's detail)^2] for k.
        """
        d = luma(detail)
        together, alone = float((self._shape * d).mean()), max(float((d * d).mean()), 1e-12)
        k = (max(together**2 + alone * self._energy, 0.0) ** 0.5 - together) / alone
        return 1.0 + self.strength * (min(max(k, 0.8), 1.25) - 1.0)


def contrast_blend(layers: Layers, statistics: LocalStatistics, anchor: Anchor | None = None) -> torch.Tensor:
    """The cross-fade with the contrast that the carried texture had in the source picture, [M, 3].

    layers: channels 0..2 colours, channels 3 and 4 the source's local variances (:class:`Bands`), carried along with
    them. Each band of the blended colours is scaled so that its local variance equals the cross-fade of the carried
    variances; with an anchor, mean and variances are drawn towards those of the place itself.
    """
    blended = linear_blend(layers)
    bands = statistics(blended[:, :3])
    wanted, lowest = blended[:, 3:5].clamp_min(0), LOWEST_GAIN
    if anchor is not None:
        wanted = torch.lerp(wanted, anchor.place.variance, anchor.strength)
        lowest *= 1.0 - 0.8 * anchor.strength
    gain = ((wanted + NOISE_FLOOR) / (bands.variance + NOISE_FLOOR)).sqrt().clamp(lowest, HIGHEST_GAIN)
    detail = (gain[:, :1] * bands.middle).addcmul_(gain[:, 1:], bands.fine)
    if anchor is None:
        return bands.mean + detail
    return torch.lerp(bands.mean, anchor.place.mean, anchor.strength).add_(detail, alpha=anchor.lift(detail))
