"""The contrast-preserving cross-fade by Triton's kernels, and by torch where they do not compile."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..kernels.blend import compose, fade, restore, subtract_coarse
from ..kernels.dispatch import run_or_fallback
from ..warp.layers import GatherFrame, Layers
from .blend import EASE, HIGHEST_GAIN, ContrastBlend, Underlay
from .layer_weights import FARTHEST, FLOOR, REAL, TRUST
from .statistics import LUMA, NOISE_FLOOR, GridMoments


class TritonBlend(ContrastBlend):
    """:class:`ContrastBlend` with all the pixels in one tile."""

    def fade(self, layers: Callable[[slice], Layers]) -> torch.Tensor:
        if not isinstance(layers, GatherFrame):
            return super().fade(layers)
        return run_or_fallback("fade", lambda: self._gathered(layers), lambda: ContrastBlend.fade(self, layers))

    def _gathered(self, frame: GatherFrame) -> torch.Tensor:
        assert frame.aux is not None
        statistics = self.statistics
        sums = torch.zeros(3, statistics.rows, statistics.columns, device=statistics.device)
        every = slice(0, self.rest.shape[1])
        more = frame.restarts and frame.restarts.second_of(every)
        for points, second in ((every, None), (more[0], more[1:])) if more else ((every, None),):
            at = frame.sources(points)
            if second is None:
                frame.note_coverage(points, at)
            fade(
                frame.colours, frame.aux, at, frame.share_of(points), self.confidence.likeness,
                TRUST * self.confidence.strength, self.angle, second, statistics.cell_of, self.rest, self.wanted,
                sums, {"REAL": REAL, "FARTHEST": FARTHEST, "FLOOR": FLOOR, "EASE": EASE},
            )  # fmt: skip
        return sums

    def subtract_coarse(self, grid: torch.Tensor, energy: torch.Tensor) -> None:
        places, cells = self.statistics.places, self.statistics.cell_of
        run_or_fallback(
            "subtract_coarse",
            lambda: subtract_coarse(self.rest, grid, places, cells, energy, LUMA),
            lambda: ContrastBlend.subtract_coarse(self, grid, energy),
        )

    def restore(self, moments: GridMoments) -> torch.Tensor:
        anchor = self.anchor
        return run_or_fallback(
            "restore",
            lambda: restore(
                self.rest, self.wanted, moments.means, moments.variances, self.statistics.places,
                anchor and (anchor.mean, anchor.variance, anchor.around), anchor.strength if anchor else 0.0,
                self.lowest_gain, {"FLOOR": NOISE_FLOOR, "HIGHEST": HIGHEST_GAIN}, LUMA,
            ),
            lambda: ContrastBlend.restore(self, moments),
        )  # fmt: skip

    def compose(self, layers: Callable[[slice], Layers], under: Underlay) -> torch.Tensor:
        middle, gain = self.blended(layers)
        if not isinstance(gain, torch.Tensor):
            gain = torch.full((), gain, device=under.image.device)
        places = self.statistics.places

        def composed() -> torch.Tensor:
            frame = under.image.clone()
            compose(self.rest, self.wanted[0], gain, middle, places, under.source, under.alpha, under.indices, frame)
            return frame

        return run_or_fallback("compose", composed, lambda: under.covered(self.colours(middle, gain)))
