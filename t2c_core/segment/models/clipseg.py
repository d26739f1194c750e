"""CLIPSeg (Lüddecke & Ecker, CVPR 2022): a coarse map for any words, from one small network."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .base import Scores, Step, by_label
from .names import label_of
from .prepare import prepared
from .texts import WordModel

AT_ONCE = 4
"""Words whose maps are made together."""


class ClipSeg(WordModel):
    """network: CLIPSegForImageSegmentation."""

    def scores(self, picture: torch.Tensor, vocabulary: Sequence[str], step: Step) -> Scores:
        """Every word by itself: its map says how alike each place is to the word."""
        values, _ = prepared(picture, self.how, self.place)
        maps = []
        for start in range(0, len(vocabulary), AT_ONCE):
            words = vocabulary[start : start + AT_ONCE]
            ids, used = self.tokenizer(words, length=self.length)
            out = self.network(
                input_ids=ids.to(self.place),
                attention_mask=used.to(self.place),
                pixel_values=values.expand(len(words), -1, -1, -1),
            )
            # One word: transformers drops the axis of the words.
            maps.append(out.logits.float().view(len(words), *out.logits.shape[-2:]).sigmoid().cpu())
            step(min(start + AT_ONCE, len(vocabulary)), len(vocabulary))
        found = torch.cat(maps)
        seen = sorted(zip(vocabulary, found.amax((1, 2)).tolist(), strict=True), key=lambda pair: -pair[1])
        parts = by_label([label_of(word) for word in vocabulary], vocabulary, found, exclusive=False)
        return Scores(*parts, False, tuple(seen))
