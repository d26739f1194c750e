"""A loop whose places run at different phases: no moment is mid-loop everywhere."""

from __future__ import annotations

import cv2
import numpy as np
import torch

WAVE = 0.25
"""Size of the phase's waves, as a fraction of the longer side."""


def phase(height: int, width: int, seed: int = 0) -> np.ndarray:
    """[height, width] float32 in 0..1: a random phase, smooth, because texture must not tear where it differs."""
    sigma = WAVE * max(height, width) / 2
    noise = np.random.default_rng(seed).standard_normal((height, width)).astype(np.float32)
    small = cv2.resize(noise, (max(8, int(8 * width / sigma)), max(8, int(8 * height / sigma))))
    smooth = cv2.resize(cv2.GaussianBlur(small, (0, 0), 4), (width, height), interpolation=cv2.INTER_CUBIC)
    return (smooth - smooth.min()) / (smooth.max() - smooth.min())


def stagger(frames: list[torch.Tensor], seed: int = 0) -> list[torch.Tensor]:
    """Frames [H, W, 3] of a loop with each pixel ahead by its phase; between two frames they are mixed."""
    stack = torch.stack(frames)
    count, height, width = stack.shape[:3]
    ahead = torch.from_numpy(phase(height, width, seed)) * count
    whole = ahead.floor().long()
    part = (ahead - whole)[..., None]
    out = []
    for i in range(count):
        first, second = ((whole + i + k) % count for k in (0, 1))
        picked = [stack.gather(0, f[None, ..., None].expand(1, height, width, 3))[0] for f in (first, second)]
        out.append(torch.lerp(*picked, part))
    return out
