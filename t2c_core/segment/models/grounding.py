"""Grounding DINO finds boxes for any words, SAM or SAM 2 the shapes in them.

Of what transformers offers for words never trained on, these two are what is best kept: open weights (Apache 2.0, no
sign-up), in transformers since 4.40, with sizes from 170 M weights on. SAM 3 (``sam3``) does both in one network and
sees stuff such as water directly, but is large, behind a sign-up, and needs transformers 5: it is taken where a folder
of it is there. OWLv2 finds boxes too, but of things rather than of stuff.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .base import Model, Scores, Step, by_label
from .names import label_of
from .prepare import Preparation, prepared, unpadded
from .texts import Tokenizer

BOX_SCORE = 0.25
"""Boxes below are never looked into (the detector's own default)."""
MOST_BOXES = 48
AT_ONCE = 8


class Grounding(Model):
    """detector: GroundingDinoForObjectDetection or its MM variant; shapes: SamModel or Sam2Model."""

    def __init__(
        self,
        detector: torch.nn.Module,
        tokenizer: Tokenizer,
        how: Preparation,
        shapes: torch.nn.Module,
        how_shapes: Preparation,
    ) -> None:
        super().__init__()
        self.detector, self.tokenizer, self.how = detector, tokenizer, how
        self.shapes, self.how_shapes = shapes, how_shapes

    def scores(self, picture: torch.Tensor, vocabulary: Sequence[str], step: Step) -> Scores:
        """Every word by itself: the shapes in all of its boxes together."""
        rows, boxes, best = self._boxes(picture, vocabulary)
        step(1, 2)
        seen = tuple(sorted(zip(vocabulary, best, strict=True), key=lambda pair: -pair[1]))
        masks = self._shapes(picture, boxes, step) if len(rows) else torch.zeros(0, 8, 8)
        maps = torch.zeros(len(vocabulary), *masks.shape[-2:])
        for row, mask in zip(rows, masks, strict=True):
            maps[row] = torch.maximum(maps[row], mask)
        step(2, 2)
        labels = [label_of(word) for word in vocabulary]
        parts = by_label(labels, vocabulary, maps, exclusive=False)
        sure = [max(score for label, score in zip(labels, best, strict=True) if label == one) for one in parts[0]]
        return Scores(*parts, False, seen, tuple(sure))

    def _boxes(self, picture: torch.Tensor, vocabulary: Sequence[str]) -> tuple[list[int], torch.Tensor, list[float]]:
        """(the number of each box's word, boxes [n, 4] as x0 y0 x1 y1 in 0..1, every word's best score)."""
        text, spans = _caption(vocabulary)
        ids, offsets = self.tokenizer.pieces(text)
        values, _ = prepared(picture, self.how, self.place)
        out = self.detector(
            pixel_values=values, input_ids=ids.to(self.place), attention_mask=torch.ones_like(ids).to(self.place)
        )
        tokens = out.logits[0].float().sigmoid().cpu()
        centre, size = out.pred_boxes[0].float().cpu().split(2, -1)
        corners = torch.cat([centre - size / 2, centre + size / 2], -1).clamp(0, 1)
        scores = torch.zeros(len(tokens), len(vocabulary))
        for row, (start, end) in enumerate(spans):
            mine = [i for i, (a, b) in enumerate(offsets) if b > a and a >= start and b <= end and i < tokens.shape[1]]
            if mine:
                scores[:, row] = tokens[:, mine].amax(1)
        confidence, words = scores.max(1)
        order = confidence.argsort(descending=True)[:MOST_BOXES]
        kept = [int(i) for i in order if confidence[i] >= BOX_SCORE and (corners[i, 2:] > corners[i, :2]).all()]
        return [int(words[i]) for i in kept], corners[kept], scores.amax(0).tolist()

    def _shapes(self, picture: torch.Tensor, boxes: torch.Tensor, step: Step) -> torch.Tensor:
        """Probabilities [n, h, w] of the shapes in the boxes."""
        values, inner = prepared(picture, self.how_shapes, self.place)
        embeddings = self.shapes.get_image_embeddings(values)
        step(1, 2)
        scale = torch.tensor([inner[1], inner[0], inner[1], inner[0]], dtype=torch.float32)
        masks = []
        for start in range(0, len(boxes), AT_ONCE):
            given = (boxes[start : start + AT_ONCE] * scale)[None].to(self.place)
            out = self.shapes(image_embeddings=embeddings, input_boxes=given, multimask_output=False)
            found = out.pred_masks[0, :, 0].float()
            masks.append(unpadded(found, self.how_shapes, inner).sigmoid().cpu())
            step(1, 2)
        return torch.cat(masks)


def _caption(vocabulary: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """('water. brook.', where each entry stands in it)."""
    text, spans = "", []
    for entry in vocabulary:
        spans.append((len(text), len(text) + len(entry)))
        text += f"{entry}. "
    return text.strip(), spans
