"""Regions of a picture from a diffusion model's own self-attention: places that attend alike belong together."""

from __future__ import annotations

import warnings

import numpy as np
from scipy import ndimage
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.exceptions import ConvergenceWarning

from ..errors import InputError
from ..types import Attention

CLUSTERINGS: tuple[str, ...] = ("spectral", "kmeans")
MOST_SEED = 2**32 - 1
"""scikit-learn takes no larger one."""


def cluster_places(attention: Attention, clusters: int = 5, method: str = "spectral", seed: int = 0) -> np.ndarray:
    """The number 0 .. clusters - 1 of the cluster each place belongs to, int32 [h, w]; the same for the same seed.

    'spectral': spectral clustering of the affinity made symmetric, (A + A^T) / 2 (the paper's default).
    'kmeans': k-means of the places' rows of all attention maps (the paper's for directions, with 10 clusters).
    Raises InputError('clusters'), ('clustering') or ('seed') for values that cannot be, ('attention') for NaN or, with
    'spectral', affinities below 0.
    """
    h, w = attention.grid
    if method not in CLUSTERINGS:
        raise InputError("clustering", f"is '{method}'; choose one of {', '.join(CLUSTERINGS)}.")
    if not 1 <= clusters <= h * w:
        raise InputError("clusters", f"is {clusters}; it must lie between 1 and the {h * w} places of the attention.")
    if not 0 <= seed <= MOST_SEED:
        raise InputError("seed", f"is {seed}; it must lie between 0 and {MOST_SEED}.")
    affinity, features = attention.affinity.float().numpy(), attention.features.float().numpy()
    if not (np.isfinite(affinity).all() and np.isfinite(features).all()):
        raise InputError("attention", "contains NaN or infinite values.", "Sample again, in another precision.")
    if method == "spectral" and (affinity < 0).any():
        raise InputError("attention", "has affinities below 0, which no attention has.", "Sample again.")
    if clusters == 1:
        return np.zeros((h, w), np.int32)
    with warnings.catch_warnings():
        # Fewer different places than clusters: some clusters stay empty, which is a fine answer here.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", message="Graph is not fully connected")
        if method == "kmeans":
            labels = KMeans(clusters, n_init=5, random_state=seed).fit_predict(features)
        else:
            labels = SpectralClustering(
                clusters, affinity="precomputed", n_init=100, assign_labels="kmeans", random_state=seed
            ).fit_predict((affinity + affinity.T) / 2)
    return labels.reshape(h, w).astype(np.int32)


def connected_regions(labels: np.ndarray, *, whole_label_0: bool = False) -> np.ndarray:
    """Numbers 0, 1, 2 ... of the connected regions of equal label, int32 like ``labels`` [h, w].

    Places that touch, corners included, are connected. The published code takes cluster 0, whichever that happens to
    be, for one region even where it is in pieces, and confuses regions from the 256th on; ``whole_label_0`` repeats the
    former for comparison.
    """
    regions, count = np.zeros(labels.shape, np.int32), 0
    for label in np.unique(labels):
        where = labels == label
        if whole_label_0 and label == 0:
            parts, found = where.astype(np.int32), 1
        else:
            parts, found = ndimage.label(where, np.ones((3, 3)))
        regions[where] = parts[where] - 1 + count
        count += found
    return regions
