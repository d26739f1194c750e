"""Networks that propose masks with a class each: Mask2Former, MaskFormer, OneFormer and EoMT, semantic or panoptic.

A place's share of a class is the sum over all proposals of class probability times mask probability (Cheng et al.,
"Per-Pixel Classification is Not All You Need for Semantic Segmentation", NeurIPS 2021, section 3.4); panoptic proposals
of one class add up to the region of that class.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .base import Model, Scores, Step, from_classes
from .names import classes_meant
from .prepare import Preparation, prepared, unpadded
from .texts import Tokenizer

TASK = "the task is semantic"
"""What OneFormer is told to do."""


class Queries(Model):
    """network: gives class_queries_logits [1, Q, L + 1] and masks_queries_logits [1, Q, h, w]. labels: its L classes.

    tokenizer: of a network that is told its task (OneFormer), with the number of tokens it takes.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        labels: dict[int, str],
        how: Preparation,
        tokenizer: Tokenizer | None = None,
        task_length: int = 77,
    ) -> None:
        super().__init__()
        self.network, self.labels, self.how = network, labels, how
        self.tokenizer, self.task_length = tokenizer, task_length

    def scores(self, picture: torch.Tensor, vocabulary: Sequence[str], step: Step) -> Scores:
        """Regions share at most 1 at every place; what no proposal covers is left over."""
        meant = classes_meant(self.labels, vocabulary)
        values, inner = prepared(picture, self.how, self.place)
        given = {}
        if self.tokenizer is not None:
            ids, used = self.tokenizer([TASK], length=self.task_length)
            given["task_inputs"] = (ids * used).to(self.place)  # padding counts as token 0, as in training
        out = self.network(pixel_values=values, **given)
        step(1, 1)
        classes = out.class_queries_logits[0].float().softmax(-1)[:, :-1]
        masks = out.masks_queries_logits[0].float().sigmoid()
        share = torch.einsum("ql,qhw->lhw", classes, masks)
        # Several proposals of one thing may add up to more than all of it.
        share = share / share.sum(0, keepdim=True).clamp_min(1.0)
        return from_classes(unpadded(share, self.how, inner).cpu(), self.labels, meant)
