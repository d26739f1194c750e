"""Averages self- and cross-attention maps during sampling.

Self-attention: A = softmax(q k^T / sqrt(d)) of every head, of the empty prompt and of the prompt, averaged over layers
and over the steps with training step <= 541 (Text2Cinemagraph's twin stage). Only running sums are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from ..types import Attention

MAX_TOKENS = 4096
"""Finer grids are pooled to at most this many tokens: the sum has tokens^2 entries."""
MAX_MAP_BYTES = 256 * 2**20
"""Maps of single heads, which k-means needs, are kept apart up to this size, else only their mean."""
CHUNK_BYTES = 128 * 2**20


def _split_heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    """[B, tokens, heads * d] -> [B, heads, tokens, d], float32."""
    return x.float().unflatten(2, (heads, -1)).transpose(1, 2)


def _pooled_grid(grid: tuple[int, int]) -> tuple[int, int]:
    """The grid, halved until it has at most MAX_TOKENS tokens."""
    h, w = grid
    while h * w > MAX_TOKENS:
        h, w = -(-h // 2), -(-w // 2)
    return h, w


def _coarse_index(grid: tuple[int, int], coarse: tuple[int, int], device: torch.device) -> torch.Tensor:
    """[h * w] index of the coarse token each fine one lies in."""
    y = torch.arange(grid[0], device=device) * coarse[0] // grid[0]
    x = torch.arange(grid[1], device=device) * coarse[1] // grid[1]
    return (y[:, None] * coarse[1] + x[None]).flatten()


def attention_maps(q: torch.Tensor, k: torch.Tensor, heads: int) -> torch.Tensor:
    """softmax(q k^T / sqrt(d)) float32 [B, heads, queries, keys] of projected q, k [B, tokens, heads * d]."""
    q, k = _split_heads(q, heads), _split_heads(k, heads)
    return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)


def pooled_maps(
    q: torch.Tensor, k: torch.Tensor, heads: int, grid: tuple[int, int], coarse: tuple[int, int]
) -> torch.Tensor:
    """`attention_maps` of self-attention on a coarser grid: mean over queries, sum over keys; rows sum to 1.

    [B, heads, T', T']; computed in chunks so that the fine maps never exist at once.
    """
    if grid == coarse:
        return attention_maps(q, k, heads)
    index = _coarse_index(grid, coarse, q.device)
    tokens = coarse[0] * coarse[1]
    q, k = _split_heads(q, heads), _split_heads(k, heads)
    total = torch.zeros(*q.shape[:2], tokens, tokens, device=q.device)
    rows = max(1, CHUNK_BYTES // (4 * q.shape[0] * heads * q.shape[2]))
    for start in range(0, q.shape[2], rows):
        chunk = slice(start, start + rows)
        fine = (q[:, :, chunk] @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
        keys = torch.zeros(*fine.shape[:3], tokens, device=q.device).index_add_(3, index, fine)
        total.index_add_(2, index[chunk], keys)
    return total / torch.bincount(index, minlength=tokens)[:, None]


@dataclass
class AttentionStore:
    """Running means of attention maps over one run of ``batch`` images.

    context: number of tokens of the prompt's text context (77 times the number of chunks); 0 keeps no cross-attention.
    """

    batch: int
    context: int = 0
    grid: tuple[int, int] | None = None
    _sums: dict[str, torch.Tensor] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _cross: torch.Tensor | None = None
    _cross_count: int = 0
    _cross_problem: str = "no cross-attention was recorded"

    def add_self(
        self, q: torch.Tensor, k: torch.Tensor, heads: int, roles: Sequence[str], grid: tuple[int, int]
    ) -> None:
        """Add one self-attention: q, k [len(roles) * batch, tokens, heads * d] of 'uncond' and/or 'cond'."""
        self.grid = self.grid or _pooled_grid(grid)
        keep_heads = 2 * heads * (self.grid[0] * self.grid[1]) ** 2 * 4 * self.batch <= MAX_MAP_BYTES
        for role, query, key in zip(roles, q.chunk(len(roles)), k.chunk(len(roles)), strict=True):
            if keep_heads:
                maps = pooled_maps(query, key, heads, grid, self.grid)
            else:
                maps = torch.stack([self._mean_map(a, b, heads, grid) for a, b in zip(query, key, strict=True)])
            self._sums[role] = self._sums[role].add_(maps) if role in self._sums else maps
            self._counts[role] = self._counts.get(role, 0) + 1

    def _mean_map(self, q: torch.Tensor, k: torch.Tensor, heads: int, grid: tuple[int, int]) -> torch.Tensor:
        """[1, T, T] the mean over heads of one image, head by head."""
        pairs = zip(q.chunk(heads, -1), k.chunk(heads, -1), strict=True)
        maps = (pooled_maps(a[None], b[None], 1, grid, self.grid or grid)[0] for a, b in pairs)
        total = next(maps)
        for head in maps:
            total += head
        return total / heads

    def add_cross(
        self, q: torch.Tensor, k: torch.Tensor, heads: int, roles: Sequence[str], grid: tuple[int, int]
    ) -> None:
        """Add one cross-attention: q [len(roles) * batch, tokens, heads * d], k over the text; only 'cond' counts."""
        if not self.context or "cond" not in roles:
            return
        index = list(roles).index("cond")
        maps = attention_maps(q.chunk(len(roles))[index], k.chunk(len(roles))[index], heads).mean(1)
        if maps.shape[-1] % self.context:
            self._cross_problem = f"its cross-attention has {maps.shape[-1]} keys for {self.context} tokens of text"
            return
        # A context shorter than another in the batch is repeated by ComfyUI; its copies share the attention.
        maps = maps.unflatten(2, (-1, self.context)).sum(2)
        heat = maps.transpose(1, 2).unflatten(2, grid)
        if self._cross is None:
            self._cross = torch.zeros(self.batch, self.context, *_pooled_grid(self.grid or grid), device=heat.device)
        self._cross += F.interpolate(heat, self._cross.shape[-2:], mode="bilinear", align_corners=False)
        self._cross_count += 1

    def maps(self) -> torch.Tensor:
        """[batch, M, T, T] float32: the averaged maps, those of the empty prompt first; M = 2 * heads, or 2 means.

        Raises ValueError if nothing was added.
        """
        if not self._sums:
            raise ValueError("no attention was recorded")
        return torch.cat([self._sums[r] / self._counts[r] for r in ("uncond", "cond") if r in self._sums], 1)

    def result(self, words: Sequence[tuple[str, Sequence[int]]] = ()) -> list[Attention]:
        """One Attention per image, on the CPU. ``words``: each word of the prompt and the positions of its tokens."""
        problem = "" if words else "no word of the prompt has tokens that are known"
        if self._cross is None:
            words, problem = (), problem or self._cross_problem
        names, results = tuple(word for word, _ in words), []
        for index, maps in enumerate(self.maps().cpu()):
            heat = None
            if self._cross is not None and words:
                tokens = self._cross[index] / self._cross_count
                heat = torch.stack([tokens[list(positions)].mean(0) for _, positions in words]).cpu()
            results.append(Attention(maps.mean(0), self.grid or (0, 0), names, heat, maps, problem))
        return results
