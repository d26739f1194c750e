"""Fluid segmentation: the one recipe from hints, a given mask, attention or a segmentation model to the mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from ..errors import InputError
from ..geometry import connected_to
from ..types import Attention, FluidRegion, FluidRegions, MotionHints
from .from_attention import mask_from_words, overlapping_regions, snap_to_edges
from .from_hints import rasterise_hints, segment_hints
from .models.base import Segmenter, Step, no_step
from .models.postprocess import extract_regions, predict
from .outliers import colour_outliers
from .refine import refine_mask
from .regions import restrict_to_mask, union
from .settings import MaskSettings
from .strokes import add_move_strokes, apply_freeze_strokes

_MISSING = {
    "hints": ("are missing", "Connect 'Motion Hints', or choose another method."),
    "mask": ("is missing", "Connect a mask, or choose another method."),
    "attention": ("is missing", "Connect that of 'Twin Prompt Sampler'."),
    "model": ("is missing", "Choose a segmentation model."),
}


@dataclass(frozen=True)
class FluidMask:
    """Segmentation of the fluid in one image.

    mask: [1, H, W] float32 in 0..1 on the CPU, 1 = moves, soft at the edge. regions: the same divided into its kinds;
    empty but for a segmentation model, several masks and strokes on a sky.
    """

    mask: torch.Tensor
    regions: FluidRegions = FluidRegions()


def segment_fluid(
    image: torch.Tensor,
    *,
    hints: MotionHints | None = None,
    mask: torch.Tensor | None = None,
    attention: Attention | None = None,
    model: Segmenter | None = None,
    settings: MaskSettings = MaskSettings(),
    step: Step = no_step,
) -> FluidMask:
    """Segmentation of what moves in ``image`` [1, H, W, 3] in 0..1, by ``settings.method``.

    'hints': a cut around what ``hints`` mark. 'mask': the union of ``mask`` [B, h, w] in 0..1, scaled to the image; of
    several each is a region. 'attention': the regions of ``attention`` that the vocabulary's words mean. 'model': what
    ``model`` finds for the vocabulary.
    With refine_with_attention the mask becomes the attention's regions that lie in it. Move strokes of ``hints`` are
    added, freeze strokes and pins cut out; then holes and islands go, the mask grows and gets a soft edge.

    step: called with (finished, total) during segmentation; what it raises ends it.
    Raises InputError for a missing argument, and where nothing that moves is left.
    """
    method, regions = settings.method, FluidRegions()
    refines = settings.refine_with_attention and method != "attention"
    if refines and attention is None:
        raise InputError("attention", "is missing, but refine_with_attention is on.", _MISSING["attention"][1])
    if method == "hints" and hints is not None:
        segmented, regions = segment_hints(image, hints, detail=settings.detail)
    elif method == "mask" and mask is not None:
        given = _scaled(mask, (image.shape[1], image.shape[2]))
        segmented, regions = given.amax(0, keepdim=True), _regions_of(given)
    elif method == "attention" and attention is not None:
        segmented = mask_from_words(image, attention, settings)
    elif method == "model" and model is not None:
        regions = extract_regions(predict(model, image, settings.vocabulary, step=step), image, settings.threshold)
        segmented = union(regions)
    else:
        problem, remedy = _MISSING[method]
        raise InputError(method, f"{problem}, but the method is '{method}'.", remedy)
    if refines and attention is not None:
        segmented = snap_to_edges(image, overlapping_regions(segmented, attention, settings), attention.grid)
    step(1, 1)
    return _finish(image, segmented, regions, hints or MotionHints(), settings)


def _regions_of(masks: torch.Tensor) -> FluidRegions:
    """Several masks [B, H, W] as regions without a label, what two cover the first one's; a single one is none."""
    taken, regions = torch.zeros_like(masks[0]), []
    for number, mask in enumerate(masks, 1):
        own = (mask - taken).clamp_min(0)
        taken = torch.maximum(taken, mask)
        if (own > 0).any():
            regions.append(FluidRegion("", f"mask {number}", 1.0, own))
    return FluidRegions(tuple(regions) if len(masks) > 1 else ())


def _scaled(mask: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Given masks [B, h, w] at the image's size. Raises InputError('mask') where all are empty."""
    if not (mask > 0).any():
        raise InputError(
            "mask",
            "is empty: nothing would move.",
            "Paint what moves: right-click Load Image, 'Open in Mask Editor'. Is the mask the wrong way round? Use "
            "'Invert Mask'.",
        )
    if tuple(mask.shape[-2:]) == size:
        return mask
    return F.interpolate(mask[None], size, mode="bilinear", align_corners=False, antialias=True)[0].clamp(0, 1)


def _without_outliers(image: torch.Tensor, mask: torch.Tensor, hints: MotionHints) -> torch.Tensor:
    """``mask`` [1, H, W] without things in the fluid that stand out from it, but those that an arrow crosses."""
    fluid = mask[0].numpy() >= 0.5
    found = colour_outliers(image[0, ..., :3].float().cpu().numpy(), fluid)
    fluid &= ~found | connected_to(found, rasterise_hints(hints, *fluid.shape) == 1)
    return torch.from_numpy(fluid.astype(np.float32))[None]


def _finish(
    image: torch.Tensor, segmented: torch.Tensor, regions: FluidRegions, hints: MotionHints, settings: MaskSettings
) -> FluidMask:
    """Strokes, morphology and soft edge."""
    # Frozen pixels go first, so that their border is softened too, and last, or fill_holes and grow would cover them.
    # Pins need not go last: the flow is zero there.
    moving = add_move_strokes(segmented, hints)
    if not (moving > 0).any():
        remedy = "Draw 'move' strokes on it, or choose another method."
        raise InputError(settings.method, "finds nothing that moves.", remedy)
    drawn = apply_freeze_strokes(moving, hints)
    tidy = refine_mask(drawn, fill_holes=settings.fill_holes, min_area=settings.min_area)
    if settings.method == "hints" and settings.freeze_outliers:
        tidy = add_move_strokes(_without_outliers(image, tidy, hints), hints)
    refined = refine_mask(tidy, grow=settings.grow, feather=settings.feather)
    mask = apply_freeze_strokes(refined, hints, pins=False)
    if not (refined > 0).any() and (drawn > 0).any():
        problem = "leaves nothing that moves once grow, fill_holes and min_area are applied."
        remedy = "Draw 'move' strokes over more of the fluid, lower min_area, or raise grow."
        raise InputError(settings.method, problem, remedy)
    if not (mask > 0).any():
        remedy = "Erase some 'freeze' strokes, or draw 'move' strokes over them."
        raise InputError("hints", "freeze all that moves.", remedy)
    return FluidMask(mask, restrict_to_mask(regions, mask) if regions.regions else regions)
