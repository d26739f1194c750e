"""One palette for a whole animation and a dither that stands still.

Error diffusion would make still parts shimmer, because a change anywhere ripples through every pixel after it. Here
each pixel alone decides, from its colour and its place: the same colour at the same place always gives the same entry.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image

_BITS = 5
_LEVELS = 2**_BITS
_SPREAD_PENALTY = 0.1


class Palette:
    """colours: [K, 3] uint8, K <= 255 (one of the 256 entries is left for 'transparent')."""

    def __init__(self, colours: np.ndarray) -> None:
        self.colours = colours
        self._first, self._second = _nearest_pairs(colours.astype(np.float32))
        low, high = (colours[entries].astype(np.float32) for entries in (self._first, self._second))
        span = high - low
        self._slope = span / np.maximum((span * span).sum(-1, keepdims=True), 1.0)
        self._start = (low * self._slope).sum(-1)

    @classmethod
    def from_frames(cls, frames: list[np.ndarray], colours: int = 255, samples: int = 400_000) -> Palette:
        """The palette of the frames [H, W, 3] uint8: exact if they hold few colours, else median cut and k-means."""
        pixels = np.concatenate([f.reshape(-1, 3) for f in frames])
        pixels = pixels[:: max(1, len(pixels) // samples)]
        exact = np.unique(pixels, axis=0)
        if len(exact) <= colours:
            return cls(exact)
        image = Image.fromarray(np.ascontiguousarray(pixels[None]))
        reduced = image.quantize(colours, method=Image.Quantize.MEDIANCUT, kmeans=1, dither=Image.Dither.NONE)
        table = np.array((reduced.getpalette() or [])[: colours * 3], np.uint8).reshape(-1, 3)
        return cls(np.unique(table, axis=0))

    def apply(self, pixels: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Entries (uint8 [M]) for the M True places of ``wanted`` [H, W] in ``pixels`` [H, W, 3] uint8.

        Each colour is dithered between the two entries around it.
        """
        chosen = pixels[wanted]
        r, g, b = (chosen >> (8 - _BITS)).astype(np.int32).T
        cell = (r * _LEVELS + g) * _LEVELS + b
        along = (chosen * self._slope[cell]).sum(-1) - self._start[cell]
        return np.where(along > _threshold(*wanted.shape)[wanted], self._second[cell], self._first[cell])


@lru_cache(maxsize=2)
def _threshold(height: int, width: int) -> np.ndarray:
    """[H, W] in 0..1: interleaved gradient noise (Jimenez, "Next Generation Post Processing", SIGGRAPH 2014)."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    return np.modf(52.9829189 * np.modf(0.06711056 * x + 0.00583715 * y)[0])[0].astype(np.float32)


def _nearest_pairs(colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every cell of the colour cube the nearest entry and the partner whose mixture with it comes closest.

    A partner far away would mix well on paper but look coarse, so its distance counts against it.
    """
    axis = (np.arange(_LEVELS, dtype=np.float32) + 0.5) * (256 / _LEVELS) - 0.5
    cube = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    first = np.empty(len(cube), np.uint8)
    second = np.empty(len(cube), np.uint8)
    for part in np.array_split(np.arange(len(cube)), 32):
        to_entry = colours[None] - cube[part, None]
        distance = (to_entry**2).sum(-1)
        nearest = distance.argmin(1)
        offset = cube[part] - colours[nearest]
        span = colours[None] - colours[nearest][:, None]
        length = (span**2).sum(-1)
        along = np.clip((offset[:, None] * span).sum(-1) / np.maximum(length, 1e-6), 0.0, 1.0)
        mixed = ((offset[:, None] - along[..., None] * span) ** 2).sum(-1)
        cost = mixed + _SPREAD_PENALTY * length * along * (1 - along)
        first[part], second[part] = nearest, cost.argmin(1)
    return first, second
