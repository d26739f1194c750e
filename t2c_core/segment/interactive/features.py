"""Per-pixel features of an image: of the working grid for cuts, and of coarse cells for the classifier."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from ...geometry import fit_longest_side
from .efficientnet import INPUT_SIDE, STRIDE, Weights, block_outputs

TABLE_SIDE = 192
"""Longer side of the grid that cells without a network are computed on."""
CODES = 72
CELL = 3
"""Grid pixels per cell side of the table without a network."""


def resize(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """[h, w] or [h, w, C] at another size: area means when shrinking, bilinear when enlarging."""
    shrinks = height * width < values.shape[0] * values.shape[1]
    if shrinks and values.ndim > 2 and values.shape[2] > 4:  # more channels than OpenCV averages at once
        return np.stack([resize(channel, height, width) for channel in np.moveaxis(values, -1, 0)], -1)
    return cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def blur(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of [h, w] or [h, w, C], the border mirrored; sigma in px."""
    return cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (L 0..100) of sRGB [h, w, 3] in 0..1, float32."""
    return cv2.cvtColor(np.ascontiguousarray(rgb, np.float32), cv2.COLOR_RGB2Lab)


def structure_tensor(luma: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Products Jxx, Jyy, Jxy of the gradient of ``luma`` [2 h, 2 w] (0..1), averaged to [h, w]."""
    gx, gy = (cv2.Sobel(luma, cv2.CV_32F, *order, scale=0.125) for order in ((1, 0), (0, 1)))
    h, w = luma.shape[0] // 2, luma.shape[1] // 2
    jxx, jyy, jxy = (resize(p, h, w) for p in (gx * gx, gy * gy, gx * gy))
    return jxx, jyy, jxy


@dataclass(frozen=True)
class GridFeatures:
    """What the cuts see of an image on the working grid.

    lab: [h, w, 3] Lab in units of 100, 70, 70. values: [h, w, 8] colour, texture energy and orientation.
    tensor: Jxx, Jyy, Jxy, each [h, w].
    """

    lab: np.ndarray
    values: np.ndarray
    tensor: tuple[np.ndarray, np.ndarray, np.ndarray]

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)."""
        return self.lab.shape[0], self.lab.shape[1]

    @cached_property
    def codes(self) -> tuple[np.ndarray, np.ndarray]:
        """k-means codes int [h, w] of ``values``, and the kernel [CODES, CODES] that smooths their histograms."""
        from sklearn.cluster import KMeans

        flat = self.values.reshape(-1, self.values.shape[-1])
        count = min(CODES, len(np.unique(flat[:: max(1, len(flat) // 3000)], axis=0)))
        means = KMeans(count, n_init=1, max_iter=12, random_state=0)  # pyright: ignore[reportArgumentType]
        means.fit(flat[:: max(1, len(flat) // 3000)])
        centres = means.cluster_centers_.astype(np.float32)
        distance = ((centres[:, None] - centres[None]) ** 2).sum(-1)
        labels = ((flat**2).sum(1)[:, None] - 2 * flat @ centres.T + (centres**2).sum(1)).argmin(1)
        return labels.reshape(self.size), np.exp(-distance / (2 * 0.07**2))

    @cached_property
    def steps(self) -> tuple[np.ndarray, np.ndarray]:
        """Feature differences between horizontal [h, w - 1] and vertical [h - 1, w] neighbours."""
        wide = blur(self.values, 2.0)
        return tuple(
            np.linalg.norm(self.lab[a] - self.lab[b], axis=-1) + 2 * np.linalg.norm(wide[a] - wide[b], axis=-1)
            for a, b in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:]))
        )

    @cached_property
    def edge_rank(self) -> np.ndarray:
        """Strongest edge within 1 px as its rank 0..1 in the image, [h, w]."""
        edge = np.zeros(self.size, np.float32)
        across, down = (np.linalg.norm(np.diff(self.lab, axis=axis), axis=-1) for axis in (1, 0))
        edge[:, :-1], edge[:-1] = across, np.maximum(edge[:-1], down)
        edge = cv2.dilate(edge, np.ones((3, 3), np.uint8))
        order = np.empty(edge.size, np.float32)
        order[edge.ravel().argsort(kind="stable")] = np.linspace(0, 1, edge.size, dtype=np.float32)
        return order.reshape(self.size)


def grid_features(rgb: np.ndarray, side: int = TABLE_SIDE) -> GridFeatures:
    """Features of an image [H, W, 3] (float32, 0..1) on a grid with the given longer side."""
    h, w = fit_longest_side(rgb.shape[0], rgb.shape[1], side, least=8)
    double = resize(rgb, 2 * h, 2 * w)
    lab = blur(to_lab(resize(double, h, w)), 0.8) / np.array((100, 70, 70), np.float32)
    jxx, jyy, jxy = tensor = structure_tensor(to_lab(double)[..., 0] / 100)
    energy = [0.12 * np.log(blur(jxx + jyy, s) + 1e-5) for s in (2.0, 5.0, 10.0)]
    jxx, jyy, jxy = (blur(j, 6.0) for j in tensor)
    trace = jxx + jyy + 1e-7
    values = np.stack([*np.moveaxis(lab, -1, 0), *energy, 0.35 * (jyy - jxx) / trace, 0.7 * jxy / trace], -1)
    return GridFeatures(lab, values.astype(np.float32), tensor)


def _height_map(h: int, w: int) -> np.ndarray:
    return np.repeat(np.linspace(-1, 1, h, dtype=np.float32)[:, None], w, 1)


def network_cells(rgb: np.ndarray, weights: Weights, side: int = INPUT_SIDE) -> np.ndarray:
    """Cells [h, w, 476]: EfficientNet-Lite0 blocks at stride 8, height in the image (-1..1), Lab / 50."""
    scale = side / max(rgb.shape[:2])
    height, width = (max(2, round(s * scale / 32)) * 32 for s in rgb.shape[:2])
    small = resize(rgb, height, width)
    h, w = height // STRIDE, width // STRIDE
    maps = [F.interpolate(x, (h, w), mode="bilinear") for x in block_outputs(small, weights)]
    network = torch.cat(maps, 1)[0].permute(1, 2, 0).numpy()
    return np.concatenate([network, _height_map(h, w)[..., None], to_lab(resize(small, h, w)) / 50], -1)


def table_cells(grid: GridFeatures) -> np.ndarray:
    """Cells [h, w, 28] without a network: Lab means and log deviations, log energy, orientation, height."""
    size = tuple(max(1, round(s / CELL)) for s in grid.size)
    maps = []
    for sigma in (2.0, 8.0, 24.0):
        mean = blur(grid.lab, sigma)
        variance = blur(grid.lab**2, sigma) - mean**2
        maps += [mean, 0.3 * np.log(np.sqrt(np.maximum(variance, 0)) + 0.01)]
    for sigma in (1.0, 2.0, 4.0):
        jxx, jyy, jxy = (blur(j, sigma) for j in grid.tensor)
        trace = jxx + jyy + 1e-6
        maps.append(np.stack([0.15 * np.log(trace), (jyy - jxx) / trace, 2 * jxy / trace], -1))
    maps.append(_height_map(*grid.size)[..., None])
    return resize(np.concatenate(maps, -1).astype(np.float32), *size)
