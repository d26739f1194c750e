"""Which direction each part of the fluid takes where a prompt names several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from ..nearest import nearest_inside
from ..prompt.directions import Direction
from ..prompt.lexicon import SKY
from ..segment.vocabulary import singular
from ..types import Attention

LARGE = 0.02
"""Parts with a smaller share of the mask do not say where its middle is."""
CLEAR = 0.9
"""The share of a part from which on one thing's heat gives its direction to the whole part."""
WARM = 0.5
"""Where every named thing's heat is below this share of its maximum, the direction said of nothing holds."""
MOST_PARTS = 8
"""More different angles than prompts name are a painted map of angles, solved as one."""


@dataclass(frozen=True)
class FluidPart:
    """A part of the fluid that moves by itself.

    mask: [1, H, W] in 0..1. angle: degrees it drifts along, or [1, H, W], or None: arrows say it. drift: factor of the
    speed of that drift, or [1, H, W]. led: whether arrows on it, if there are any, say it alone.
    """

    mask: torch.Tensor
    angle: float | torch.Tensor | None
    drift: float | torch.Tensor = 1.0
    led: bool = False


def region_angles(
    mask: torch.Tensor, directions: Sequence[Direction], attention: Attention | None = None
) -> float | torch.Tensor | None:
    """The angle in degrees for all of ``mask`` [1, H, W], or angles [1, H, W] float32 where directions differ by place.

    With attention every place takes the direction whose subject's heat is strongest there, each heat map first scaled
    to the same maximum; a part of the mask that is nearly all of one thing goes that way altogether. Without it the
    mask's connected parts are told apart by height: sky things go to the upper ones, others to the lower ones; where
    that does not tell, the first direction holds. A direction said of nothing in particular is for everything no other
    one is for. None without any direction.
    """
    if not directions:
        return None
    if len({direction.angle for direction in directions}) == 1:
        return directions[0].angle
    labels = connected_parts(mask)
    by_heat = _by_heat(labels, mask, directions, attention) if attention is not None else None
    return by_heat if by_heat is not None else _by_height(labels, mask, directions)


def connected_parts(mask: torch.Tensor) -> np.ndarray:
    """Labels 1..n [H, W] int32 of the 8-connected parts of a mask [1, H, W] in 0..1; every other pixel has the label
    of the nearest part, so that soft edges belong to what they are the edge of. All 0 for an empty mask.
    """
    values = mask[0].float().cpu().numpy()
    solid = values >= min(0.5, values.max()) if values.max() > 0 else np.zeros(values.shape, bool)
    count, labels = cv2.connectedComponents(solid.astype(np.uint8), connectivity=8)
    if count == 1 or solid.all():
        return labels
    return labels.reshape(-1)[nearest_inside(solid)]


def split_by_angle(mask: torch.Tensor, angles: torch.Tensor) -> Iterator[tuple[torch.Tensor, float | torch.Tensor]]:
    """Parts of a mask [1, H, W] that go different ways by ``angles`` [1, H, W], each with its own angle or angles.

    Connected parts with the same most common angle stay together, and a connected part is never divided. More than
    MOST_PARTS different ones (a free map of angles) are not told apart.
    """
    labels = connected_parts(mask)
    degrees = angles[0].float().cpu().numpy()
    moving = mask[0].cpu().numpy() > 0
    values, places = np.unique(degrees[moving], return_inverse=True)
    if len(values) > MOST_PARTS:
        yield mask, angles
        return
    votes = np.zeros((labels.max() + 1, len(values)), np.int64)
    np.add.at(votes, (labels[moving], places.ravel()), 1)
    winner = votes.argmax(1)
    for index in np.unique(winner[np.unique(labels[moving])]):
        part = torch.from_numpy(winner[labels] == index).to(mask.device)
        here = np.unique(degrees[moving & (winner[labels] == index)])
        yield mask * part, float(here[0]) if len(here) == 1 else angles


def _by_heat(
    labels: np.ndarray, mask: torch.Tensor, directions: Sequence[Direction], attention: Attention
) -> torch.Tensor | None:
    """None if the subjects of fewer than two directions have a heat map (of one, if a direction is said of nothing)."""
    places = {singular(word): index for index, word in reversed(list(enumerate(attention.words)))}
    known = [d for d in directions if d.subject and singular(d.subject) in places and attention.heat is not None]
    rest = [d for d in directions if d.subject is None]
    if len(known) + len(rest[:1]) < 2 or not known:
        return None
    heat = torch.stack([attention.heat[places[singular(d.subject)]].float().cpu() for d in known])
    heat = heat / heat.amax((1, 2), keepdim=True).clamp_min(1e-12)
    if rest:
        heat = torch.cat([heat, torch.full_like(heat[:1], WARM)])
        known.append(rest[0])
    warmest = F.interpolate(heat[None], mask.shape[-2:], mode="bilinear", align_corners=False).argmax(1)[0].numpy()
    moving = mask[0].cpu().numpy() >= 0.5
    votes = np.zeros((labels.max() + 1, len(known)), np.int64)
    np.add.at(votes, (labels[moving], warmest[moving]), 1)
    clear = votes.max(1) >= CLEAR * np.maximum(votes.sum(1), 1)
    winner = np.where(clear[labels], votes.argmax(1)[labels], warmest)
    return torch.tensor([d.angle for d in known], dtype=torch.float32)[torch.from_numpy(winner)][None]


def _by_height(labels: np.ndarray, mask: torch.Tensor, directions: Sequence[Direction]) -> float | torch.Tensor:
    rest = [d for d in directions if d.subject is None]
    sky = [d for d in directions if d.subject in SKY]
    ground = [d for d in directions if d.subject is not None and d.subject not in SKY]
    up, down = (sky or rest)[:1], (ground or rest)[:1]
    solid = mask[0].cpu().numpy() >= 0.5
    sizes = np.bincount(labels[solid], minlength=labels.max() + 1)
    large = np.flatnonzero(sizes >= max(1.0, LARGE * solid.sum()))
    if not up or not down or len(large) < 2:
        return directions[0].angle
    rows = np.bincount(labels[solid], np.nonzero(solid)[0], len(sizes)) / np.maximum(sizes, 1)
    middle = (rows[large].min() + rows[large].max()) / 2
    table = np.where(rows < middle, up[0].angle, down[0].angle).astype(np.float32)
    return torch.from_numpy(table[labels])[None]
