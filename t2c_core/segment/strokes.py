"""The brush strokes alone as a mask, and added to one that was found."""

from __future__ import annotations

import torch

from ..hints import paint_strokes
from ..types import MotionHints


def mask_from_strokes(hints: MotionHints, height: int, width: int) -> torch.Tensor:
    """[1, height, width] float32 in 0..1: 1 under the move strokes that no later stroke covers, fading as they do."""
    return torch.from_numpy(paint_strokes(hints, height, width)[0])[None]


def with_strokes(mask: torch.Tensor, hints: MotionHints) -> torch.Tensor:
    """``mask`` [1, H, W] (0..1) and the move strokes that no later stroke covers, together; float32 on its device."""
    if not hints.strokes:
        return mask.float()
    return torch.maximum(mask.float(), mask_from_strokes(hints, *mask.shape[-2:]).to(mask.device))
