"""Motion field of a small image, for the editor: mask and field by the nodes' own functions, in a second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from .errors import InputError
from .flow.predict import predict_flow
from .flow.settings import FlowSettings
from .segment.fluid import segment_fluid
from .segment.settings import MaskSettings
from .types import FluidRegions, MotionField, MotionHints

LONGEST = 512
"""Pixels of the longer side that a preview's image may have."""
MAX_PROMPT = 4000

MASK_INPUTS = ("detail", "grow", "feather", "fill_holes", "min_area", "freeze_outliers")
FLOW_INPUTS = ("direction", "angle", "speed", "smoothness", "incompressibility", "follow_streaks", "perspective")
INPUTS = {*MASK_INPUTS, *FLOW_INPUTS, "prompt", "regions"}
"""The inputs of Real Image Segmenter and Flow Predictor that a preview takes, with the same meanings; regions: whether
the regions of the one go to the other."""


@dataclass(frozen=True)
class PreviewSettings:
    """Settings of both stages, the prompt, and whether the mask's regions are used."""

    mask: MaskSettings = MaskSettings()
    flow: FlowSettings = FlowSettings()
    prompt: str = ""
    regions: bool = False


def read_settings(values: Mapping[str, Any]) -> PreviewSettings:
    """Settings out of untrusted values; those not named keep their defaults. Raises InputError naming a bad one."""
    for name in values:
        if name not in INPUTS:
            raise InputError("settings", f"have no '{str(name)[:40]}'.", f"Known: {', '.join(sorted(INPUTS))}.")
    prompt = values.get("prompt", "")
    if not (isinstance(prompt, str) and len(prompt) <= MAX_PROMPT):
        raise InputError("prompt", f"must be a text of at most {MAX_PROMPT} characters.")
    regions = values.get("regions", False)
    if not isinstance(regions, bool):
        raise InputError("regions", "must be true or false.")
    mask, flow = ({name: values[name] for name in names if name in values} for names in (MASK_INPUTS, FLOW_INPUTS))
    return PreviewSettings(MaskSettings(**mask), FlowSettings(**flow), prompt, regions)


def preview_field(
    image: torch.Tensor,
    hints: MotionHints,
    settings: PreviewSettings = PreviewSettings(),
    *,
    mask: torch.Tensor | None = None,
    regions: FluidRegions | None = None,
    scale: float = 1.0,
    check: Callable[[], None] = lambda: None,
) -> MotionField:
    """The motion field (px/frame) of a small image [1, H, W, 3] in 0..1.

    mask: [1, h, w], taken as the node's method 'mask' does; without it the mask grows from the hints. regions: given
    instead of the mask's own. scale: pixels of this image per pixel of the full one; grow and feather are in the
    latter's. check: called between the steps; what it raises ends the computation.
    Raises InputError for an image larger than ``LONGEST`` and for hints that say too little.
    """
    if max(image.shape[1:3]) > LONGEST:
        size = f"{image.shape[2]}x{image.shape[1]}"
        raise InputError("picture", f"is {size}; a preview is made from at most {LONGEST} pixels a side.")
    if hints.empty and mask is None:
        raise InputError("hints", "say nothing of what moves.", "Draw an arrow along the fluid, or strokes over it.")
    masking = replace(
        settings.mask,
        method="hints" if mask is None else "mask",
        grow=settings.mask.grow * scale,
        feather=settings.mask.feather * scale,
    )
    fluid = segment_fluid(image, hints=hints, mask=mask, settings=masking, step=lambda *_: check())
    check()
    used = fluid.regions if regions is None and settings.regions else regions
    return predict_flow(image, fluid.mask, hints=hints, prompt=settings.prompt, regions=used, settings=settings.flow)
