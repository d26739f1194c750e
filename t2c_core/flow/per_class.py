"""Motion per class of fluid: each its usual way, or what a prompt states instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..fluids import family_of, motion_prior
from ..hints import arrow_samples
from ..prompt.directions import Direction
from ..prompt.parse import lookup_override
from ..segment.regions import label_map
from ..types import FluidRegions, MotionHints
from .regions import FlowRegion, connected_components, region_of


def split_by_class(
    mask: torch.Tensor,
    regions: FluidRegions,
    directions: Sequence[Direction] = (),
    speed_factors: Mapping[str | None, float] | None = None,
    hints: MotionHints | None = None,
) -> list[FlowRegion]:
    """The regions of ``mask`` [1, H, W] that move apart, one for every family of classes, each class its own way.

    regions: labelled masks; pixels outside all belong to the nearest. directions, speed_factors: of a prompt; they
    override the classes' priors. hints: connected components with arrows follow these alone unless a direction is
    stated of them. Raises InputError('regions') if they do not fit the mask.
    """
    owner, labels = label_map(regions, *mask.shape[-2:]), regions.labels
    moving = (mask[0] > 0).cpu().numpy()
    # The first direction stated of a word holds.
    angle_of = {direction.subject: direction.angle for direction in reversed(directions) if direction.angle is not None}
    stated = [lookup_override(label, angle_of, labels) for label in labels]
    factors = [lookup_override(label, speed_factors or {}, labels) or 1.0 for label in labels]
    priors = [motion_prior(label) for label in labels]
    angles = [prior.angle if said is None else said for prior, said in zip(priors, stated, strict=True)]
    kinds = [(angle, prior.speed * factor) for angle, prior, factor in zip(angles, priors, factors, strict=True)]
    drawn = _with_arrows(mask, owner, labels, hints)
    is_stated = np.array([angle is not None for angle in stated])[owner]
    split = []
    for family in dict.fromkeys(map(family_of, labels)):
        inside = moving & np.array([family_of(label) == family for label in labels])[owner]
        for region in (inside & drawn, inside & ~drawn):
            if region.any():
                options: dict[str, Any] = {"arrows_override": bool(drawn[region].all()) and not is_stated[region].any()}
                if family == "sky":
                    speeds = np.array([prior.speed for prior in priors])[owner[region]]
                    options |= {"arrow_factor": float(speeds.mean()), "streaks": False}
                split.append(region_of(mask, region, owner, kinds, **options))
    return split


def _with_arrows(mask: torch.Tensor, owner: np.ndarray, labels: Sequence[str], hints: MotionHints | None) -> np.ndarray:
    """bool [H, W]: the connected components of each family's fluid on which an arrow lies."""
    height, width = owner.shape
    touched = np.zeros(owner.shape, bool)
    if hints is None or not hints.arrows:
        return touched
    positions, _ = arrow_samples(hints, height, width, spacing=1.0)
    x, y = np.rint(positions).astype(int).T
    visible = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x[visible], y[visible]
    for family in dict.fromkeys(map(family_of, labels)):
        inside = torch.from_numpy(np.array([family_of(label) == family for label in labels])[owner])
        fluid = mask.cpu() * inside
        hit = (fluid[0].numpy() > 0)[y, x]
        if hit.any():
            components = connected_components(fluid)
            touched |= np.isin(components, np.unique(components[y[hit], x[hit]])) & inside.numpy()
    return touched
