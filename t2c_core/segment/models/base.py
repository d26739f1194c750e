"""What all backends have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

Step = Callable[[int, int], None]
"""Called with (finished, total) parts of the work; may raise to stop it."""


@dataclass(frozen=True)
class Scores:
    """What a model says of a picture.

    labels: K labels of regions, each once. names: what the model calls them. maps: [K, h, w] float32 probabilities in
    0..1 on the CPU, each covering the whole picture. exclusive: whether they are shares of one whole (classes), or each
    was asked for by itself (words). seen: (name, share of the picture or best score) of what it saw, best first.
    sure: for each label how sure a detector is that it is there at all, 0..1; None where the maps say it.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    maps: torch.Tensor
    exclusive: bool
    seen: tuple[tuple[str, float], ...] = ()
    sure: tuple[float, ...] | None = None


class Model(torch.nn.Module):
    """A backend: a network of transformers with what it needs to take a picture and words."""

    def scores(self, picture: torch.Tensor, vocabulary: Sequence[str], step: Step) -> Scores:
        """How probable what the words mean is at every place of ``picture`` [1, H, W, 3] in 0..1.

        Runs where the weights are. Raises InputError('vocabulary') for words the model cannot know.
        """
        raise NotImplementedError

    @property
    def place(self) -> torch.device:
        """Where the weights are at the moment."""
        return next(self.parameters()).device


def no_step(done: int, total: int) -> None:
    """For callers that do not ask for progress."""


def by_label(
    labels: Sequence[str], names: Sequence[str], maps: torch.Tensor, *, exclusive: bool
) -> tuple[tuple[str, ...], tuple[str, ...], torch.Tensor]:
    """Join the rows of ``maps`` [N, h, w] that carry the same label: their sum if exclusive, else their maximum.

    Names of joined rows stand side by side: 'sea, ocean'.
    """
    kept = tuple(dict.fromkeys(labels))
    rows = [[i for i, label in enumerate(labels) if label == one] for one in kept]
    joined = [maps[row].sum(0).clamp(max=1) if exclusive else maps[row].amax(0) for row in rows]
    return kept, tuple(", ".join(names[i] for i in row) for row in rows), torch.stack(joined)


def from_classes(share: torch.Tensor, labels: dict[int, str], meant: dict[int, str]) -> Scores:
    """Scores from the shares of all classes, [L, h, w] in 0..1, and which of them are meant as what."""
    numbers = list(meant)
    parts = by_label(list(meant.values()), [labels[n] for n in numbers], share[numbers], exclusive=True)
    best = torch.bincount(share.argmax(0).flatten(), minlength=len(share)).float()
    order = best.argsort(descending=True)[:8].tolist()
    seen = tuple((labels[n], float(best[n] / best.sum())) for n in order if best[n] > 0)
    return Scores(*parts, True, seen)
