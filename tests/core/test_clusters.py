"""Clusters of an attention's places and their connected regions: any grid, any number, wrong input named."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.segment.clusters import cluster_tokens, connected_regions, gram_embedding
from t2c_core.segment.settings import CLUSTERINGS, MOST_SEED, MaskSettings
from t2c_core.types import Attention


def attention_of(partition: np.ndarray, noise: float = 0.1) -> Attention:
    """Places of the same part attend to each other four times as much as to the rest, with noise."""
    flat = partition.ravel()
    rng = np.random.default_rng(0)
    maps = torch.from_numpy(1.0 + 3.0 * (flat[:, None] == flat[None]) + noise * rng.random((flat.size, flat.size)))
    affinity = (maps / maps.sum(1, keepdim=True)).float()
    return Attention(affinity, partition.shape)


def clustered(attention: Attention, clusters: int, method: str, seed: int = 0) -> np.ndarray:
    return cluster_tokens(attention, MaskSettings(clusters=clusters, clustering=method, cluster_seed=seed))


def same_parts(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two labellings divide the places alike, whatever the numbers."""
    pairs = len(np.unique(np.stack([a.ravel(), b.ravel()]), axis=1).T)
    return pairs == len(np.unique(a)) == len(np.unique(b))


@pytest.mark.parametrize("method", CLUSTERINGS)
@pytest.mark.parametrize("shape", [(9, 14), (16, 16), (20, 7)])
@pytest.mark.parametrize("seed", [0, 1, 42, MOST_SEED])
def test_parts_are_found_on_any_grid_with_any_seed(method, shape, seed):
    partition = np.add.outer(np.arange(shape[0]) * 2 // shape[0], 2 * (np.arange(shape[1]) * 2 // shape[1]))
    assert same_parts(clustered(attention_of(partition), 4, method, seed), partition)


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_fewer_different_places_than_clusters(method):
    """Nothing to divide further: no crash, no warning, and what differs stays apart."""
    partition = np.repeat([[0], [1]], 8, axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels = clustered(attention_of(partition, noise=0.0), 5, method)
    assert not set(labels[0]) & set(labels[1])


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_more_clusters_than_tokens_are_named(method):
    with pytest.raises(InputError) as caught:
        clustered(attention_of(np.zeros((4, 4), int)), 17, method)
    assert caught.value.input == "clusters"


def test_gram_embedding_keeps_the_distances_of_all_maps():
    maps = torch.softmax(torch.randn(6, 20, 20, generator=torch.Generator().manual_seed(0)), -1)
    rows, points = torch.cat(list(maps), 1), gram_embedding(maps)
    assert torch.allclose(torch.cdist(points, points), torch.cdist(rows, rows), atol=1e-5)
    assert points.shape[1] <= 20


def test_eigenvectors_are_computed_for_k_means_only(monkeypatch):
    """The float64 eigendecomposition takes a minute for 4096 tokens; the default clustering does not need it."""
    calls = []
    monkeypatch.setattr(
        "t2c_core.segment.clusters.gram_embedding", lambda maps: calls.append(1) or gram_embedding(maps)
    )
    affinity = attention_of(np.arange(16).reshape(4, 4) // 8).affinity
    attention = Attention(affinity, (4, 4), maps=torch.stack([affinity, affinity]))
    assert same_parts(clustered(attention, 2, "spectral"), clustered(attention, 2, "kmeans"))
    assert len(calls) == 1


def test_every_region_is_connected_and_maximal():
    """Against a plain flood fill, on a grid that is not square and has far more than 256 regions."""
    labels = np.random.default_rng(3).integers(0, 6, (48, 40))
    regions = connected_regions(labels)
    filled, count = np.full(labels.shape, -1), 0
    for start in np.ndindex(labels.shape):
        if filled[start] >= 0:
            continue
        stack = [start]
        while stack:
            y, x = stack.pop()
            if not (0 <= y < 48 and 0 <= x < 40) or filled[y, x] >= 0 or labels[y, x] != labels[start]:
                continue
            filled[y, x] = count
            stack += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        count += 1
    assert count > 256
    assert same_parts(regions, filled)
    numbers = np.unique(regions)
    assert numbers[0] == 0 and all(b - a == 1 for a, b in pairwise(numbers))


def test_label_0_in_pieces():
    labels = np.array([[0, 1, 0], [0, 1, 0], [0, 1, 0]])
    assert connected_regions(labels).max() + 1 == 3
