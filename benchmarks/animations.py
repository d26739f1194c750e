"""What is compared with a real clip besides our loops: simple baselines by the same field, other takes of the clip."""

from __future__ import annotations

import numpy as np
import torch

from t2c_core.types import MotionField
from t2c_core.warp.layers import FluidWarp
from t2c_core.warp.plan import WarpPlan, WarpSettings

from .real_clip import as_uint8


def frozen(image: torch.Tensor, frames: int) -> np.ndarray:
    """uint8 [N, H, W, 3]: the picture [1, H, W, 3], N times."""
    return np.repeat(as_uint8([image[0]]), frames, axis=0)


def ping_pong(image: torch.Tensor, field: MotionField, frames: int) -> np.ndarray:
    """uint8 [N, H, W, 3]: the picture [1, H, W, 3] carried forwards for N / 2 frames, then back the same way."""
    half = frames // 2
    warp = FluidWarp(WarpPlan(image, field, WarpSettings(half + 1)))
    alpha = field.mask.reshape(-1, 1)[warp.indices]
    source = image[0].reshape(-1, 3)[warp.indices]
    there = []
    for layers in warp.layers(warp.texture):
        frame = image[0].clone()
        frame.view(-1, 3)[warp.indices] = torch.lerp(source, layers.forward.T, alpha)
        there.append(frame)
    there[0] = image[0]
    return as_uint8(there)[[min(i, frames - i) for i in range(frames)]]


def second_clip(clip: np.ndarray, frames: int) -> np.ndarray | None:
    """The clip's last N frames, if none of them is one of the first N: an animation that is real, but another one."""
    return clip[-frames:] if len(clip) >= 2 * frames else None


def second_clip_looped(clip: np.ndarray, frames: int) -> np.ndarray | None:
    """The last N frames cross-faded with the N before them into a loop ("Video Textures", Schödl et al., SIGGRAPH
    2000), in linear steps; None if that would need some of the first N // 3 frames."""
    if len(clip) < 2 * frames + frames // 3:
        return None
    late, early = clip[-frames:].astype(np.float32), clip[-2 * frames : -frames].astype(np.float32)
    share = (np.arange(frames, dtype=np.float32) / frames)[:, None, None, None]
    return (late + share * (early - late)).round().astype(np.uint8)


def phase_shifted(clip: np.ndarray, frames: int) -> np.ndarray:
    """The clip's own first N frames, begun in the middle: real, only out of step. Good for pixel measures alone, for
    its spectra and motion are the clip's own but for a cut."""
    return np.roll(clip[:frames], frames // 2, axis=0)
