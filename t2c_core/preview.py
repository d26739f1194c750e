"""The motion of a small picture, for the editor: mask and field as the nodes would make them, in a second."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch

from .errors import InputError
from .flow.regions import region_angles
from .flow.solver import solve_flow
from .prompt.asked import WAYS, asked_directions
from .segment.freeze import cut_frozen
from .segment.from_hints import mask_from_hints
from .segment.refine import refine_mask
from .types import MotionField, MotionHints

LONGEST = 512
"""Pixels of the longer side that a preview's picture may have."""
MOST_PROMPT = 4000

_RANGES = {
    "detail": (0.25, 4.0),
    "fill_holes": (0.0, 1.0),
    "min_area": (0.0, 1.0),
    "angle": (-360.0, 360.0),
    "speed": (0.0, 16.0),
    "smoothness": (0.0, 1.0),
    "incompressibility": (0.0, 1.0),
    "follow_streaks": (0.0, 1.0),
    "perspective": (-1.0, 1.0),
}


@dataclass(frozen=True)
class PreviewSettings:
    """The inputs of Real Image Segmenter and Flow Predictor that matter for a preview, with the same meanings."""

    detail: float = 1.0
    fill_holes: float = 0.001
    min_area: float = 0.0005
    direction: str = "from prompt"
    prompt: str = ""
    angle: float = 270.0
    speed: float = 1.0
    smoothness: float = 0.5
    incompressibility: float = 0.5
    follow_streaks: float = 0.5
    perspective: float = 0.0


def read_settings(given: Mapping[str, Any]) -> PreviewSettings:
    """Settings out of untrusted values; those not named keep their defaults. Raises InputError naming a bad one."""
    names = {f.name for f in fields(PreviewSettings)}
    for name, value in given.items():
        if name not in names:
            raise InputError("settings", f"have no '{str(name)[:40]}'.", f"Known: {', '.join(sorted(names))}.")
        if name == "direction" and value not in WAYS:
            raise InputError(name, f"must be one of {', '.join(WAYS)}.")
        if name == "prompt" and not (isinstance(value, str) and len(value) <= MOST_PROMPT):
            raise InputError(name, f"must be a text of at most {MOST_PROMPT} characters.")
        if name in _RANGES:
            low, high = _RANGES[name]
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or not low <= value <= high:
                raise InputError(name, f"must be a number between {low:g} and {high:g}.")
    return PreviewSettings(**given)


def preview_field(picture: torch.Tensor, hints: MotionHints, settings: PreviewSettings) -> MotionField:
    """The motion field (px/frame) of a small picture [1, H, W, 3] in 0..1.

    The mask comes from the hints; pixel amounts such as grow are left out, as they mean nothing at this size.
    Raises InputError for a picture larger than ``LONGEST`` and for hints that say too little.
    """
    if max(picture.shape[1:3]) > LONGEST:
        size = f"{picture.shape[2]}x{picture.shape[1]}"
        raise InputError("picture", f"is {size}; a preview is made from at most {LONGEST} pixels a side.")
    found = mask_from_hints(picture, hints, detail=settings.detail)
    refined = refine_mask(found, feather=1.0, fill_holes=settings.fill_holes, min_area=settings.min_area)
    mask = cut_frozen(refined, hints, pins=False)
    if not (mask > 0).any():
        raise InputError("hints", "leave nothing that moves.", "Draw on more of the fluid, or freeze less.")
    asked = asked_directions(settings.direction, settings.prompt, settings.angle, drawn=bool(hints.arrows))
    return solve_flow(
        picture,
        mask,
        hints,
        angle=region_angles(mask, asked),
        speed=settings.speed,
        smoothness=settings.smoothness,
        incompressibility=settings.incompressibility,
        follow_streaks=settings.follow_streaks,
        perspective=settings.perspective,
    )
