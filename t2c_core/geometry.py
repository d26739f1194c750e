"""Nearest pixels, directions, sizes."""

from __future__ import annotations

import math

import cv2
import numpy as np


def nearest_inside(inside: np.ndarray) -> np.ndarray:
    """int32 [H, W]: which pixel of a bool [H, W] mask, counted row by row, is the nearest to every pixel.

    Inside it is the pixel itself. The mask must hold some pixels, but not all.
    """
    _, labels = cv2.distanceTransformWithLabels(
        (~inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    labels = labels.astype(np.int32)
    table = np.zeros(labels.max() + 1, np.int32)
    table[labels[inside]] = np.flatnonzero(inside)
    return table[labels]


def bounding_box(inside: np.ndarray) -> tuple[slice, slice]:
    """(rows, columns) of the smallest box around what is true in [H, W]; two empty slices without."""
    left, top, width, height = cv2.boundingRect(inside.astype(np.uint8))
    return slice(top, top + height), slice(left, left + width)


def connected_to(solid: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """The 8-connected components of a boolean [H, W] mask that contain marked pixels."""
    count, labels = cv2.connectedComponents(solid.astype(np.uint8), connectivity=8)
    keep = np.zeros(count, bool)
    keep[np.unique(np.asarray(labels, np.int32)[marked & solid])] = True
    return keep[np.asarray(labels, np.int32)]


def direction_vector(angle: float) -> tuple[float, float]:
    """Unit vector (x right, y down) of an angle in degrees counter-clockwise from +x."""
    return math.cos(math.radians(angle)), -math.sin(math.radians(angle))


def fit_longest_side(height: int, width: int, longest: float, *, least: int = 1) -> tuple[int, int]:
    """(height, width) scaled down so that the longer side is at most ``longest`` px; never enlarged, ``least`` px."""
    scale = min(1.0, longest / max(height, width))
    return max(least, round(height * scale)), max(least, round(width * scale))
