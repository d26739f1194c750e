"""Per-pixel confidence of the forward and backward warps: sources and sinks of the flow, lips of falls, shores.

Upstream of a waterfall's lip the backward layer shows the fall's foam, and below it the forward layer shows the calm
pool: faint second lips. Where a trajectory has come in over a shore, a layer shows continued texture, not water that
was photographed. The other layer is nearly always right there, so each pixel leans to it: the cross-fade is early at
some pixels and late at others, and still complete at the seam.
"""

from __future__ import annotations

import torch

CHANNELS = 4
"""Auxiliary channels: local variances of two bands, local mean of luma, 1 where there is fluid."""
TRUST = 1.0
"""Weight of a layer's likeness to the source at the pixel."""
REAL = 2.0
"""Weight of a layer's coming from within the fluid."""
FARTHEST = 4.0
FLOOR = 1e-5


class LayerConfidence:
    """Odds of the two layers at every pixel.

    mean, variance: [M] local mean of luma and [2, M] local variances of the source at the pixel, or None where large
    shapes drift and no pixel has a look of its own; strength: 0..1, how much the look counts.
    """

    def __init__(self, mean: torch.Tensor | None, variance: torch.Tensor | None, strength: float) -> None:
        self.mean, self.strength = mean, strength
        if mean is not None and variance is not None:
            self._log_variance = (variance + FLOOR).log_()
            self._per_spread = mean.std(correction=0).clamp_min(1e-3).reciprocal()

    @property
    def likeness(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
        """(mean [M], log variance [2, M], one over the mean's spread []) of the source; None without them."""
        return None if self.mean is None else (self.mean, self._log_variance, self._per_spread)

    def share(
        self, share: torch.Tensor | float, aux: tuple[torch.Tensor, torch.Tensor], tile: slice | torch.Tensor
    ) -> torch.Tensor | float:
        """The forward layer's share [m], leaning to the layer of higher confidence; 0 stays 0, and 1 stays 1.

        aux: CHANNELS values [4, m] of the forward and of the backward layer.
        """
        odds = self._log_weight(aux[0], tile).sub_(self._log_weight(aux[1], tile)).exp_().mul_(share)
        return odds / (odds + (1.0 - share))

    def _log_weight(self, aux: torch.Tensor, tile: slice | torch.Tensor) -> torch.Tensor:
        """Logarithm of the weight [m] of a layer with auxiliary channels [4, m] at the pixels in ``tile``."""
        weight = aux[3].clamp(0, 1).mul_(REAL)
        if self.mean is None:
            return weight
        # Differences in units of what is usual between pixels: of brightness, and of contrast by factors of e.
        away = torch.sub(aux[2], self.mean[tile]).mul_(self._per_spread).square_()
        ratio = aux[:2].clamp_min(0).add_(FLOOR).log_().sub_(self._log_variance[:, tile])
        for band in ratio:
            away.addcmul_(band, band, value=0.125)
        return weight.sub_(away.clamp_max_(FARTHEST), alpha=TRUST * self.strength)
