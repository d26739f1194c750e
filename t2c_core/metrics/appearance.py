"""Appearance drift and repetition: whether a moving scene keeps its look, and whether the loop is a shorter one.

A loop may have no seam, full contrast and exact motion while its shapes melt: in mid-loop a fall's lip is where its
foot was. Drift compares what every place looks like, not its pixels, with the still image.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..appearance import appearance_descriptors

_EDGE = 5
"""Side of the square by which the mask is eroded: 2 px of a soft edge are not judged."""
_SAMPLES = 20_000
"""Pixels followed for the repetition; more change its third digit only."""
_NEAR = 6
"""Lags below this many frames are the motion's own smoothness."""


class AppearanceProbe:
    """Drift and repetition of a loop, frame by frame; ``mask`` [H, W] in 0..1, the fluid (> 0.9) is judged.

    Nothing can be said (None) where the eroded mask is empty.
    """

    def __init__(self, first: np.ndarray, mask: np.ndarray) -> None:
        self._fluid = cv2.erode((mask > 0.9).astype(np.uint8), np.ones((_EDGE, _EDGE), np.uint8)) > 0
        self._still = appearance_descriptors(first)[self._fluid]
        inside = np.flatnonzero(self._fluid)
        self._pixels = inside[:: max(1, len(inside) // _SAMPLES)]
        self._drift: list[tuple[float, float]] = []
        self._luma: list[np.ndarray] = []

    def add(self, frame: np.ndarray, luma: np.ndarray) -> None:
        """One frame [H, W, 3] in 0..1 and its luma [H, W], the first one too."""
        if not len(self._still):
            return
        change = np.abs(appearance_descriptors(frame)[self._fluid] - self._still).mean(-1)
        self._drift.append((float(change.mean(dtype=np.float64)), float(np.percentile(change, 95))))
        self._luma.append(luma.reshape(-1)[self._pixels].astype(np.float32))

    def drift_mean(self) -> float | None:
        """Mean over time and fluid of |descriptors(frame t) - descriptors(frame 0)|."""
        return float(np.mean([mean for mean, _ in self._drift])) if self._drift else None

    def drift_worst(self) -> float | None:
        """The 95th percentile over the fluid of the same, of the worst frame."""
        return max((high for _, high in self._drift), default=None)

    def repetition(self) -> float | None:
        """Largest autocorrelation over time of the fluid's luma, each pixel's mean removed, lags 6..N-6, -1..1.

        1: the loop is a shorter loop played again. None for loops of fewer than 13 frames and where nothing changes.
        """
        count = len(self._luma)
        if count <= 2 * _NEAR:
            return None
        values = np.stack(self._luma)
        values -= values.mean(0)
        power = np.abs(np.fft.rfft(values, axis=0)) ** 2
        correlation = np.fft.irfft(power.sum(1, dtype=np.float64), n=count)
        if correlation[0] <= 1e-9 * values.size:
            return None
        return float((correlation / correlation[0])[_NEAR : count - _NEAR + 1].max())
