"""How each kind of thing usually moves, and what a prompt says of it instead."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..hints import arrow_samples
from ..prompt.directions import Direction
from ..prompt.kinds import LEVEL, family_of, is_meant, kind_of
from ..segment.regions import owners
from ..types import FluidRegions, MotionHints
from .banks import bank_angles
from .regions import FluidPart, connected_parts


@dataclass(frozen=True)
class Usual:
    """angle: degrees counter-clockwise from +x, or None along its banks towards the viewer. speed: relative to a river.

    frames: how long a loop of it should be: slow things with shapes of their own need long ones (the paper takes 60 for
    falls and 120 for the sea).
    """

    angle: float | None
    speed: float
    frames: int


USUAL: dict[str, Usual] = {
    "waterfall": Usual(270.0, 1.5, 60),
    "river": Usual(None, 1.0, 60),
    "water": Usual(0.0, 0.8, 90),
    "sea": Usual(0.0, 0.6, 120),
    "lake": Usual(0.0, 0.4, 120),
    "swimming pool": Usual(0.0, 0.4, 120),
    "fountain": Usual(90.0, 1.2, 60),
    "sky": Usual(0.0, 0.4, 120),
    "cloud": Usual(0.0, 0.4, 120),
    "fog": Usual(0.0, 0.3, 120),
    "smoke": Usual(90.0, 0.7, 90),
    "steam": Usual(90.0, 0.8, 90),
    "fire": Usual(90.0, 1.2, 60),
    "fireplace": Usual(90.0, 1.2, 60),
    "lava": Usual(None, 0.3, 120),
    "rain": Usual(270.0, 2.0, 60),
    "snow": Usual(270.0, 0.6, 120),
    "flag": Usual(0.0, 0.6, 60),
    "grass": Usual(0.0, 0.3, 90),
}
OTHERWISE = Usual(0.0, 1.0, 60)
"""Of kinds nobody knows."""


def said_of(label: str, said: Mapping[str | None, float], found: Collection[str] = ()) -> float | None:
    """What is said of a region, of {moving word: value}; None as a word stands for everything else.

    Its own kind before a wider one: of a river 'river' or 'brook', then 'water'. 'clouds' are the sky where only that
    was found. What is said of a kind that is none of ``found`` (all labels) is meant for those taken for each other:
    'the river' for a lake, 'steam' for smoke.
    """
    kinds = {word: kind_of(word) for word in said if word is not None}
    for fits in _FITS:
        for word, kind in kinds.items():
            if kind and fits(kind, label):
                return said[word]
    for word, kind in kinds.items():
        lost = found and kind and not any(fits(kind, other) for fits in _FITS for other in found)
        if lost and _alike(kind, label):
            return said[word]
    return said.get(None)


_FITS = (
    lambda kind, label: kind == label,
    lambda kind, label: is_meant(label, kind),
    lambda kind, label: {kind, label} == {"cloud", "sky"},
)


def _alike(kind: str, label: str) -> bool:
    """Whether models take one for the other, and people mean the same: standing waters, or kinds of a family."""
    if {kind, label} <= LEVEL:
        return True
    return family_of(kind) == family_of(label) and family_of(kind) not in ("water", "rain")


def class_parts(
    mask: torch.Tensor,
    regions: FluidRegions,
    directions: Sequence[Direction] = (),
    paces: Mapping[str | None, float] | None = None,
    hints: MotionHints | None = None,
) -> list[FluidPart]:
    """The parts of ``mask`` [1, H, W] that move apart, one for every family of kinds, each the way its kinds go.

    regions: what is where; places outside all belong to the nearest. directions, paces: what a prompt says of them, in
    place of their usual ways. hints: connected parts with arrows follow these alone unless a direction is said of them.
    Raises InputError('regions') if they do not fit the mask.
    """
    height, width = mask.shape[-2:]
    of, labels = owners(regions, height, width), regions.labels
    moving = (mask[0] > 0).cpu().numpy()
    # The first direction said of a thing holds, as elsewhere.
    ways = {direction.subject: direction.angle for direction in reversed(directions)}
    said = [said_of(label, ways, labels) for label in labels]
    speeds = [usual(label).speed * (said_of(label, paces or {}, labels) or 1.0) for label in labels]
    drift = np.array(speeds, np.float32)[of]
    angles = np.zeros((height, width), np.float32)
    for number, label in enumerate(labels):
        here = of == number
        angle = said[number] if said[number] is not None else usual(label).angle
        angles[here] = bank_angles(here & moving)[here] if angle is None else angle
    drawn = _with_arrows(mask, of, labels, hints)
    is_said = np.array([angle is not None for angle in said])[of]
    parts = []
    for family in dict.fromkeys(map(family_of, labels)):
        mine = moving & np.array([family_of(label) == family for label in labels])[of]
        for here in (mine & drawn, mine & ~drawn):
            if here.any():
                led = bool(drawn[here].all()) and not is_said[here].any()
                whole = torch.from_numpy(here).to(mask.device)
                parts.append(FluidPart(mask * whole, _one_or_all(angles, here), _one_or_all(drift, here), led))
    return parts


def usual(label: str) -> Usual:
    """How a region with this label usually moves."""
    return USUAL.get(label) or USUAL.get(kind_of(label) or "", OTHERWISE)


def _one_or_all(values: np.ndarray, here: np.ndarray) -> float | torch.Tensor:
    """A map's only value in a part, or else the map [1, H, W]."""
    found = np.unique(values[here])
    return float(found[0]) if len(found) == 1 else torch.from_numpy(values)[None]


def _with_arrows(mask: torch.Tensor, of: np.ndarray, labels: Sequence[str], hints: MotionHints | None) -> np.ndarray:
    """bool [H, W]: the connected parts of each family's fluid on which an arrow lies."""
    height, width = of.shape
    found = np.zeros(of.shape, bool)
    if hints is None or not hints.arrows:
        return found
    positions, _ = arrow_samples(hints, height, width, spacing=1.0)
    x, y = np.rint(positions).astype(int).T
    seen = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x[seen], y[seen]
    for family in dict.fromkeys(map(family_of, labels)):
        mine = torch.from_numpy(np.array([family_of(label) == family for label in labels])[of])
        part = mask.cpu() * mine
        touched = (part[0].numpy() > 0)[y, x]
        if touched.any():
            components = connected_parts(part)
            found |= np.isin(components, np.unique(components[y[touched], x[touched]])) & mine.numpy()
    return found


def combined(parts: Sequence[FluidPart], size: tuple[int, int]) -> torch.Tensor:
    """The angles of all parts as one map [1, H, W], for networks that take a single one; 0 outside."""
    angles = torch.zeros(1, *size)
    for part in parts:
        here = (part.mask > 0).cpu()
        angles[here] = part.angle[here] if isinstance(part.angle, torch.Tensor) else part.angle
    return angles


def loop_length(regions: FluidRegions, words: Sequence[str] = ()) -> int:
    """How many frames suit what moves: those of the kind with the largest share; without regions, of the first word."""
    if regions.regions:
        return usual(max(regions.regions, key=lambda region: float(region.mask.sum())).label).frames
    known = [kind for word in words if (kind := kind_of(word)) in USUAL]
    return USUAL[known[0]].frames if known else OTHERWISE.frames
