"""Masks at the picture's size from a model's coarse maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch

from ...errors import InputError
from ...prompt.kinds import LEVEL, family_of
from ...types import FluidRegion, FluidRegions
from ..walker import at_full_size
from .base import Model, Scores, Step, no_step
from .names import wanted

THRESHOLD = 0.5
SMALLEST = 1e-4
"""Regions with a smaller share of the picture are chance."""
SPECK = 0.02
"""The share of a body of water below which a piece of another kind in it is chance."""


@torch.inference_mode()
def score(model: Model, picture: torch.Tensor, words: str, *, step: Step = no_step) -> Scores:
    """What the model says of a picture [1, H, W, 3] in 0..1 and of the words, a list with commas; empty: what flows.

    step: called with (finished, total), may raise to stop. Raises InputError('vocabulary') for words it cannot know.
    """
    return model.scores(picture, wanted(words), step)


def regions_of(scores: Scores, picture: torch.Tensor, threshold: float = THRESHOLD) -> FluidRegions:
    """The regions where what is asked for is at least as probable as ``threshold`` (0..1, excluded), without overlap.

    Classes: the shares of all that is asked for count together, and the largest gives the label. Words: the most
    probable one does, but 'water' leaves to a fall, a river ... what these reach the threshold in. Borders are moved
    onto the picture's own edges (guided filter). Raises InputError('threshold') if nothing is left, with what was seen.
    """
    if not 0.0 < threshold < 1.0:
        raise InputError("threshold", f"is {threshold}; it must lie between 0 and 1.")
    rgb = picture[0, ..., :3].float().cpu().clamp(0, 1).numpy()
    scores = _possible(scores, threshold)
    maps = np.stack([at_full_size(_at_most(m, max(rgb.shape[:2])), rgb) for m in scores.maps.numpy()]).clip(0, 1)
    moves = (maps.sum(0) if scores.exclusive else maps.max(0)) >= threshold
    strength = maps.copy()
    if not scores.exclusive:
        strength *= np.array(scores.sure or [1.0] * len(maps))[:, None, None]
        special = [i for i, label in enumerate(scores.labels) if label != "water" and family_of(label) == "water"]
        if "water" in scores.labels and special:
            strength[scores.labels.index("water")][maps[special].max(0) >= threshold] = 0
        strength[maps < threshold] = 0
    winner = settled(np.where(moves, strength.argmax(0), -1), scores.labels)
    found = []
    for number, (label, name) in enumerate(zip(scores.labels, scores.names, strict=True)):
        here = winner == number
        if here.mean() >= SMALLEST:
            sure = scores.sure[number] if scores.sure else float(maps[number][here].mean())
            found.append(FluidRegion(label, name, sure, torch.from_numpy(here.astype(np.float32))))
    if not found:
        what = ", ".join(f"{name} {value:.2f}" for name, value in scores.seen[:6]) or "nothing"
        raise InputError(
            "threshold",
            f"of {threshold} leaves nothing of what the vocabulary names. The model sees: {what}.",
            "Lower it, name what is there in the vocabulary, or draw hints instead.",
        )
    return FluidRegions(tuple(found))


def settled(winner: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """Which of ``labels`` every place has, int [H, W] (-1: none), without specks of one standing water in another.

    Models waver between water, sea, river and lake within one body: pieces below SPECK of a connected body take the
    label that most of it has. Falls and fountains keep theirs, however small.
    """
    flat = [number for number, label in enumerate(labels) if label in LEVEL]
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
        body[of[here]] = bodies[here]
        specks = stats[:, cv2.CC_STAT_AREA] < SPECK * sizes[body]
        lost = here & specks[of]
        found[lost] = most[bodies[lost]]
    return found


def _possible(scores: Scores, threshold: float) -> Scores:
    """Without the labels that are nowhere: their maps would be scaled up for nothing. The likeliest always stays."""
    best = scores.maps.amax((1, 2))
    kept = (best >= min(0.02 if scores.exclusive else threshold / 2, float(best.max()))).nonzero().flatten().tolist()
    chosen = (tuple(values[i] for i in kept) for values in (scores.labels, scores.names, scores.sure or ()) if values)
    labels, names, *sure = chosen
    return replace(scores, labels=labels, names=names, maps=scores.maps[kept], sure=sure[0] if sure else None)


def _at_most(probability: np.ndarray, longer: int) -> np.ndarray:
    """A map scaled down to a picture that is smaller than the map itself."""
    scale = longer / max(probability.shape)
    if scale >= 1:
        return probability
    size = [max(1, round(side * scale)) for side in probability.shape]
    return cv2.resize(probability, size[::-1], interpolation=cv2.INTER_AREA)
