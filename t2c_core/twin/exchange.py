"""What the artistic pass hands to its twin while both are painted (plug-and-play, Tumanyan et al. 2023).

The mathematics of the injection, without any UNet library: an adapter calls `self_attention`, `cross_attention` and
`feature` from wherever its library lets it, and says for which prompts ("roles") the batch at hand was computed.
Nothing depends on the order or number of prompts in a batch, so a library may run them one by one to save memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from .blocks import BlockChoice, Site
from .observe import AttentionObserver
from .settings import TwinSettings

Key = tuple[Site | str, str, str]
"""Where (a site or 'feature'), what ('q', 'k' or nothing), whose (the role)."""


@dataclass
class FeatureExchange:
    """Features of the step at hand, captured in the artistic pass and injected in the twin's; one per run.

    Call ``begin(step, source=True)`` before the artistic pass of a step, ``begin(step, source=False)`` before the
    twin's and ``end()`` after it. Roles are 'uncond' and 'cond' in the artistic pass, and 'negative' too in the twin's.
    """

    settings: TwinSettings
    blocks: BlockChoice
    observer: AttentionObserver | None = None
    held: dict[Key, torch.Tensor] = field(default_factory=dict)
    most_bytes: int = 0
    """The most that was held at any moment."""
    _step: int = -1
    _source: bool = True

    def begin(self, step: int, *, source: bool) -> None:
        """Start one pass of one step (0 = the noisiest)."""
        if source:
            self.held.clear()
        self._step, self._source = step, source

    def end(self) -> None:
        """Let go of the step's features."""
        self.held.clear()
        self._step = -1

    @property
    def held_bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in self.held.values())

    def self_attention(
        self,
        site: Site,
        q: torch.Tensor,
        k: torch.Tensor,
        heads: int,
        roles: Sequence[str],
        grid: tuple[int, int],
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Queries and keys [len(roles) * B, tokens, heads * d], projected, not scaled, of one self-attention.

        The artistic pass gets its own back; the twin gets the artistic ones of the same step while they are injected.
        Values always stay the twin's. ``grid`` is (h, w), tokens = h * w.
        """
        if self._source and self.observer is not None and site in self.blocks.mask:
            self.observer.see(q, k, heads, roles, grid)
        if site not in self.blocks.injected or not 0 <= self._step < self.settings.attention_steps:
            return q, k
        return self._exchange((site, "q"), q, roles), self._exchange((site, "k"), k, roles)

    def cross_attention(
        self,
        site: Site,
        q: torch.Tensor,
        k: torch.Tensor,
        heads: int,
        roles: Sequence[str],
        grid: tuple[int, int],
    ) -> None:
        """Queries and keys of one cross-attention; only looked at."""
        if self._source and self.observer is not None and site in self.blocks.words:
            self.observer.see_words(q, k, heads, roles, grid)

    def feature(self, value: torch.Tensor, roles: Sequence[str]) -> torch.Tensor:
        """What the feature block's residual branch adds, [len(roles) * B, C, h, w], before the skip is added."""
        if not 0 <= self._step < self.settings.feature_steps:
            return value
        return self._exchange(("feature", ""), value, roles)

    def _exchange(self, place: tuple[Site | str, str], value: torch.Tensor, roles: Sequence[str]) -> torch.Tensor:
        parts = value.chunk(len(roles))
        if self._source:
            for role, part in zip(roles, parts, strict=True):
                self.held[(*place, role)] = part.detach()
            self.most_bytes = max(self.most_bytes, self.held_bytes)
            return value
        wanted = {"negative": self.settings.negative_features}
        taken = [self.held[(*place, wanted.get(role, role))] for role in roles]
        return torch.cat(taken).to(value)
