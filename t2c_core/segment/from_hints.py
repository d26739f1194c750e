"""Interactive segmentation of the fluid from hints: arrows, pins and brush strokes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch

from ..errors import InputError
from ..geometry import connected_to, fit_longest_side
from ..hints import draw_polyline, rasterise_strokes, to_pixels
from ..types import FluidRegion, FluidRegions, MotionHints
from .interactive.classifier import Classifier, load_classifier
from .interactive.features import resize
from .interactive.strokes import GRID_SIDE, SURE, segment_strokes
from .refine import grow_mask
from .settings import MaskSettings
from .strokes import PIN_RADIUS
from .upsample import guided_upsample, to_rgb

LINE_RADIUS = 0.0055
"""Fraction of the image's longer side."""
BORDER_DOUBT = 1 / 576
"""Part of the longer side by which the cut's border may be wrong: half a cell. A still rim of fluid is not seen, a
moving rim of rock is."""
FINER = 4
"""Pins and freeze strokes hold the grid's cells that they cover by half, measured on a grid so much finer."""


def rasterise_hints(hints: MotionHints, height: int, width: int) -> np.ndarray:
    """uint8 [H, W]: 1 under arrows and move strokes, 2 under freeze strokes and pins, 0 elsewhere."""
    longer = max(height, width)
    seeds = np.zeros((height, width), np.uint8)
    for arrow in hints.arrows:
        draw_polyline(seeds, arrow.points, LINE_RADIUS * longer, 1)
    strokes = rasterise_strokes(hints, height, width)
    seeds[strokes > 0] = strokes[strokes > 0]
    for x, y in np.rint(to_pixels(hints.pins, height, width)).astype(int) if hints.pins else ():
        cv2.circle(seeds, (int(x), int(y)), max(1, round(PIN_RADIUS * longer)), 2, -1)
    return seeds


def _strokes(hints: MotionHints, seeds: np.ndarray) -> list[np.ndarray]:
    """Each arrow's and each move stroke's pixels of ``seeds``, bool [H, W]; those without any are left out."""
    alone = [MotionHints((arrow,)) for arrow in hints.arrows]
    alone += [MotionHints(strokes=(stroke,)) for stroke in hints.strokes if stroke.mode == "move"]
    masks = [(rasterise_hints(one, *seeds.shape) == 1) & (seeds == 1) for one in alone]
    return [mask for mask in masks if mask.any()]


def segment_hints(
    image: torch.Tensor,
    hints: MotionHints,
    *,
    detail: float = MaskSettings.detail,
    classifier: Classifier | None = None,
) -> tuple[torch.Tensor, FluidRegions]:
    """The fluid's mask [1, H, W] (float32, 0 or 1) of an image [1, H, W, 3] in 0..1 from what was drawn, and its
    regions 'sky' and 'water' where the network is sure that strokes lie on a sky (none otherwise).

    A pool of minimum cuts, ranked by a classifier of sky, water and other (`interactive`); what was drawn holds, and
    connected components without a stroke are dropped.

    detail: 0.25..4, scales the grid that the mask's border is cut on: higher follows finer structures and costs more.
    classifier: by default the one with a network where the extra 'masks' is installed, else the one without.
    Raises InputError if nothing that moves was drawn.
    """
    if not (hints.arrows or any(s.mode == "move" for s in hints.strokes)):
        raise InputError("hints", "say nothing of what moves.", "Draw an arrow or a 'move' stroke on the fluid.")
    rgb = np.ascontiguousarray(to_rgb(image))
    height, width = fit_longest_side(rgb.shape[0], rgb.shape[1], GRID_SIDE, least=8)
    seeds = rasterise_hints(hints, height, width)
    finer = rasterise_hints(hints, FINER * height, FINER * width) == 2
    pinned = (resize(finer.astype(np.float32), height, width) >= 0.5) & (seeds == 2)
    strokes = _strokes(hints, seeds)
    if not strokes:
        raise InputError("hints", "lie outside the image or under freeze strokes.", "Draw on the fluid itself.")
    classifier = classifier or load_classifier()
    parts = segment_strokes(rgb, strokes, pinned, classifier, detail=detail)
    solid = guided_upsample(np.maximum.reduce([part for part, _ in parts]), rgb) > 0.5
    solid = grow_mask(solid, -BORDER_DOUBT * max(solid.shape))
    drawn = rasterise_hints(hints, *rgb.shape[:2])
    solid = connected_to((solid | (drawn == 1)) & (drawn != 2), drawn == 1)
    # The table takes dark water for sky too often to say so.
    is_sky = classifier.weights is not None and parts[0][1] >= SURE
    return torch.from_numpy(solid.astype(np.float32))[None], _regions(parts, solid) if is_sky else FluidRegions()


def mask_from_hints(image: torch.Tensor, hints: MotionHints, **options: Any) -> torch.Tensor:
    """The mask alone of :func:`segment_hints`."""
    return segment_hints(image, hints, **options)[0]


def _regions(parts: list[tuple[np.ndarray, float]], solid: np.ndarray) -> FluidRegions:
    """The regions of ``solid`` bool [H, W] by the class of each of its ``parts``."""
    # There are two parts at most, the sky first.
    sky = solid if len(parts) == 1 else solid & (resize(parts[0][0], *solid.shape) > 0.5)
    masks = (("sky", parts[0][1], sky), ("water", 1 - parts[-1][1], solid & ~sky))
    regions = [FluidRegion(label, label, score, torch.from_numpy(m.astype(np.float32))) for label, score, m in masks]
    return FluidRegions(tuple(region for region in regions if region.mask.any()))
