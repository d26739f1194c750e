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
from typing import Any

import torch

from ..kernels.dispatch import use_numba, use_triton
from ..warp.layers import Layers
from ..warp.sample import interleave
from .layer_weights import LayerConfidence
from .statistics import NOISE_FLOOR, GridMoments, LocalStatistics, SourceStatistics

LOWEST_GAIN, HIGHEST_GAIN = 0.8, 2.5
EASE = 0.6


def linear_blend(layers: Layers) -> torch.Tensor:
    """share * forward + (1 - share) * backward, [3, M]: the published cross-fade."""
    return torch.lerp(layers.backward, layers.forward, layers.share)


@dataclass(frozen=True)
class Underlay:
    """What lies under the fluid: image [H, W, 3]; source [3, M], its colours there; alpha [M], the fluid's; indices [M]
    in the flattened image; tiles of the M pixels."""

    image: torch.Tensor
    source: torch.Tensor
    alpha: torch.Tensor
    indices: torch.Tensor
    tiles: list[slice]

    def covered(self, fluid: Callable[[slice], torch.Tensor]) -> torch.Tensor:
        """A frame [H, W, 3]: the colours [3, m] that ``fluid`` gives of a tile over the image."""
        frame = self.image.clone()
        pixels = frame.view(-1, 3)
        for tile in self.tiles:
            colours = torch.lerp(self.source[:, tile], fluid(tile), self.alpha[tile]).clamp_(0, 1)
            pixels.index_copy_(0, self.indices[tile], interleave(colours))
        return frame


class LinearBlend:
    """The published cross-fade of a frame, tile by tile."""

    def __call__(self, layers: Callable[[slice], Layers]) -> Callable[[slice], torch.Tensor]:
        """What gives a tile's colours [3, m] until the next call; ``layers`` gives the layers of a tile."""

        def colours(tile: slice) -> torch.Tensor:
            part = layers(tile)
            out = linear_blend(part)
            if part.second is not None:
                pixels, second, weight = part.second
                out[:, pixels] = torch.lerp(out[:, pixels], linear_blend(second), weight)
            return out

        return colours

    def compose(self, layers: Callable[[slice], Layers], under: Underlay) -> torch.Tensor:
        """A frame [H, W, 3]: the blended layers over the image."""
        return under.covered(self(layers))


def equal_power_weight(share: torch.Tensor | float) -> torch.Tensor | float:
    """Equal-power weight in linear-share form, cos / (cos + sin) of an angle from 0 to 90 degrees as share goes 1 to 0.

    A blend with its contrast restored weighs two unrelated textures by cos and sin: over the linear share they would
    change places twice as fast in mid-loop as at the seam. EASE: the layers change places a little faster still at the
    seam, where the image is nearly one layer and changes by its motion alone.
    """
    library: Any = torch if isinstance(share, torch.Tensor) else math
    gone = 1.0 - share
    angle = (gone + EASE / (2 * math.pi) * library.sin(2 * math.pi * gone)) * (math.pi / 2)
    weight = library.cos(angle)
    return weight / (weight + library.sin(angle))


def even_weight(share: torch.Tensor | float, angle: torch.Tensor) -> torch.Tensor:
    """The share sin(s a) / (sin(s a) + sin((1 - s) a)) of two textures of correlation cos a, for a linear share s.

    With its contrast restored the blend goes from one to the other at an even pace: spherical interpolation (Shoemake,
    "Animating rotation with quaternion curves", 1985). angle: above 0, up to pi / 2.
    """
    first, other = torch.sin(share * angle), torch.sin((1.0 - share) * angle)
    return first / (first + other)


class ContrastBlend(LinearBlend):
    """The cross-fade with the contrast that the carried texture had in the source image, frame by frame.

    Each band of the blended colours is scaled so that its local variance equals the cross-fade of the carried
    variances; with an anchor, mean and variances are drawn towards those of the pixel itself.

    Pixels are worked on in tiles, in the passes that the methods are; only the sums over the cells and the energy
    gain's three need all of them. Between the passes five numbers are kept of each of the ``count`` pixels, in memory
    that is used again for the next frame. The passes are torch's here, Triton's and Numba's in subclasses.
    """

    def __init__(
        self,
        statistics: LocalStatistics,
        anchor: SourceStatistics | None,
        count: int,
        angle: torch.Tensor | None = None,
    ) -> None:
        self.statistics, self.anchor, self.angle = statistics, anchor, angle
        self.confidence = anchor.confidence if anchor else LayerConfidence(None, None, 0.0)
        self.lowest_gain = LOWEST_GAIN * (1.0 - 0.8 * (anchor.strength if anchor else 0.0))
        self.tiles = statistics.tiles
        self.rest = torch.empty(3, count, device=statistics.device)
        self.wanted = torch.empty(2, count, device=statistics.device)

    def __call__(self, layers: Callable[[slice], Layers]) -> Callable[[slice], torch.Tensor]:
        """What gives a tile's colours [3, m] until the next call; ``layers`` gives the layers of a tile.

        Their auxiliary channels are those of :mod:`t2c_core.loop.layer_weights`.
        """
        return self.colours(*self.blended(layers))

    def colours(self, middle: torch.Tensor, gain: torch.Tensor | float) -> Callable[[slice], torch.Tensor]:
        """What gives a tile's colours of what ``blended`` returned."""
        at_pixels = self.statistics.at_pixels
        return lambda tile: torch.addcmul(self.rest[:, tile], at_pixels(middle, tile)[:3], self.wanted[0, tile] * gain)

    def blended(self, layers: Callable[[slice], Layers]) -> tuple[torch.Tensor, torch.Tensor | float]:
        """The middle band [h, w, 4], to be added to ``rest`` times ``wanted`` and a factor, and this factor."""
        moments = self.split(self.fade(layers))
        products = self.restore(moments)
        return moments.middle, 1.0 if self.anchor is None else self.anchor.energy_gain(products)

    def split(self, sums: torch.Tensor) -> GridMoments:
        """See LocalStatistics.split."""
        return self.statistics.split(sums, self.subtract_coarse)

    def fade(self, layers: Callable[[slice], Layers]) -> torch.Tensor:
        """Cross-fade the layers into ``rest`` and the variances they shall have into ``wanted``; the colours' sums
        [3, h, w] over the cells."""
        sums = None
        for tile in self.tiles:
            part = layers(tile)
            rest, wanted = self.rest[:, tile], self.wanted[:, tile]
            self._fade(part, tile, rest, wanted)
            if part.second is not None:
                pixels, second, weight = part.second
                colours, variances = (second.forward.new_empty(k, len(pixels)) for k in (3, 2))
                self._fade(second, pixels + tile.start, colours, variances)
                for values, other in ((rest, colours), (wanted, variances)):
                    values[:, pixels] = torch.lerp(values[:, pixels], other, weight)
            sums = self.statistics.sums(rest, tile, sums)
        assert sums is not None
        return sums

    def _fade(self, layers: Layers, pixels: slice | torch.Tensor, colours: torch.Tensor, wanted: torch.Tensor) -> None:
        assert layers.aux is not None
        share = self.confidence.share(layers.share, layers.aux, pixels)
        share = equal_power_weight(share) if self.angle is None else even_weight(share, self.angle[pixels])
        torch.lerp(layers.backward, layers.forward, share, out=colours)
        torch.lerp(layers.aux[1][:2], layers.aux[0][:2], share, out=wanted).clamp_min_(0)

    def subtract_coarse(self, grid: torch.Tensor, energy: torch.Tensor) -> None:
        """See LocalStatistics.subtract."""
        self.statistics.subtract(self.rest, grid, energy)

    def restore(self, moments: GridMoments) -> torch.Tensor:
        """Give the fine band, ``rest``, its contrast and its mean; ``wanted`` becomes the bands' gains. float64 [3]:
        the products of :meth:`.SourceStatistics.products`."""
        products = torch.zeros(3, dtype=torch.float64, device=self.rest.device)
        for tile in self.tiles:
            anchor, wanted, rest = self.anchor, self.wanted[:, tile], self.rest[:, tile]
            mean, middle = self.statistics.at_pixels(moments.means, tile).split([3, 1])
            if anchor is not None:
                wanted.lerp_(anchor.variance[:, tile], anchor.strength)
                mean.lerp_(anchor.mean[:, tile], anchor.strength)
            variance = self.statistics.at_pixels(moments.variances, tile)
            gain = wanted.add_(NOISE_FLOOR).div_(variance.add_(NOISE_FLOOR))
            gain.sqrt_().clamp_(self.lowest_gain, HIGHEST_GAIN)
            torch.addcmul(mean, rest, gain[1], out=rest)
            if anchor is not None:
                products += anchor.products(middle[0] * gain[0], rest, tile)
        return products


def contrast_blend(
    statistics: LocalStatistics, anchor: SourceStatistics | None, count: int, angle: torch.Tensor | None = None
) -> ContrastBlend:
    """The ContrastBlend for the statistics' device."""
    if use_triton(statistics.device):
        from .blend_triton import TritonBlend as Blend
    elif use_numba(statistics.device):
        from .blend_numba import NumbaBlend as Blend
    else:
        Blend = ContrastBlend
    return Blend(statistics, anchor, count, angle)
