"""Brush strokes and pins as masks, added to and cut out of a mask."""

from __future__ import annotations

import numpy as np
import torch

from ..hints import paint_strokes
from ..types import MotionHints, Stroke

PIN_RADIUS = 0.008
"""Fraction of the image's longer side that a pin keeps still around it, as when a mask is found from hints."""


def mask_from_strokes(hints: MotionHints, height: int, width: int) -> torch.Tensor:
    """Mask [1, height, width] float32 in 0..1 of the move strokes that no later stroke covers, with their feather."""
    return torch.from_numpy(paint_strokes(hints, height, width)[0])[None]


def add_move_strokes(mask: torch.Tensor, hints: MotionHints) -> torch.Tensor:
    """Maximum of ``mask`` [1, H, W] (0..1) and the move strokes; float32 on its device."""
    if not hints.strokes:
        return mask.float()
    return torch.maximum(mask.float(), mask_from_strokes(hints, *mask.shape[-2:]).to(mask.device))


def apply_freeze_strokes(mask: torch.Tensor, hints: MotionHints, *, pins: bool = True) -> torch.Tensor:
    """``mask`` [1, H, W] (0..1) set to 0 under freeze strokes that no later stroke covers, and (``pins``) round pins.

    Feathered strokes fade it. Returns a new tensor, float32 on the mask's device. Nothing is added to the mask: move
    strokes only protect.
    """
    size = mask.shape[-2:]
    still = paint_strokes(hints, *size)[1]
    if pins:
        dots = MotionHints(strokes=tuple(Stroke((pin,), PIN_RADIUS) for pin in hints.pins))
        still = np.maximum(still, paint_strokes(dots, *size)[0])
    return mask.float() * (1.0 - torch.from_numpy(still)[None].to(mask.device))
