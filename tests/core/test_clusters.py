"""Clusters of an attention's places and their connected regions: any grid, any number, wrong input named."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.segment.clusters import CLUSTERINGS, MOST_SEED, cluster_places, connected_regions
from t2c_core.segment.from_attention import refine_with_attention
from t2c_core.types import Attention


def attention_of(partition: np.ndarray, noise: float = 0.1) -> Attention:
    """Places of the same part attend to each other four times as much as to the rest, with noise."""
    flat = partition.ravel()
    rng = np.random.default_rng(0)
    maps = torch.from_numpy(1.0 + 3.0 * (flat[:, None] == flat[None]) + noise * rng.random((flat.size, flat.size)))
    affinity = (maps / maps.sum(1, keepdim=True)).float()
    return Attention(affinity, partition.shape, affinity)


def same_parts(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two labellings divide the places alike, whatever the numbers."""
    pairs = len(np.unique(np.stack([a.ravel(), b.ravel()]), axis=1).T)
    return pairs == len(np.unique(a)) == len(np.unique(b))


@pytest.mark.parametrize("method", CLUSTERINGS)
@pytest.mark.parametrize("shape", [(9, 14), (16, 16), (20, 7)])
@pytest.mark.parametrize("seed", [0, 1, 42, MOST_SEED])
def test_parts_are_found_on_any_grid_with_any_seed(method, shape, seed):
    partition = np.add.outer(np.arange(shape[0]) * 2 // shape[0], 2 * (np.arange(shape[1]) * 2 // shape[1]))
    assert same_parts(cluster_places(attention_of(partition), 4, method, seed), partition)


@pytest.mark.parametrize("method", CLUSTERINGS)
def test_fewer_different_places_than_clusters(method):
    """Nothing to divide further: no crash, no warning, and what differs stays apart."""
    partition = np.repeat([[0], [1]], 8, axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels = cluster_places(attention_of(partition, noise=0.0), 5, method)
    assert not set(labels[0]) & set(labels[1])


@pytest.mark.parametrize(
    ("changed", "named"),
    [({"seed": -1}, "seed"), ({"seed": MOST_SEED + 1}, "seed"), ({"clusters": 17}, "clusters")],
)
@pytest.mark.parametrize("method", CLUSTERINGS)
def test_values_scikit_learn_refuses_are_named(method, changed, named):
    with pytest.raises(InputError) as caught:
        cluster_places(attention_of(np.zeros((4, 4), int)), **{"method": method, **changed})
    assert caught.value.input == named


def test_affinities_below_0_are_named():
    affinity = -torch.ones(16, 16)
    with pytest.raises(InputError, match="below 0") as caught:
        cluster_places(Attention(affinity, (4, 4), affinity), 3)
    assert caught.value.input == "attention"


def test_a_mask_of_another_size_is_named():
    attention = attention_of(np.arange(16).reshape(4, 4) // 8)
    with pytest.raises(InputError, match="30x20, the image 64x48") as caught:
        refine_with_attention(torch.zeros(1, 48, 64, 3), torch.ones(1, 20, 30), attention, clusters=2)
    assert caught.value.input == "mask"


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
    assert connected_regions(labels, whole_label_0=True).max() + 1 == 2
