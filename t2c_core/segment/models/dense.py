"""Networks with one score per class and pixel: SegFormer, UperNet, BEiT, DPT and others for semantic segmentation."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .base import Model, Scores, Step, from_classes
from .names import classes_meant
from .prepare import Preparation, prepared


class Dense(Model):
    """network: any of transformers' ...ForSemanticSegmentation. labels: its classes by number."""

    def __init__(self, network: torch.nn.Module, labels: dict[int, str], how: Preparation) -> None:
        super().__init__()
        self.network, self.labels, self.how = network, labels, how

    def scores(self, picture: torch.Tensor, vocabulary: Sequence[str], step: Step) -> Scores:
        """Softmax over all classes; regions share 1 at every place."""
        meant = classes_meant(self.labels, vocabulary)
        values, _ = prepared(picture, self.how, self.place)
        logits = self.network(pixel_values=values).logits[0].float()
        step(1, 1)
        return from_classes(logits.softmax(0).cpu(), self.labels, meant)
