"""What every writer needs to know besides the frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import torch


@dataclass(frozen=True)
class Settings:
    """height, width: px of every frame; rate: frames per second; quality: 1..100; metadata: text stored in the file."""

    height: int
    width: int
    rate: Fraction
    quality: int = 90
    metadata: dict[str, str] = field(default_factory=dict)


Writer = Callable[[Iterator[torch.Tensor], Path, Settings], None]
"""Consumes frames [H, W, 3] float32 in 0..1 and leaves one complete file (or folder) at the path."""
