"""How each family of networks scores a vocabulary: one function a family, `SegmentationModel.run`.

Of what transformers offers for words never trained on, Grounding DINO with SAM or SAM 2 is what is best kept: open
weights (Apache 2.0, no sign-up), in transformers since 4.40, with sizes from 170 M weights on. SAM 3 does both in one
network and sees stuff such as water directly, but is large, behind a sign-up, and needs transformers 5: it is taken
where a folder of it is there. OWLv2 finds boxes too, but of things rather than of stuff.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .base import Scores, SegmentationModel, Step, scores_from_classes, scores_from_words
from .labels import match_classes
from .preprocess import remove_padding

TASK = "the task is semantic"
"""What OneFormer is told to do."""
WORDS_AT_ONCE, BOXES_AT_ONCE = 4, 8
THING_SCORE = 0.3
"""SAM 3's proposals below are not counted (transformers' default)."""
BOX_SCORE = 0.25
"""Boxes below are never looked into (Grounding DINO's own default)."""
MOST_BOXES = 48


def dense(model: SegmentationModel, image: torch.Tensor, vocabulary: Sequence[str], step: Step) -> Scores:
    """...ForSemanticSegmentation: softmax over all classes; regions share 1 at every place."""
    meant = match_classes(model.labels, vocabulary)
    values, _ = model.pixels(image)
    logits = model.network(pixel_values=values).logits[0].float()
    step(1, 1)
    return scores_from_classes(logits.softmax(0).cpu(), model.labels, meant)


def proposals(model: SegmentationModel, image: torch.Tensor, vocabulary: Sequence[str], step: Step) -> Scores:
    """Mask2Former, MaskFormer, OneFormer and EoMT propose masks with a class each, semantic or panoptic.

    A place's share of a class is the sum over all proposals of class probability times mask probability (Cheng et al.,
    "Per-Pixel Classification is Not All You Need for Semantic Segmentation", NeurIPS 2021, section 3.4). Regions share
    at most 1 at every place; what no proposal covers is left over.
    """
    meant = match_classes(model.labels, vocabulary)
    values, inner = model.pixels(image)
    given = {}
    if model.tokenizer is not None:
        told = model.tokens([TASK])
        given["task_inputs"] = told["input_ids"] * told["attention_mask"]  # padding counts as token 0, as in training
    out = model.network(pixel_values=values, **given)
    step(1, 1)
    classes = out.class_queries_logits[0].float().softmax(-1)[:, :-1]
    masks = out.masks_queries_logits[0].float().sigmoid()
    share = torch.einsum("ql,qhw->lhw", classes, masks)
    # Several proposals of one thing may add up to more than all of it.
    share = share / share.sum(0, keepdim=True).clamp_min(1.0)
    return scores_from_classes(remove_padding(share, model.preprocessor, inner).cpu(), model.labels, meant)


def clipseg(model: SegmentationModel, image: torch.Tensor, vocabulary: Sequence[str], step: Step) -> Scores:
    """CLIPSeg (Lüddecke & Ecker, CVPR 2022): a coarse map of how alike each place is to a word."""
    values, _ = model.pixels(image)
    maps = []
    for start in range(0, len(vocabulary), WORDS_AT_ONCE):
        words = vocabulary[start : start + WORDS_AT_ONCE]
        out = model.network(**model.tokens(words), pixel_values=values.expand(len(words), -1, -1, -1))
        # One word: transformers drops the axis of the words.
        maps.append(out.logits.float().view(len(words), *out.logits.shape[-2:]).sigmoid().cpu())
        step(start + len(words), len(vocabulary))
    return scores_from_words(torch.cat(maps), vocabulary)


def sam3(model: SegmentationModel, image: torch.Tensor, vocabulary: Sequence[str], step: Step) -> Scores:
    """SAM 3: the map of a word as stuff, and all single things it names."""
    values, _ = model.pixels(image)
    total = len(vocabulary) + 1
    vision = model.network.get_vision_features(pixel_values=values)
    step(1, total)
    maps = []
    for number, word in enumerate(vocabulary):
        out = model.network(vision_embeds=vision, **model.tokens([word]))
        there = out.presence_logits[0].float().sigmoid()
        score = out.pred_logits[0].float().sigmoid() * there
        things = out.pred_masks[0].float().sigmoid()
        stuff = out.semantic_seg[0, 0].float().sigmoid() * there
        kept = score > THING_SCORE
        if kept.any():
            stuff = torch.maximum(stuff, (things[kept] * score[kept, None, None]).amax(0))
        maps.append(stuff.cpu())
        step(number + 2, total)
    return scores_from_words(torch.stack(maps), vocabulary)


def grounding(model: SegmentationModel, image: torch.Tensor, vocabulary: Sequence[str], step: Step) -> Scores:
    """Grounding DINO finds boxes for any words, SAM or SAM 2 the shapes in them: those of all a word's boxes."""
    rows, boxes, best = _boxes(model, image, vocabulary)
    step(1, 2)
    masks = model.shapes.run(model.shapes, image, boxes, step) if len(rows) else torch.zeros(0, 8, 8)
    maps = torch.zeros(len(vocabulary), *masks.shape[-2:])
    for row, mask in zip(rows, masks, strict=True):
        maps[row] = torch.maximum(maps[row], mask)
    step(2, 2)
    return scores_from_words(maps, vocabulary, best)


def _boxes(
    model: SegmentationModel, image: torch.Tensor, words: Sequence[str]
) -> tuple[list[int], torch.Tensor, list[float]]:
    """(the number of each box's word, boxes [n, 4] as x0 y0 x1 y1 in 0..1, every word's best score)."""
    text, ends = "", []
    for word in words:
        text += f"{word}. "
        ends.append(len(text) - 2)
    told = model.tokenizer(text.strip(), return_tensors="pt", return_offsets_mapping=True)
    ids = told["input_ids"].to(model.weights_device)
    values, _ = model.pixels(image)
    out = model.network(pixel_values=values, input_ids=ids, attention_mask=torch.ones_like(ids))
    tokens = out.logits[0].float().sigmoid().cpu()
    centre, size = out.pred_boxes[0].float().cpu().split(2, -1)
    corners = torch.cat([centre - size / 2, centre + size / 2], -1).clamp(0, 1)
    first, last = told["offset_mapping"][0, : tokens.shape[1]].unbind(-1)  # where each token stands in the text
    scores = torch.zeros(len(tokens), len(words))
    for row, (word, end) in enumerate(zip(words, ends, strict=True)):
        mine = (last > first) & (first >= end - len(word)) & (last <= end)
        if mine.any():
            scores[:, row] = tokens[:, : len(mine)][:, mine].amax(1)
    confidence, numbers = scores.max(1)
    order = confidence.argsort(descending=True)[:MOST_BOXES]
    kept = [int(i) for i in order if confidence[i] >= BOX_SCORE and (corners[i, 2:] > corners[i, :2]).all()]
    return [int(numbers[i]) for i in kept], corners[kept], scores.amax(0).tolist()


def shapes_in_boxes(model: SegmentationModel, image: torch.Tensor, boxes: torch.Tensor, step: Step) -> torch.Tensor:
    """SAM and SAM 2: probabilities [n, h, w] of the shapes in ``boxes`` [n, 4], n > 0."""
    values, inner = model.pixels(image)
    embeddings = model.network.get_image_embeddings(values)
    step(1, 2)
    scale = torch.tensor([inner[1], inner[0], inner[1], inner[0]], dtype=torch.float32)
    masks = []
    for part in (boxes * scale).to(values.device).split(BOXES_AT_ONCE):
        out = model.network(image_embeddings=embeddings, input_boxes=part[None], multimask_output=False)
        found = out.pred_masks[0, :, 0].float()
        masks.append(remove_padding(found, model.preprocessor, inner).sigmoid().cpu())
        step(1, 2)
    return torch.cat(masks)
