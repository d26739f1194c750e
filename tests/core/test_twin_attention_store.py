"""Averaged attention: pooling, memory-bound forms, k-means features, words."""

from __future__ import annotations

import pytest
import torch

from t2c_core.twin import attention_store
from t2c_core.twin.attention_store import AttentionStore, attention_maps, pooled_maps
from t2c_core.twin.layers import AttentionBlock, choose_layers
from t2c_core.twin.prompts import word_positions
from tests.vectors import randn


def test_attention_is_what_torch_computes():
    q, k, v = (randn(name, (2, 12, 32)) for name in "qkv")
    maps = attention_maps(q, k, 4)
    mixed = maps @ v.unflatten(2, (4, -1)).transpose(1, 2)
    expected = torch.nn.functional.scaled_dot_product_attention(
        *(t.unflatten(2, (4, -1)).transpose(1, 2) for t in (q, k, v))
    )
    assert torch.allclose(mixed, expected, atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 10**9])
def test_pooling_averages_queries_and_adds_keys(monkeypatch, chunk):
    monkeypatch.setattr(attention_store, "CHUNK_BYTES", chunk)
    q, k = randn("q", (1, 24, 16)), randn("k", (1, 24, 16))
    fine = attention_maps(q, k, 2).unflatten(3, (4, 6)).unflatten(2, (4, 6))
    cells = fine.unflatten(5, (3, 2)).unflatten(4, (2, 2)).sum((5, 7))
    cells = cells.unflatten(3, (3, 2)).unflatten(2, (2, 2)).mean((3, 5))
    pooled = pooled_maps(q, k, 2, (4, 6), (2, 3))
    assert torch.allclose(pooled, cells.flatten(4, 5).flatten(2, 3), atol=1e-6)
    assert torch.allclose(pooled.sum(-1), torch.ones(1, 2, 6), atol=1e-6)


def filled(store, batch=1):
    for block in range(2):
        q, k = (randn(f"{block}{part}", (2 * batch, 36, 16)) for part in "qk")
        store.add_self(q, k, 2, ["uncond", "cond"], (6, 6))
    return store


def test_mean_only_form_has_the_same_affinity(monkeypatch):
    apart = filled(AttentionStore(2), 2).result()
    monkeypatch.setattr(attention_store, "MAX_MAP_BYTES", 0)
    lean = filled(AttentionStore(2), 2)
    assert lean.maps().shape == (2, 2, 36, 36)
    assert apart[0].maps.shape == (4, 36, 36) and torch.allclose(apart[0].maps.mean(0), apart[0].affinity)
    for a, b in zip(apart, lean.result(), strict=True):
        assert torch.allclose(a.affinity, b.affinity, atol=1e-6)


def test_fine_grids_are_pooled(monkeypatch):
    monkeypatch.setattr(attention_store, "MAX_TOKENS", 9)
    found = filled(AttentionStore(1)).result()[0]
    assert found.grid == (3, 3) and found.affinity.shape == (9, 9)
    assert torch.allclose(found.affinity.sum(1), torch.ones(9), atol=1e-5)


def test_without_attention_there_is_no_result():
    with pytest.raises(ValueError, match="no attention"):
        AttentionStore(1).result()


def test_why_there_are_no_heat_maps():
    """Context tokens that do not fit (an image prompt's, say), unknown words, cross-attention that never ran."""
    q, k, roles = randn("q", (2, 16, 8)), randn("k", (2, 7, 8)), ["uncond", "cond"]
    for words, keys, problem in (
        ([("river", [1])], k, "7 keys for 5 tokens"),
        ([], k[:, :5], "no word of the prompt"),
        ([("river", [1])], None, "no cross-attention was recorded"),
    ):
        store = AttentionStore(1, 5)
        store.add_self(q, q, 1, roles, (4, 4))
        if keys is not None:
            store.add_cross(q, keys, 1, roles, (4, 4))
        attention = store.result(words)[0]
        assert attention.heat is None and attention.words == () and problem in attention.heat_problem


def test_words_look_where_their_tokens_point():
    store = AttentionStore(1, 5)
    store.add_self(randn("q", (2, 16, 8)), randn("k", (2, 16, 8)), 1, ["uncond", "cond"], (4, 4))
    q = torch.zeros(2, 16, 8)
    q[1, :8, 0], q[1, 8:, 1] = 40.0, 40.0
    k = torch.zeros(2, 5, 8)
    k[1, 1, 0], k[1, 3, 1] = 1.0, 1.0
    store.add_cross(q, k, 1, ["uncond", "cond"], (4, 4))
    heat = store.result([("river", [1]), ("sky", [3])])[0].heat
    assert heat[0, :2].min() > 0.99 > 0.01 > heat[0, 2:].max()
    assert heat[1, 2:].min() > 0.99 > 0.01 > heat[1, :2].max()
    # A context that was repeated to the length of a longer one shares its attention.
    again = AttentionStore(1, 5)
    again.add_self(randn("q", (2, 16, 8)), randn("k", (2, 16, 8)), 1, ["uncond", "cond"], (4, 4))
    again.add_cross(q, torch.cat([k, k], 1), 1, ["uncond", "cond"], (4, 4))
    assert torch.allclose(again.result([("river", [1]), ("sky", [3])])[0].heat, heat, atol=1e-6)


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ([None, "a</w>", "water", "fall</w>", ",</w>", "sky</w>", None], {"a": [1], "waterfall": [2, 3], "sky": [5]}),
        (["Sea</w>", "and</w>", "sea</w>"], {"sea": [0, 2], "and": [1]}),
        ([None, "!", "!", None], {}),
        ([], {}),
        (["van", None, "gogh</w>"], {"gogh": [2]}),
    ],
)
def test_words_of_tokens(tokens, words):
    assert dict(word_positions(tokens)) == words


def test_blocks_of_the_three_families():
    def blocks(*levels, first):
        return [
            AttentionBlock(first + 3 * n + r, level, depth)
            for n, (level, depth, k) in enumerate(levels)
            for r in range(k)
        ]

    sd = choose_layers(
        blocks((0, 1, 2), (1, 1, 2), (2, 1, 2), first=1), blocks((2, 1, 3), (1, 1, 3), (0, 1, 3), first=3)
    )
    assert sd.feature == 4 and sd.injected == {("output", b, 0) for b in range(4, 12)}
    assert sd.mask == {("input", 4, 0), ("input", 5, 0)} | {("output", b, 0) for b in (6, 7, 8)}
    xl = choose_layers(blocks((1, 2, 2), (2, 10, 2), first=4), blocks((2, 10, 3), (1, 2, 3), first=0))
    assert xl.feature == 1
    assert xl.injected == {("output", b, k) for b in (1, 2) for k in range(10)} | {
        ("output", b, k) for b in (3, 4, 5) for k in range(2)
    }
    assert xl.mask == {("input", 7, 5), ("input", 8, 5), ("output", 0, 5), ("output", 1, 5), ("output", 2, 5)}
    with pytest.raises(ValueError, match="fewer than two"):
        choose_layers([], [AttentionBlock(0, 0, 1)])
