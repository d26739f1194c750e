"""The brush strokes alone as a mask."""

from __future__ import annotations

import torch

from ..hints import rasterise_strokes
from ..types import MotionHints


def mask_from_strokes(hints: MotionHints, height: int, width: int) -> torch.Tensor:
    """[1, height, width] float32: 1 under the move strokes that no later freeze stroke covers, 0 elsewhere."""
    return torch.from_numpy((rasterise_strokes(hints, height, width) == 1).astype("float32"))[None]
