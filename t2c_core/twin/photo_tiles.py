"""A picture of any size through a network that takes only small ones, and scales put together without halos."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import cv2
import numpy as np

Window = tuple[slice, slice]
Network = Callable[[np.ndarray], np.ndarray]
"""[h, w, 3] float32 in 0..1 to the same shape and range."""


def spans(length: int, size: int, overlap: int) -> list[slice]:
    """The fewest equal spans of ``size`` that cover 0..length, evenly spread, sharing at least ``overlap``.

    A length below ``size`` gives a single shorter span.
    """
    if length <= size:
        return [slice(0, length)]
    count = math.ceil((length - overlap) / (size - overlap))
    starts = np.linspace(0, length - size, count).round().astype(int)
    return [slice(int(s), int(s) + size) for s in starts]


def windows(height: int, width: int, size: int, overlap: int) -> Iterator[Window]:
    """Tiles of a picture, row by row."""
    for rows in spans(height, size, overlap):
        for columns in spans(width, size, overlap):
            yield rows, columns


def tiled(picture: np.ndarray, network: Network, size: int, overlap: int, step: Callable[[], None]) -> np.ndarray:
    """``network`` on overlapping tiles of [H, W, 3], faded into each other; ``step`` is called before every tile.

    The weight of a tile falls in a straight line over the overlap at its inner borders.
    """
    height, width = picture.shape[:2]
    total = np.zeros_like(picture)
    weight = np.zeros((height, width, 1), np.float32)
    for rows, columns in windows(height, width, size, overlap):
        step()
        fade = (_fade(rows, height, overlap)[:, None] * _fade(columns, width, overlap)[None])[..., None]
        total[rows, columns] += fade * network(picture[rows, columns])
        weight[rows, columns] += fade
    return total / weight


def _fade(span: slice, length: int, overlap: int) -> np.ndarray:
    """Weights float32 along one side of a tile: 1 inside, falling towards neighbours, never 0."""
    place = np.arange(span.stop - span.start, dtype=np.float32) + 0.5
    weights = np.ones_like(place)
    if span.start > 0:
        weights = np.minimum(weights, place / overlap)
    if span.stop < length:
        weights = np.minimum(weights, place[::-1] / overlap)
    return weights


def resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """[H, W, C] at another size, pixel areas kept in place (no shift): areas averaged down, cubic up."""
    if picture.shape[:2] == (height, width):
        return picture
    smaller = height * width < picture.shape[0] * picture.shape[1]
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def guided(guide: np.ndarray, values: np.ndarray, radius: float, edge: float = 0.04) -> np.ndarray:
    """``values`` [H, W, C] smoothed over ``radius`` px, but not across edges of ``guide`` [H, W].

    The guided filter of He, Sun and Tang (ECCV 2010): in every window the result is a linear function of the guide.
    ``edge`` is the contrast above which an edge of the guide counts, 0..1.
    """
    side = 2 * round(radius) + 1

    def mean(a: np.ndarray) -> np.ndarray:
        return cv2.blur(a, (side, side), borderType=cv2.BORDER_REFLECT)

    centre = mean(guide)
    variance = mean(guide * guide) - centre * centre
    result = np.empty_like(values)
    for channel in range(values.shape[2]):  # one at a time: a third of the memory
        v = values[..., channel]
        offset = mean(v)
        slope = (mean(guide * v) - centre * offset) / (variance + edge * edge)
        result[..., channel] = mean(slope) * guide + mean(offset - slope * centre)
    return result


def corrected(fine: np.ndarray, coarse: np.ndarray, guide: np.ndarray, radius: float) -> np.ndarray:
    """``fine`` with the colours of ``coarse``: their difference, smoothed along the guide, is added.

    Both [H, W, 3], ``guide`` [H, W]. Strokes larger than ``radius`` come from ``coarse``, smaller ones from ``fine``.
    """
    return fine + guided(guide, coarse - fine, radius)
