"""Luma of Rec. 709, for NumPy arrays and torch tensors."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch

A = TypeVar("A", np.ndarray, torch.Tensor)

LUMA_WEIGHTS = (0.2126, 0.7152, 0.0722)
"""Weights of R', G', B' (Recommendation ITU-R BT.709-6, section 3.2)."""


def luma(rgb: A) -> A:
    """Y' [...] of R'G'B' [..., >= 3]; on a device without an upload."""
    red, green, blue = LUMA_WEIGHTS
    return rgb[..., 0] * red + rgb[..., 1] * green + rgb[..., 2] * blue
