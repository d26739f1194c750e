"""What every writer needs to know besides the frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch


@dataclass(frozen=True)
class Encoding:
    """height, width: px of every frame; rate: frames per second; quality: 1..100; metadata: text stored in the file.
    alpha: [H, W] uint8 of every frame, None where all is opaque.
    """

    height: int
    width: int
    rate: Fraction
    quality: int = 90
    metadata: dict[str, str] = field(default_factory=dict)
    alpha: np.ndarray | None = None


Writer = Callable[[Iterator[torch.Tensor], Path, Encoding], None]
"""Consumes frames [H, W, 3] float32 in 0..1 and leaves one complete file (or folder) at the path."""
