"""Cutting what must stay still out of a mask that was given."""

from __future__ import annotations

import numpy as np
import torch

from ..hints import paint_strokes
from ..types import MotionHints, Stroke

PIN_RADIUS = 0.008
"""Fraction of the picture's longer side that a pin keeps still around it, as when a mask is found from hints."""


def cut_frozen(mask: torch.Tensor, hints: MotionHints, *, pins: bool = True) -> torch.Tensor:
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
