"""Sky, water or other: a ridge-regression classifier of image cells that adapts to what was drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from . import efficientnet
from .features import grid_features, network_cells, table_cells

CLASSES = ("sky", "water", "other")
FLUIDS = 2
"""The first of CLASSES: those that strokes can mean."""
DRAWN_WEIGHT = PINNED_WEIGHT = 0.4
SHARPNESS = 2.0
"""Of the softmax over scores."""
NETWORK_RIDGE, TABLE_RIDGE = 0.15, 0.05
RANDOM_FEATURES, RANDOM_SCALE = 400, 0.15
HEADS = Path(__file__).with_name("heads.npz")
FIELDS = ("mean", "deviation", "normal", "target", "projection", "phase")


@dataclass(frozen=True)
class Head:
    """Regularised least squares on targets +-1 (ridge regression), with the statistics that adapting it needs.

    mean, deviation: [C] of the cells. projection: [C, K], phase: [K]: random cosine features (Rahimi & Recht 2007).
    normal: [D, D] mean of f f^T plus ridge, target: [D, 3] mean of f times target, each class with the same weight.
    D = C + K + 1.
    """

    mean: np.ndarray
    deviation: np.ndarray
    normal: np.ndarray
    target: np.ndarray
    projection: np.ndarray
    phase: np.ndarray

    def embed(self, cells: np.ndarray) -> np.ndarray:
        """Features f [..., D] of cells [..., C]: standardised, their random cosines, and 1."""
        standardised = (cells - self.mean) / self.deviation
        cosines = np.cos(standardised @ self.projection + self.phase)
        return np.concatenate([standardised, cosines, np.ones((*cells.shape[:-1], 1))], -1).astype(np.float32)

    def solve(self, drawn: np.ndarray | None = None, pinned: np.ndarray | None = None) -> np.ndarray:
        """Weights [D, 3]; those of the fluids adapted to features [n, D] under strokes (+1) and pins (-1)."""
        normal, target = self.normal, self.target.copy()
        for samples, weight, sign in ((drawn, DRAWN_WEIGHT, 1), (pinned, PINNED_WEIGHT, -1)):
            if samples is not None and len(samples):
                normal = normal + weight / len(samples) * (samples.T @ samples)
                target[:, :FLUIDS] += sign * weight * samples.mean(0)[:, None]
        return cho_solve(cho_factor(normal), target).astype(np.float32)

    def fluid_probabilities(self, features: np.ndarray) -> np.ndarray:
        """[FLUIDS]: how likely features [n, D] on a fluid are each of its classes, mean of the softmax, sum 1."""
        scores = SHARPNESS * (features @ self.solve())
        odds = np.exp(scores - scores.max(1, keepdims=True))
        mean = (odds / odds.sum(1, keepdims=True)).mean(0)[:FLUIDS]
        return mean / mean.sum()


def unpack_head(stored: Mapping[str, Any], name: str) -> Head:
    """Head out of a table's arrays: half precision, of the normal matrix its upper triangle."""
    arrays = {field: np.asarray(stored[f"{name}.{field}"], np.float32) for field in FIELDS}
    normal = np.zeros((len(arrays["target"]),) * 2, np.float32)
    normal[np.triu_indices(len(normal))] = arrays["normal"]
    return Head(**arrays | {"normal": normal + np.triu(normal, 1).T})


@dataclass(frozen=True)
class Classifier:
    """A head and the weights of the network whose features it reads; None: features computed without a network."""

    head: Head
    weights: efficientnet.Weights | None = None

    def features(self, rgb: np.ndarray) -> np.ndarray:
        """[h, w, D] of an image [H, W, 3] in 0..1."""
        cells = table_cells(grid_features(rgb)) if self.weights is None else network_cells(rgb, self.weights)
        return self.head.embed(cells)


@cache
def load_classifier(*, network: bool = True) -> Classifier:
    """The shipped classifier: with EfficientNet-Lite0 where its package is installed and ``network``, else without."""
    weights = efficientnet.load_weights() if network else None
    with np.load(HEADS, allow_pickle=False) as stored:
        return Classifier(unpack_head(stored, "table" if weights is None else "network"), weights)
