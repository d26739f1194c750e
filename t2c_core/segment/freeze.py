"""Cutting what must stay still out of a mask that was given."""

from __future__ import annotations

from dataclasses import replace

import torch

from ..types import MotionHints, Stroke
from .strokes import mask_from_strokes

PIN_RADIUS = 0.008
"""Fraction of the picture's longer side that a pin keeps still around it, as when a mask is found from hints."""

_OPPOSITE = {"move": "freeze", "freeze": "move"}


def cut_frozen(mask: torch.Tensor, hints: MotionHints) -> torch.Tensor:
    """``mask`` [1, H, W] (0..1) set to 0 under freeze strokes that no later move stroke covers, and round pins.

    Returns a new tensor, float32 on the mask's device. Nothing is added to the mask: move strokes only protect.
    """
    # What stays is what would move if the strokes' meanings were swapped.
    swapped = [replace(stroke, mode=_OPPOSITE[stroke.mode]) for stroke in hints.strokes]
    pins = [Stroke((pin,), PIN_RADIUS, "move") for pin in hints.pins]
    still = mask_from_strokes(MotionHints(strokes=(*swapped, *pins)), *mask.shape[-2:])
    return mask.float() * (1.0 - still.to(mask.device))
