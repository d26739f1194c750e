"""Attention of a transformer's image and text tokens, shown to a `FeatureInjector`: queries and keys of the image's
rows are looked at, kept or replaced; the text's rows and all values stay (arXiv 2508.07519).

Queries, keys and outputs are [B, heads, tokens, d] (keys with fewer heads: groups share them) or [B, tokens, heads d].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .feature_injection import FeatureInjector, Move
from .layers import LayerId


@dataclass(frozen=True)
class Rows:
    """Where an attention's tokens are: the image's, of a grid (h, w), and the text's (none: an empty slice)."""

    image: slice
    text: slice
    grid: tuple[int, int]


def share_rows(
    injector: FeatureInjector,
    layer: LayerId,
    q: torch.Tensor,
    k: torch.Tensor,
    heads: int,
    rows: Rows,
    roles: Sequence[str],
    position: int = 0,
    move: Move | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Queries and keys to use in one attention instead of q, k. position, move: those of `FeatureInjector.share`."""
    own_q, own_k = q[..., rows.image, :], k[..., rows.image, :]
    if injector.records(layer):
        injector.record(tokens_of(own_q, heads), tokens_of(own_k, heads), heads, roles, rows.grid)
    if injector.settings.word_maps == "attention":
        record_words(injector, layer, own_q, k[..., rows.text, :], heads, roles, rows.grid)
    if not injector.shares(layer):
        return q, k
    used = injector.share(layer, own_q.contiguous(), own_k.contiguous(), roles, position, move)
    if injector.captures:
        return q, k
    start, after = rows.image.start, rows.image.stop
    q, k = (torch.cat([x[..., :start, :], y, x[..., after:, :]], -2) for x, y in zip((q, k), used, strict=True))
    return q, k


def record_outputs(
    injector: FeatureInjector, layer: LayerId, out: torch.Tensor, rows: Rows, roles: Sequence[str]
) -> None:
    """Words by how alike the outputs of attention are, of image and text (ConceptAttention, arXiv 2502.04320)."""
    if injector.settings.word_maps == "outputs":
        out = tokens_of(out, 1 if out.ndim == 3 else out.shape[1])
        record_words(injector, layer, out[:, rows.image], out[:, rows.text], 1, roles, rows.grid)


def record_words(
    injector: FeatureInjector,
    layer: LayerId,
    image: torch.Tensor,
    text: torch.Tensor,
    heads: int,
    roles: Sequence[str],
    grid: tuple[int, int],
) -> None:
    """Add to the store where the image's tokens see the text's: by queries and keys, or by outputs of attention."""
    if text.shape[-2] and injector.records(layer, cross=True):
        injector.record(tokens_of(image, heads), tokens_of(text, heads), heads, roles, grid, cross=True)


def tokens_of(x: torch.Tensor, heads: int) -> torch.Tensor:
    """[B, tokens, heads * d] of either form."""
    if x.ndim == 3:
        return x
    return x.repeat_interleave(heads // x.shape[1], 1).transpose(1, 2).flatten(2)
