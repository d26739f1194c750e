"""Attention of the artistic pass, averaged while it happens: what belongs together, and what each word means.

Self-attention: A = softmax(q k^T / sqrt(d)) of every head, of the empty prompt and of the prompt, averaged over blocks
and over the steps with training step <= 541 (twin_stage of Text2Cinemagraph). Nothing but the running sums is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F

from ..types import Attention

MOST_PLACES = 4096
"""Finer grids are averaged down to at most this many places: the sum has places^2 entries."""
MOST_MAP_BYTES = 256 * 2**20
"""Maps of single heads, which k-means looks at, are kept apart up to this size, else only their mean."""
CHUNK_BYTES = 128 * 2**20


def _split_heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    """[B, tokens, heads * d] -> [B, heads, tokens, d], float32."""
    return x.float().unflatten(2, (heads, -1)).transpose(1, 2)


def _pooled(grid: tuple[int, int]) -> tuple[int, int]:
    """The grid, halved until it has at most MOST_PLACES places."""
    h, w = grid
    while h * w > MOST_PLACES:
        h, w = -(-h // 2), -(-w // 2)
    return h, w


def _cells(grid: tuple[int, int], coarse: tuple[int, int], device: torch.device) -> torch.Tensor:
    """[h * w] the number of the coarse place each fine one lies in."""
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
    """The same for self-attention on a coarser grid: queries averaged, what goes to keys added up; rows sum to 1.

    [B, heads, T', T']; worked off in parts so that the fine maps never exist at once.
    """
    if grid == coarse:
        return attention_maps(q, k, heads)
    cells = _cells(grid, coarse, q.device)
    places = coarse[0] * coarse[1]
    q, k = _split_heads(q, heads), _split_heads(k, heads)
    total = torch.zeros(*q.shape[:2], places, places, device=q.device)
    rows = max(1, CHUNK_BYTES // (4 * q.shape[0] * heads * q.shape[2]))
    for start in range(0, q.shape[2], rows):
        part = slice(start, start + rows)
        fine = (q[:, :, part] @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
        keys = torch.zeros(*fine.shape[:3], places, device=q.device).index_add_(3, cells, fine)
        total.index_add_(2, cells[part], keys)
    return total / torch.bincount(cells, minlength=places)[:, None]


@dataclass
class AttentionObserver:
    """Running means of one run over ``batch`` pictures. The lockstep switches ``active`` on for the steps that count.

    context: number of tokens of the prompt's text context (77 times the number of chunks); 0 makes no word maps.
    """

    batch: int
    context: int = 0
    active: bool = False
    grid: tuple[int, int] | None = None
    _sums: dict[str, torch.Tensor] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _heat: torch.Tensor | None = None
    _heat_count: int = 0

    def see(self, q: torch.Tensor, k: torch.Tensor, heads: int, roles: Sequence[str], grid: tuple[int, int]) -> None:
        """Add one self-attention: q, k [len(roles) * batch, tokens, heads * d] of 'uncond' and/or 'cond'."""
        if not self.active:
            return
        self.grid = self.grid or _pooled(grid)
        places = self.grid[0] * self.grid[1]
        apart = 2 * heads * places**2 * 4 * self.batch <= MOST_MAP_BYTES
        for role, query, key in zip(roles, q.chunk(len(roles)), k.chunk(len(roles)), strict=True):
            if apart:
                maps = pooled_maps(query, key, heads, grid, self.grid)
            else:
                maps = torch.stack([self._mean_map(a, b, heads, grid) for a, b in zip(query, key, strict=True)])
            if role in self._sums:
                self._sums[role] += maps
            else:
                self._sums[role] = maps
            self._counts[role] = self._counts.get(role, 0) + 1

    def _mean_map(self, q: torch.Tensor, k: torch.Tensor, heads: int, grid: tuple[int, int]) -> torch.Tensor:
        """[1, T, T] the mean over heads of one picture, head by head."""
        total = None
        for one_q, one_k in zip(q.chunk(heads, -1), k.chunk(heads, -1), strict=True):
            maps = pooled_maps(one_q[None], one_k[None], 1, grid, self.grid)[0]
            total = maps if total is None else total.add_(maps)
        return total / heads

    def see_words(
        self, q: torch.Tensor, k: torch.Tensor, heads: int, roles: Sequence[str], grid: tuple[int, int]
    ) -> None:
        """Add one cross-attention: q [len(roles) * batch, tokens, heads * d], k over the text; only 'cond' counts."""
        if not self.active or not self.context or "cond" not in roles:
            return
        place = list(roles).index("cond")
        maps = attention_maps(q.chunk(len(roles))[place], k.chunk(len(roles))[place], heads).mean(1)
        if maps.shape[-1] % self.context:
            return
        # A context shorter than another in the batch is repeated by ComfyUI; its copies share the attention.
        maps = maps.unflatten(2, (-1, self.context)).sum(2)
        heat = maps.transpose(1, 2).unflatten(2, grid)
        if self._heat is None:
            self._heat = torch.zeros(self.batch, self.context, *_pooled(self.grid or grid), device=heat.device)
        self._heat += F.interpolate(heat, self._heat.shape[-2:], mode="bilinear", align_corners=False)
        self._heat_count += 1

    def maps(self) -> torch.Tensor:
        """[batch, M, T, T] float32: the averaged maps, those of the empty prompt first; M = 2 * heads, or 2 means.

        Raises ValueError if nothing was seen.
        """
        if not self._sums:
            raise ValueError("no attention was observed")
        return torch.cat([self._sums[r] / self._counts[r] for r in ("uncond", "cond") if r in self._sums], 1)

    def result(self, words: Sequence[tuple[str, Sequence[int]]] = ()) -> list[Attention]:
        """One Attention per picture. ``words``: each word of the prompt and the positions of its tokens."""
        maps = self.maps()
        found = []
        for index in range(self.batch):
            heat = None
            if self._heat is not None and words:
                tokens = self._heat[index] / self._heat_count
                heat = torch.stack([tokens[list(positions)].mean(0) for _, positions in words]).cpu()
            names = tuple(word for word, _ in words) if heat is not None else ()
            mine = maps[index].cpu()
            found.append(Attention(mine.mean(0), self.grid, isometric(mine), names, heat))
        return found


def isometric(maps: torch.Tensor) -> torch.Tensor:
    """Points [T, F <= T] with the same mutual distances as the concatenated rows of ``maps`` [M, T, T].

    k-means sees distances only, so T numbers per place can stand for the M * T of the paper (classical scaling of the
    Gram matrix). With a single map its rows are returned.
    """
    if len(maps) == 1:
        return maps[0].clone()
    rows = maps.double()
    gram = torch.einsum("mik,mjk->ij", rows, rows)
    values, vectors = torch.linalg.eigh(gram)
    kept = values > values[-1] * 1e-12
    return (vectors[:, kept] * values[kept].sqrt()).float()
