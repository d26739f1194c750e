"""A segmentation network with its inputs' preparation, and the probability maps that all families make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from ...memory import first_that_fits, on_devices
from .labels import label_of
from .preprocess import ImagePreprocessor, preprocess

Step = Callable[[int, int], None]
"""Called with (finished, total) parts of the work; may raise to stop it."""


@dataclass(frozen=True)
class Scores:
    """Probability maps of an image by label.

    labels: K labels of regions, each once. names: what the model calls them. maps: [K, h, w] float32 probabilities in
    0..1 on the CPU, each covering the whole image. exclusive: whether they are shares of one whole (classes), or each
    was asked for by itself (words). top_classes: (name, share of the image or best score) of what it saw, best first.
    sure: for each label how sure a detector is that it is there at all, 0..1; None where the maps say it.
    """

    labels: tuple[str, ...]
    names: tuple[str, ...]
    maps: torch.Tensor
    exclusive: bool
    top_classes: tuple[tuple[str, float], ...] = ()
    sure: tuple[float, ...] | None = None


class Segmenter(Protocol):
    """What segments images by words: a `SegmentationModel`, or a proxy that moves one to its device first."""

    def scores(self, image: torch.Tensor, vocabulary: Sequence[str], step: Step) -> Scores:
        """See `SegmentationModel.scores`."""
        ...


class SegmentationModel(torch.nn.Module):
    """A network of transformers in evaluation, and what ``run``, its family's function, needs beside it.

    labels: its classes by number, if it knows fixed ones. tokenizer: of a network that reads words. shapes: of a
    detector of boxes the model that finds the shapes in them.
    """

    def __init__(
        self,
        run: Callable[..., Any],
        network: Any,
        preprocessor: ImagePreprocessor,
        labels: dict[int, str],
        tokenizer: Any = None,
        shapes: SegmentationModel | None = None,
    ) -> None:
        super().__init__()
        self.run, self.preprocessor, self.labels, self.tokenizer = run, preprocessor, labels, tokenizer
        self.network: Any = network
        self.shapes: Any = shapes

    def scores(self, image: torch.Tensor, vocabulary: Sequence[str], step: Step) -> Scores:
        """Probability maps of the words in ``image`` [1, H, W, 3] in 0..1.

        Runs where the weights are, or on the CPU if memory does not suffice there. Raises InputError('vocabulary') for
        words the model cannot know.
        """
        levels = on_devices(self, self.weights_device)
        return first_that_fits(levels, lambda on: on[0].run(on[0], image, vocabulary, step), "the segmentation model")

    @property
    def weights_device(self) -> torch.device:
        """Where the weights are at the moment (ComfyUI's model patcher writes to an attribute ``device``)."""
        return next(self.parameters()).device

    def pixels(self, image: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
        """`preprocess` of an image for this network, in its precision."""
        values, inner = preprocess(image, self.preprocessor, self.weights_device)
        return values.to(next(self.network.parameters()).dtype), inner

    def tokens(self, texts: Sequence[str]) -> dict[str, torch.Tensor]:
        """The network's inputs for texts, int64 [n, tokens], padded to the longest text it takes."""
        length = _longest_text(self.network.config)
        found = self.tokenizer(
            list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        )
        return {name: found[name].to(self.weights_device) for name in ("input_ids", "attention_mask")}


def _longest_text(config: Any) -> int:
    return config.text_config.max_position_embeddings if hasattr(config, "text_config") else config.task_seq_len


def no_step(done: int, total: int) -> None:
    """For callers that do not ask for progress."""


def merge_by_label(
    labels: Sequence[str], names: Sequence[str], maps: torch.Tensor, *, exclusive: bool
) -> tuple[tuple[str, ...], tuple[str, ...], torch.Tensor]:
    """Join the rows of ``maps`` [N, h, w] that carry the same label: their sum if exclusive, else their maximum.

    Names of joined rows stand side by side: 'sea, ocean'.
    """
    kept = tuple(dict.fromkeys(labels))
    rows = [[i for i, label in enumerate(labels) if label == one] for one in kept]
    joined = [maps[row].sum(0).clamp(max=1) if exclusive else maps[row].amax(0) for row in rows]
    return kept, tuple(", ".join(names[i] for i in row) for row in rows), torch.stack(joined)


def scores_from_classes(share: torch.Tensor, labels: dict[int, str], meant: dict[int, str]) -> Scores:
    """Scores from the shares of all classes, [L, h, w] in 0..1, and which of them are meant as what."""
    numbers = list(meant)
    parts = merge_by_label(list(meant.values()), [labels[n] for n in numbers], share[numbers], exclusive=True)
    best = torch.bincount(share.argmax(0).flatten(), minlength=len(share)).float()
    order = best.argsort(descending=True)[:8].tolist()
    top_classes = tuple((labels[n], float(best[n] / best.sum())) for n in order if best[n] > 0)
    return Scores(*parts, True, top_classes)


def scores_from_words(maps: torch.Tensor, vocabulary: Sequence[str], found: Sequence[float] | None = None) -> Scores:
    """Scores from the maps [K, h, w] of K words, each by itself; ``found``: how sure a detector is of each."""
    best = maps.amax((1, 2)).tolist() if found is None else found
    labels = [label_of(word) for word in vocabulary]
    parts = merge_by_label(labels, vocabulary, maps, exclusive=False)
    sure = [max(score for label, score in zip(labels, best, strict=True) if label == one) for one in parts[0]]
    top_classes = tuple(sorted(zip(vocabulary, best, strict=True), key=lambda pair: -pair[1]))
    return Scores(*parts, False, top_classes, None if found is None else tuple(sure))
