"""Which of a frame's two layers suits a place better: sources and sinks of the flow, lips of falls, shores.

Upstream of a waterfall's lip the backward layer shows the fall's foam, and below it the forward layer shows the calm
pool: faint second lips. Where a trace has come in over a shore, a layer shows continued texture, not water that was
photographed. The other layer is nearly always right there, so each place leans to it: the cross-fade is early at some
places and late at others, and still complete at the seam.
"""

from __future__ import annotations

import torch

CHANNELS = 4
"""What is carried along with the colours: local variances of two bands, local mean of luma, 1 where there is fluid."""
TRUST = 1.0
"""How strongly a layer's likeness to the place counts."""
REAL = 2.0
"""How strongly it counts that a layer comes from within the fluid."""
FARTHEST = 4.0
FLOOR = 1e-5


class Suitability:
    """Weights of the layers at every place.

    mean, variance: [M] local mean of luma and [M, 2] local variances of the place in the source picture, or None where
    large shapes drift and no place has a look of its own; strength: 0..1, how much the place's look counts.
    """

    def __init__(self, mean: torch.Tensor | None, variance: torch.Tensor | None, strength: float) -> None:
        self.mean, self.variance, self.strength = mean, variance, strength
        if mean is not None:
            self._spread = max(float(mean.std(correction=0)), 1e-3)

    def share(
        self, share: torch.Tensor | float, along: tuple[torch.Tensor, torch.Tensor], tile: slice
    ) -> torch.Tensor | float:
        """The forward layer's share [m], leaning to the layer that suits better; 0 stays 0, and 1 stays 1.

        along: CHANNELS values [m, 4] carried with the forward and with the backward layer.
        """
        odds = self._merit(along[0], tile).sub_(self._merit(along[1], tile)).exp_()
        return share * odds / (share * odds + (1.0 - share))

    def _merit(self, carried: torch.Tensor, tile: slice) -> torch.Tensor:
        """Logarithm of the weight [m] of what was ``carried`` [m, 4] to the pixels in ``tile``."""
        merit = carried[:, 3].clamp(0, 1) * REAL
        if self.mean is None:
            return merit
        # Differences in units of what is usual between places: of brightness, and of contrast by factors of e.
        away = (carried[:, 2] - self.mean[tile]).div_(self._spread).square_()
        ratio = (carried[:, :2].clamp_min(0) + FLOOR).div_(self.variance[tile] + FLOOR).log_()
        away += ratio.square_().mean(1).mul_(0.25)
        return merit.sub_(away.clamp_max_(FARTHEST), alpha=TRUST * self.strength)
