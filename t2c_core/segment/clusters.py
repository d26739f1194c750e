"""Clusters and connected components of a diffusion model's self-attention."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from ..errors import InputError
from ..types import Attention
from .settings import MaskSettings


def cluster_tokens(attention: Attention, settings: MaskSettings = MaskSettings()) -> np.ndarray:
    """Label map of the attention's tokens, int32 [h, w] of 0 .. ``clusters`` - 1; the same for the same seed.

    'spectral': spectral clustering of the affinity made symmetric, (A + A^T) / 2 (the paper's default).
    'kmeans': k-means of the tokens' rows of all attention maps (the paper's for directions, with 10 clusters).
    Raises InputError('clusters') for more of them than tokens, ('attention') for NaN.
    """
    from sklearn.cluster import KMeans, SpectralClustering

    h, w = attention.grid
    clusters, seed = settings.clusters, settings.cluster_seed
    if clusters > h * w:
        raise InputError("clusters", f"is {clusters}; it must lie between 1 and the {h * w} tokens of the attention.")
    affinity = attention.affinity.float().numpy()
    if not np.isfinite(affinity).all():
        raise InputError("attention", "contains NaN or infinite values.", "Sample again, in another precision.")
    if clusters == 1:
        return np.zeros((h, w), np.int32)
    if settings.clustering == "kmeans":
        features = affinity if attention.maps is None else gram_embedding(attention.maps).numpy()
        clusters = min(clusters, len(np.unique(features, axis=0)))
        labels = KMeans(clusters, n_init=5, random_state=seed).fit_predict(features)  # pyright: ignore[reportArgumentType]
    else:
        labels = SpectralClustering(
            clusters, affinity="precomputed", n_init=100, assign_labels="kmeans", random_state=seed
        ).fit_predict((affinity + affinity.T) / 2)
    return labels.reshape(h, w).astype(np.int32)


def gram_embedding(maps: torch.Tensor) -> torch.Tensor:
    """Points [T, F <= T] with the same mutual distances as the concatenated rows of ``maps`` [M, T, T].

    k-means depends on distances only, so T numbers per token can stand for the M * T of the paper: classical scaling,
    the eigenvectors of the Gram matrix times the roots of its eigenvalues, in float64.
    """
    rows = maps.double()
    values, vectors = torch.linalg.eigh(torch.einsum("mik,mjk->ij", rows, rows))
    kept = values > values[-1] * 1e-12
    return (vectors[:, kept] * values[kept].sqrt()).float()


def connected_regions(labels: np.ndarray) -> np.ndarray:
    """Connected components (8 neighbours) of equal label, int32 [h, w] of 0, 1, 2 ..., like ``labels``.

    The published code takes cluster 0, whichever that happens to be, for one region even where it is in pieces, and
    confuses regions from the 256th on.
    """
    regions, count = np.zeros(labels.shape, np.int32), 0
    for label in np.unique(labels):
        where = labels == label
        parts, found = ndimage.label(where, np.ones((3, 3)))  # pyright: ignore[reportGeneralTypeIssues]
        regions[where] = parts[where] - 1 + count
        count += found
    return regions
