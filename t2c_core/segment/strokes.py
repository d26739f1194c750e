"""The brush strokes alone as a mask."""

from __future__ import annotations

import torch

from ..hints import paint_strokes
from ..types import MotionHints


def mask_from_strokes(hints: MotionHints, height: int, width: int) -> torch.Tensor:
    """[1, height, width] float32 in 0..1: 1 under the move strokes that no later stroke covers, fading as they do."""
    return torch.from_numpy(paint_strokes(hints, height, width)[0])[None]
