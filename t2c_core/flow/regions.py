"""Regions of the fluid that move apart, where a prompt states several directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from ..errors import InputError
from ..fluids import fluid_class, singular
from ..geometry import nearest_inside
from ..prompt.directions import Direction
from ..prompt.lexicon import ABOVE
from ..prompt.parse import lookup_override
from ..types import Attention
from .potential import potential_flow_angles

LARGE = 0.02
"""Components with a smaller share of the mask do not say where its middle is."""
CLEAR = 0.9
"""The share of a component from which on one subject's heat gives its direction to the whole component."""
WARM = 0.5
"""Where every subject's heat is below this share of its maximum, the direction without a subject holds."""


@dataclass(frozen=True)
class FlowRegion:
    """A region of the fluid whose velocities are solved for by themselves.

    mask: [1, H, W] in 0..1. angle: degrees it drifts along, or [1, H, W], or None: arrows say it. speed_factor: of that
    drift, or [1, H, W]. arrows_override: whether arrows on it, if there are any, say it alone. arrow_factor: of the
    arrows' speeds: clouds are slower than the water that an arrow of speed 1 is meant for. streaks: whether the image's
    say where it goes; the edges of clouds do not.
    Raises InputError('angle') for angles that are not finite or do not fit the mask.
    """

    mask: torch.Tensor
    angle: float | torch.Tensor | None
    speed_factor: float | torch.Tensor = 1.0
    arrows_override: bool = False
    arrow_factor: float = 1.0
    streaks: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.angle, torch.Tensor):
            if self.angle.shape != self.mask.shape or not torch.isfinite(self.angle).all():
                shapes = f"{list(self.mask.shape)}, not {list(self.angle.shape)}"
                raise InputError("angle", f"needs finite degrees of shape {shapes}.")
        elif self.angle is not None and not np.isfinite(self.angle):
            raise InputError("angle", f"is {self.angle}; it must be a finite number of degrees.")


def split_by_direction(
    mask: torch.Tensor,
    directions: Sequence[Direction],
    attention: Attention | None = None,
    speed_factors: Mapping[str | None, float] | None = None,
    fluids: Sequence[str] = (),
) -> list[FlowRegion]:
    """The regions of ``mask`` [1, H, W] that go different ways.

    With attention every pixel takes the direction whose subject's heat is strongest there, each heat map first scaled
    to the same maximum; a component that is nearly all of one subject goes that way altogether. Without it the mask's
    connected components are told apart by height: sky and smoke go to the upper ones, others to the lower ones; where
    that does not tell, the first direction holds. A direction without a subject is for everything no other one is for.
    Components with the same most common direction stay together, and none is divided.

    speed_factors: as of ``parse_speed_factors``. fluids: the fluid words of the prompt; where it names one class only,
    directions without a subject are of that. Without directions: one region that arrows lead.
    """
    if not directions:
        return [FlowRegion(mask, None)]
    drifts = [(d.angle, _speed_factor(d.subject, speed_factors or {}, fluids)) for d in directions]
    kinds = list(dict.fromkeys(drifts))
    if len(kinds) == 1 and kinds[0][0] is not None:
        return [FlowRegion(mask, *kinds[0])]
    kind_of_direction = np.array([kinds.index(drift) for drift in drifts])
    moving = mask[0].cpu().numpy() > 0
    components = connected_components(mask)
    chosen = np.zeros(components.shape, int)
    if len(kinds) > 1:
        by_heat = _by_heat(components, mask, directions, attention) if attention is not None else None
        chosen = kind_of_direction[by_heat if by_heat is not None else _by_height(components, mask, directions)]
    votes = np.zeros((components.max() + 1, len(kinds)), np.int64)
    np.add.at(votes, (components[moving], chosen[moving]), 1)
    winner = votes.argmax(1)[components]
    return [region_of(mask, moving & (winner == kind), chosen, kinds) for kind in np.unique(winner[moving])]


def region_of(
    mask: torch.Tensor,
    inside: np.ndarray,
    chosen: np.ndarray,
    kinds: Sequence[tuple[float | None, float]],
    **options: Any,
) -> FlowRegion:
    """The region ``inside`` [H, W] with the (angle, speed factor) of the kind ``chosen`` [H, W] for each pixel.

    An angle of None: along its banks. options: the region's other fields.
    """
    angles, factors = np.zeros(inside.shape, np.float32), np.ones(inside.shape, np.float32)
    for number in np.unique(chosen[inside]):
        pixels = inside & (chosen == number)
        angle, factors[pixels] = kinds[number]
        angles[pixels] = potential_flow_angles(pixels)[pixels] if angle is None else angle
    region_mask = mask * torch.from_numpy(inside).to(mask.device)
    return FlowRegion(region_mask, _scalar_or_map(angles, inside), _scalar_or_map(factors, inside), **options)


def _scalar_or_map(values: np.ndarray, inside: np.ndarray) -> float | torch.Tensor:
    """The only value of a map [H, W] inside a region, or else the map [1, H, W]."""
    distinct = np.unique(values[inside])
    return float(distinct[0]) if len(distinct) == 1 else torch.from_numpy(values)[None]


def _speed_factor(subject: str | None, factors: Mapping[str | None, float], fluids: Sequence[str]) -> float:
    named = list(dict.fromkeys(fluid_class(word) or word for word in fluids))
    name = (fluid_class(subject) or subject) if subject else named[0] if len(named) == 1 else None
    factor = lookup_override(name, factors, named) if name else factors.get(None)
    return 1.0 if factor is None else factor


def angle_map(regions: Sequence[FlowRegion]) -> float | torch.Tensor | None:
    """The angles of all regions as one map [1, H, W], 0 outside; one number where it is the same everywhere."""
    if len(regions) == 1:
        return regions[0].angle
    angles = torch.zeros_like(regions[0].mask, dtype=torch.float32, device="cpu")
    for region in regions:
        inside = (region.mask > 0).cpu()
        angles[inside] = region.angle[inside] if isinstance(region.angle, torch.Tensor) else float(region.angle or 0.0)
    return angles


def connected_components(mask: torch.Tensor) -> np.ndarray:
    """Labels 1..n [H, W] int32 of the 8-connected components of a mask [1, H, W] in 0..1.

    Every other pixel has the label of the nearest component, so that soft edges belong to what they are the edge of.
    All 0 for an empty mask.
    """
    values = mask[0].float().cpu().numpy()
    solid = values >= min(0.5, values.max()) if values.max() > 0 else np.zeros(values.shape, bool)
    count, labels = cv2.connectedComponents(solid.astype(np.uint8), connectivity=8)
    if count == 1 or solid.all():
        return labels
    return labels.reshape(-1)[nearest_inside(solid)]


def _by_heat(
    components: np.ndarray, mask: torch.Tensor, directions: Sequence[Direction], attention: Attention
) -> np.ndarray | None:
    """The number of the direction for every pixel [H, W].

    None if the subjects of fewer than two directions have a heat map (of one, if a direction has no subject).
    """
    if attention.heat is None:
        return None
    tokens = {singular(word): index for index, word in reversed(list(enumerate(attention.words)))}
    known = [n for n, d in enumerate(directions) if d.subject and singular(d.subject) in tokens]
    rest = [n for n, d in enumerate(directions) if d.subject is None][:1]
    if len(known) + len(rest) < 2 or not known:
        return None
    heat = attention.heat[[tokens[singular(directions[n].subject or "")] for n in known]].float().cpu()
    heat = heat / heat.amax((1, 2), keepdim=True).clamp_min(1e-12)
    if rest:
        heat = torch.cat([heat, torch.full_like(heat[:1], WARM)])
    warmest = F.interpolate(heat[None], mask.shape[-2:], mode="bilinear", align_corners=False).argmax(1)[0].numpy()
    solid = mask[0].cpu().numpy() >= 0.5
    votes = np.zeros((components.max() + 1, len(heat)), np.int64)
    np.add.at(votes, (components[solid], warmest[solid]), 1)
    clear = votes.max(1) >= CLEAR * np.maximum(votes.sum(1), 1)
    winner = np.where(clear[components], votes.argmax(1)[components], warmest)
    return np.array(known + rest)[winner]


def _by_height(components: np.ndarray, mask: torch.Tensor, directions: Sequence[Direction]) -> np.ndarray:
    """The number of the direction for every pixel [H, W]."""
    rest = [n for n, d in enumerate(directions) if d.subject is None]
    above = [n for n, d in enumerate(directions) if d.subject in ABOVE]
    below = [n for n, d in enumerate(directions) if d.subject is not None and d.subject not in ABOVE]
    upper, lower = (above or rest)[:1], (below or rest)[:1]
    solid = mask[0].cpu().numpy() >= 0.5
    sizes = np.bincount(components[solid], minlength=components.max() + 1)
    large = np.flatnonzero(sizes >= max(1.0, LARGE * solid.sum()))
    if not upper or not lower or len(large) < 2:
        return np.zeros(components.shape, int)
    rows = np.bincount(components[solid], np.nonzero(solid)[0], len(sizes)) / np.maximum(sizes, 1)
    middle = (rows[large].min() + rows[large].max()) / 2
    return np.where(rows < middle, upper[0], lower[0])[components]
