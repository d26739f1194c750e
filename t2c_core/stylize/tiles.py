"""Tiled inference of a painting network, and colour transfer between scales without halos."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

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


def windows(height: int, width: int, size: int, overlap: int) -> list[Window]:
    """Tiles of an image, row by row."""
    return list(itertools.product(spans(height, size, overlap), spans(width, size, overlap)))


def apply_tiled(image: np.ndarray, network: Network, size: int, overlap: int, step: Callable[[], None]) -> np.ndarray:
    """``network`` on overlapping tiles of [H, W, 3], faded into each other; ``step`` is called before every tile.

    The weight of a tile falls in a straight line over the overlap at its inner borders.
    """
    height, width = image.shape[:2]
    total = np.zeros_like(image)
    weight = np.zeros((height, width, 1), np.float32)
    for rows, columns in windows(height, width, size, overlap):
        step()
        fade = (_fade(rows, height, overlap)[:, None] * _fade(columns, width, overlap)[None])[..., None]
        total[rows, columns] += fade * network(image[rows, columns])
        weight[rows, columns] += fade
    return total / weight


def _fade(span: slice, length: int, overlap: int) -> np.ndarray:
    """Weights float32 along one side of a tile: 1 inside, falling towards neighbours, never 0."""
    position = np.arange(span.stop - span.start, dtype=np.float32) + 0.5
    weights = np.ones_like(position)
    if span.start > 0:
        weights = np.minimum(weights, position / overlap)
    if span.stop < length:
        weights = np.minimum(weights, position[::-1] / overlap)
    return weights


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """[H, W, C] at another size, pixel areas aligned (no shift): areas averaged down, cubic up."""
    if image.shape[:2] == (height, width):
        return image
    smaller = height * width < image.shape[0] * image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def guided_filter(guide: np.ndarray, values: np.ndarray, radius: float, edge: float = 0.04) -> np.ndarray:
    """Guided filter (He, Sun and Tang, ECCV 2010): ``values`` [H, W, C] smoothed, but not across edges of ``guide``.

    guide: [H, W]. radius: px. edge: contrast above which an edge of the guide counts, 0..1; its square is epsilon.
    OpenCV's box means take the same time at any radius; kornia's guided_blur convolves, 16 times slower at radius 24.
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


def guided_color_transfer(fine: np.ndarray, coarse: np.ndarray, guide: np.ndarray, radius: float) -> np.ndarray:
    """fine + guided_filter(guide, coarse - fine, radius): strokes larger than ``radius`` px from ``coarse``.

    fine, coarse: [H, W, 3]; guide: [H, W].
    """
    return fine + guided_filter(guide, coarse - fine, radius)
