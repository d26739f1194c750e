"""From a mask to its motion field: what the nodes, the command line and the preview all call."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..fluids import DEFAULT_PRIOR, motion_prior
from ..prompt.parse import MotionPrompt, parse_prompt, resolve_directions
from ..segment.regions import label_map, restrict_to_mask
from ..types import Attention, FluidRegions, MotionField, MotionHints
from .network import FlowNetwork, network_flow
from .per_class import split_by_class
from .regions import FlowRegion, angle_map, split_by_direction
from .settings import FlowSettings
from .solver import solve_flow


def predict_flow(
    image: torch.Tensor,
    mask: torch.Tensor,
    *,
    hints: MotionHints | None = None,
    prompt: str = "",
    regions: FluidRegions | None = None,
    attention: Attention | None = None,
    network: FlowNetwork | None = None,
    settings: FlowSettings = FlowSettings(),
) -> MotionField:
    """The motion field (px/frame) of the fluid in ``mask`` [1, H, W] of an image [1, H, W, 3] in 0..1.

    hints: arrows the motion follows, pins where it is zero. prompt: directions and speeds in words. regions: the mask
    by class of fluid; each moves its own way. attention: which pixels each direction of the prompt is meant for.
    network: predicts the field instead of the variational solver. Raises InputError for what is missing or does not
    fit.
    """
    arrows = bool(hints and hints.arrows)
    split = None
    if network is None or (network.directional and not arrows):
        split = flow_regions(mask, parse_prompt(prompt), settings, hints=hints, regions=regions, attention=attention)
    if network is None:
        return solve_flow(image, mask, hints, regions=split, settings=settings)
    angle = angle_map(split) if split else None
    return network_flow(network, image, mask, hints=hints, angle=angle, limit=settings.limit, speed=settings.speed)


def flow_regions(
    mask: torch.Tensor,
    prompt: MotionPrompt,
    settings: FlowSettings,
    *,
    hints: MotionHints | None = None,
    regions: FluidRegions | None = None,
    attention: Attention | None = None,
) -> list[FlowRegion]:
    """The regions of the mask that move apart: by class where ``regions`` are known, else by the prompt's directions.

    Raises InputError as ``resolve_directions`` and ``split_by_class`` do.
    """
    source, has_arrows = settings.direction, bool(hints and hints.arrows)
    if regions and regions.regions and (mask > 0).any() and source != "arrows only":
        if not any(regions.labels):
            return _split_each(mask, regions, prompt, settings, has_arrows, attention)
        # Every class has a usual direction: nothing need be stated, and defaults are no statements.
        known = resolve_directions(source, prompt, settings.angle, has_arrows=True)
        return split_by_class(mask, restrict_to_mask(regions, mask), known, prompt.speed_factors, hints)
    directions = resolve_directions(source, prompt, settings.angle, has_arrows=has_arrows)
    return split_by_direction(mask, directions, attention, prompt.speed_factors, prompt.fluids)


def _split_each(
    mask: torch.Tensor,
    regions: FluidRegions,
    prompt: MotionPrompt,
    settings: FlowSettings,
    has_arrows: bool,
    attention: Attention | None,
) -> list[FlowRegion]:
    """Regions that nobody named: each moves apart from the others, in the direction that holds where it is."""
    directions = resolve_directions(settings.direction, prompt, settings.angle, has_arrows=has_arrows)
    whole = split_by_direction(mask, directions, attention, prompt.speed_factors, prompt.fluids)
    if any(region.angle is None for region in whole):
        return whole  # arrows lead all of it, and need not lie on every part
    owner = torch.from_numpy(label_map(regions, *mask.shape[-2:])).to(mask.device)
    parts = [replace(region, mask=region.mask * (owner == k)) for region in whole for k in range(len(regions.regions))]
    return [part for part in parts if (part.mask > 0).any()]


def suggest_frame_count(prompt: str = "", regions: FluidRegions | None = None, mask: torch.Tensor | None = None) -> int:
    """How many frames a loop needs: what the prompt asks for, else what suits the class with the largest share.

    regions: the classes there are, by their shares of ``mask`` [1, H, W] where one is given. Without regions the first
    fluid word of the prompt counts.
    """
    parsed = parse_prompt(prompt)
    if parsed.frames:
        return parsed.frames
    if regions and any(regions.labels):
        inside = restrict_to_mask(regions, mask) if mask is not None and (mask > 0).any() else regions
        return motion_prior(max(inside.regions, key=lambda region: float(region.mask.sum())).label).frames
    return motion_prior(parsed.fluids[0]).frames if parsed.fluids else DEFAULT_PRIOR.frames
