"""Masks at the image's size from a model's coarse maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch

from ...errors import InputError
from ...fluids import CONFUSABLE_WATER, family_of
from ...geometry import fit_longest_side
from ...types import FluidRegion, FluidRegions
from ..settings import MaskSettings
from ..upsample import guided_upsample, to_rgb
from .base import Scores, Segmenter, Step, no_step
from .labels import parse_or_default

SMALLEST = 1e-4
"""Regions with a smaller share of the image are chance."""
SPECK = 0.02
"""The share of a body of water below which a piece of another kind in it is chance."""


@torch.inference_mode()
def predict(model: Segmenter, image: torch.Tensor, words: str, *, step: Step = no_step) -> Scores:
    """Probability maps of the words, a list with commas, in an image [1, H, W, 3] in 0..1; empty: all that flows.

    step: called with (finished, total), may raise to stop. Raises InputError('vocabulary') for words it cannot know.
    """
    return model.scores(image, parse_or_default(words), step)


def extract_regions(scores: Scores, image: torch.Tensor, threshold: float = MaskSettings.threshold) -> FluidRegions:
    """Disjoint regions whose probability is at least ``threshold`` (0..1, excluded).

    Classes: the shares of all that is asked for count together, and the largest gives the label. Words: the most
    probable one does, but 'water' leaves to a fall, a river ... what these reach the threshold in. Borders are moved
    onto the image's own edges (guided filter). Raises InputError('threshold') if nothing is left, with what was seen.
    """
    rgb = to_rgb(image)
    scores = _possible(scores, threshold)
    # Maps that are finer than the image are scaled down to it first.
    size = fit_longest_side(scores.maps.shape[1], scores.maps.shape[2], max(rgb.shape[:2]))
    coarse = [cv2.resize(m, size[::-1], interpolation=cv2.INTER_AREA) for m in scores.maps.numpy()]
    maps = np.stack([guided_upsample(m, rgb) for m in coarse]).clip(0, 1)
    moves = (maps.sum(0) if scores.exclusive else maps.max(0)) >= threshold
    strength = maps.copy()
    if not scores.exclusive:
        strength *= np.array(scores.sure or [1.0] * len(maps))[:, None, None]
        special = [i for i, label in enumerate(scores.labels) if label != "water" and family_of(label) == "water"]
        if "water" in scores.labels and special:
            strength[scores.labels.index("water")][maps[special].max(0) >= threshold] = 0
        strength[maps < threshold] = 0
    winner = remove_specks(np.where(moves, strength.argmax(0), -1), scores.labels)
    found = []
    for number, (label, name) in enumerate(zip(scores.labels, scores.names, strict=True)):
        here = winner == number
        if here.mean() >= SMALLEST:
            sure = scores.sure[number] if scores.sure else float(maps[number][here].mean())
            found.append(FluidRegion(label, name, sure, torch.from_numpy(here.astype(np.float32))))
    if not found:
        what = ", ".join(f"{name} {value:.2f}" for name, value in scores.top_classes[:6]) or "nothing"
        raise InputError(
            "threshold",
            f"of {threshold} leaves nothing of what the vocabulary names. The model sees: {what}.",
            "Lower it, name what is there in the vocabulary, or draw hints instead.",
        )
    return FluidRegions(tuple(found))


def remove_specks(winner: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Label map int [H, W] (indices of ``labels``, -1: none) without specks of one standing water in another.

    Models waver between water, sea, river and lake within one body: pieces below SPECK of a connected body take the
    label that most of it has. Falls and fountains keep theirs, however small.
    """
    flat = [number for number, label in enumerate(labels) if label in CONFUSABLE_WATER]
    if len(flat) < 2:
        return winner
    count, bodies = cv2.connectedComponents(np.isin(winner, flat).astype(np.uint8), connectivity=8)
    parts = np.stack([np.bincount(bodies[winner == number], minlength=count) for number in flat])
    most, sizes = np.array(flat)[parts.argmax(0)], parts.sum(0)
    found = winner.copy()
    for number in flat:
        here = winner == number
        pieces, of, stats, _ = cv2.connectedComponentsWithStats(here.astype(np.uint8), connectivity=8)
        body = np.zeros(pieces, int)
        body[np.asarray(of, np.int32)[here]] = bodies[here]
        specks = np.asarray(stats[:, cv2.CC_STAT_AREA] < SPECK * sizes[body])
        lost = here & specks[np.asarray(of, np.int32)]
        found[lost] = most[np.asarray(bodies, np.int32)[lost]]
    return found


def _possible(scores: Scores, threshold: float) -> Scores:
    """Without labels whose maximum is too low to matter, which saves their upsampling; the likeliest always stays."""
    best = scores.maps.amax((1, 2))
    kept = (best >= min(0.02 if scores.exclusive else threshold / 2, float(best.max()))).nonzero().flatten().tolist()
    chosen = (tuple(values[i] for i in kept) for values in (scores.labels, scores.names, scores.sure or ()) if values)
    labels, names, *sure = chosen
    return replace(scores, labels=labels, names=names, maps=scores.maps[kept], sure=sure[0] if sure else None)
