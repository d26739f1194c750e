"""SAM 3: shapes for any words from one network, things and stuff alike (needs transformers 5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .base import Scores, Step, by_label
from .names import label_of
from .prepare import prepared
from .texts import WordModel

THING_SCORE = 0.3
"""Proposals below are not counted (transformers' default)."""


class Sam3(WordModel):
    """network: Sam3Model."""

    def scores(self, picture: torch.Tensor, vocabulary: Sequence[str], step: Step) -> Scores:
        """Every word by itself: the map of the word as stuff, and all single things it names."""
        values, _ = prepared(picture, self.how, self.place)
        total = len(vocabulary) + 1
        vision = self.network.get_vision_features(pixel_values=values)
        step(1, total)
        maps, best = [], []
        for number, word in enumerate(vocabulary):
            ids, used = self.tokenizer([word], length=self.length)
            out = self.network(vision_embeds=vision, input_ids=ids.to(self.place), attention_mask=used.to(self.place))
            there = out.presence_logits[0].float().sigmoid()
            score = out.pred_logits[0].float().sigmoid() * there
            things = out.pred_masks[0].float().sigmoid()
            stuff = out.semantic_seg[0, 0].float().sigmoid() * there
            kept = score > THING_SCORE
            if kept.any():
                stuff = torch.maximum(stuff, (things[kept] * score[kept, None, None]).amax(0))
            maps.append(stuff.cpu())
            best.append(float(stuff.max()))
            step(number + 2, total)
        seen = tuple(sorted(zip(vocabulary, best, strict=True), key=lambda pair: -pair[1]))
        parts = by_label([label_of(word) for word in vocabulary], vocabulary, torch.stack(maps), exclusive=False)
        return Scores(*parts, False, seen)
