"""Feature injection from the source pass into the twin's: plug-and-play diffusion features of a UNet (Tumanyan et al.
2023), queries and keys of the image's tokens in a diffusion transformer (Shin et al. 2025, arXiv 2508.07519).

Independent of any library: an adapter calls `attention` (or `record` and `share`) and `feature` from its hooks and says
for which prompts ("roles") the batch at hand is computed. Nothing depends on the order or number of prompts in a batch,
so a library may run them one by one to save memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from ..errors import InputError
from .attention_store import AttentionStore
from .layers import InjectionLayers, LayerId
from .settings import TwinSettings

CacheKey = tuple[LayerId | str, str, str]
"""(layer or 'feature'; 'q', 'k' or ''; role)."""
Move = Callable[[torch.Tensor, int], torch.Tensor]
"""A query or key as it is so many text tokens further on: the inverse and the new rotary embedding in one."""


@dataclass
class FeatureInjector:
    """Captures features in the source pass of a step and injects them into the twin's pass; one per run.

    Call ``begin(step, source=True)`` before the source pass of a step, ``begin(step, source=False)`` before the twin's
    and ``end()`` after it; outside of them nothing is captured, injected or stored. Roles are 'uncond' and 'cond' in
    the source pass, and 'negative' too in the twin's. ``store``: averages the attention of the source pass.
    """

    settings: TwinSettings
    layers: InjectionLayers
    store: AttentionStore | None = None
    cache: dict[CacheKey, torch.Tensor] = field(default_factory=dict)
    _positions: dict[str, int] = field(default_factory=dict)
    _step: int | None = None
    _source: bool = True
    _record: bool = False

    def begin(self, step: int, *, source: bool, record: bool = False) -> None:
        """Start one pass of one step (0 = the noisiest). record: whether its attention goes to the store."""
        if source:
            self.cache.clear()
        self._step, self._source, self._record = step, source, record

    def end(self) -> None:
        """Release the step's features."""
        self.cache.clear()
        self._step, self._record = None, False

    def attention(
        self,
        layer: LayerId,
        q: torch.Tensor,
        k: torch.Tensor,
        heads: int,
        roles: Sequence[str],
        grid: tuple[int, int],
        *,
        cross: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries and keys to use in one self-attention instead of q, k; those of cross-attention are only stored.

        q, k: [len(roles) * B, tokens, heads * d], projected, not scaled; grid: (h, w), tokens = h * w. The source pass
        gets its own back, the twin those of the source pass while they are injected. Values always stay the twin's.
        """
        if self.records(layer, cross=cross):
            self.record(q, k, heads, roles, grid, cross=cross)
        return (q, k) if cross else self.share(layer, q, k, roles)

    def records(self, layer: LayerId, *, cross: bool = False) -> bool:
        """Whether the attention of ``layer`` goes to the store in this pass."""
        return self._record and self.store is not None and layer in (self.layers.cross if cross else self.layers.mask)

    def record(
        self,
        q: torch.Tensor,
        k: torch.Tensor,
        heads: int,
        roles: Sequence[str],
        grid: tuple[int, int],
        *,
        cross: bool = False,
    ) -> None:
        """Add to the store what `attention` is given. cross: k is the text's."""
        assert self.store is not None
        (self.store.add_cross if cross else self.store.add_self)(q, k, heads, roles, grid)

    @property
    def captures(self) -> bool:
        """Whether this is the source pass."""
        return self._source

    def shares(self, layer: LayerId) -> bool:
        """Whether queries and keys of ``layer`` are captured or injected in this pass."""
        injects = self._step is not None and self._step < self.settings.attention_steps
        return injects and layer in self.layers.injected

    def share(
        self,
        layer: LayerId,
        q: torch.Tensor,
        k: torch.Tensor,
        roles: Sequence[str],
        position: int = 0,
        move: Move | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries and keys [len(roles) * B, ...] to use in ``layer``, or q and k themselves.

        position, move: for rotary embeddings of the image that depend on the text's length: that length, and how to
        move what was captured at another one.
        """
        if not self.shares(layer):
            return q, k
        if self.captures:
            self._positions |= dict.fromkeys(roles, position)
        of = roles, position, move
        return self._capture_or_inject((layer, "q"), q, *of), self._capture_or_inject((layer, "k"), k, *of)

    def feature(self, value: torch.Tensor, roles: Sequence[str]) -> torch.Tensor:
        """Output of the feature block's residual branch to use, [len(roles) * B, C, h, w], before the skip is added."""
        if self._step is None or self._step >= self.settings.feature_steps:
            return value
        return self._capture_or_inject(("feature", ""), value, roles)

    def _capture_or_inject(
        self,
        key: tuple[LayerId | str, str],
        value: torch.Tensor,
        roles: Sequence[str],
        position: int = 0,
        move: Move | None = None,
    ) -> torch.Tensor:
        if self.captures:
            for role, part in zip(roles, value.chunk(len(roles)), strict=True):
                self.cache[(*key, role)] = part.detach()
            return value

        def of(role: str) -> torch.Tensor:
            origin = self.settings.negative_features if role == "negative" else role
            if origin == "uncond" and not any(kept == origin for *_, kept in self.cache):
                origin = "cond"  # without guidance the source pass has no empty prompt
            there = self.cache[(*key, origin)]
            return move(there, by) if move and (by := position - self._positions[origin]) else there

        try:
            return torch.cat([of(role) for role in roles]).to(value)
        except KeyError as error:
            raise InputError(
                "model",
                f"did not run its layer {key[0]} in the artistic picture's pass, but did in the twin's.",
                "Remove what skips parts of the model.",
            ) from error
