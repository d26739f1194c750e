"""A real clip as ground truth: its frames, the field it moves by on average, and what of it moves at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from scripts.paths import VIDEOS
from t2c_core.errors import InputError
from t2c_core.loop.read import read_frames
from t2c_core.segment.refine import refine_mask
from t2c_core.types import MotionField

FRAMES = 144
"""After these the ocean clip cuts to another scene."""
WIDTH = 512
STRIDE = 4
"""Frames between which flow is measured: the waves move about 0.1 px a frame, too little for one step."""
LEVELS = 1.5
"""Standard deviation over time, in grey levels, from which a pixel counts as moving; the codec's noise stays below."""


def clip_path() -> Path | None:
    """The ocean clip that scripts/videos.py fetches (T2C_VIDEOS names another folder); None if it is not there."""
    path = Path(os.environ.get("T2C_VIDEOS") or VIDEOS) / "ocean.mp4"
    return path if path.is_file() else None


def load_clip(path: Path, frames: int = FRAMES, width: int = WIDTH) -> np.ndarray:
    """The first frames of a video, uint8 [T, H, W, 3], scaled down to ``width`` px (averaging areas).

    Raises InputError('path') if the video is unreadable or shorter.
    """
    clip = []
    for frame in read_frames(path):
        height = round(frame.shape[0] * width / frame.shape[1])
        clip.append(cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA))
        if len(clip) == frames:
            return np.stack(clip)
    raise InputError("path", f"'{path}' has {len(clip)} frames; {frames} are needed.")


def grey(frames: np.ndarray) -> np.ndarray:
    """uint8 luma [T, H, W] of uint8 frames [T, H, W, 3]."""
    return np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])


def flows(luma: np.ndarray, stride: int = STRIDE, every: int = 1) -> np.ndarray:
    """Optical flow [K, H, W, 2] in px/frame from frame t to t + stride, t = 0, every, 2 * every, ...

    luma: uint8 [T, H, W]. Kroeger et al., "Fast Optical Flow using Dense Inverse Search" (ECCV 2016), in OpenCV.
    Raises InputError('stride') if the clip is not longer than one stride.
    """
    if not 1 <= stride < len(luma):
        raise InputError("stride", f"is {stride}; it must lie between 1 and {len(luma) - 1}.")
    dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    starts = range(0, len(luma) - stride, every)
    return np.stack([dis.calc(luma[t], luma[t + stride], None) for t in starts]) / np.float32(stride)


def moving_mask(luma: np.ndarray, levels: float = LEVELS) -> np.ndarray:
    """float32 [H, W], 1 where the luma varies over time by ``levels`` or more; feathered, small specks and holes gone.

    A hole is fluid without contrast: smooth water shows no change though it moves. luma: uint8 [T, H, W].
    """
    steady = np.stack([cv2.GaussianBlur(frame, (0, 0), 1.0) for frame in luma])
    moving = (steady.std(axis=0, dtype=np.float32) >= levels).astype(np.uint8)
    size = max(3, luma.shape[-1] // 32) | 1
    closed = cv2.morphologyEx(moving, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
    mask = torch.from_numpy(closed.astype(np.float32))[None]
    return refine_mask(mask, fill_holes=0.01, min_area=0.005, feather=2)[0].numpy()


def mean_field(clip: np.ndarray, stride: int = STRIDE, mask: np.ndarray | None = None) -> MotionField:
    """The Eulerian field of a clip uint8 [T, H, W, 3]: its optical flow averaged over time, within `moving_mask`."""
    luma = grey(clip)
    inside = moving_mask(luma) if mask is None else mask.astype(np.float32)
    mean = flows(luma, stride).mean(axis=0) * (inside > 0)[..., None]
    return MotionField(torch.from_numpy(mean).permute(2, 0, 1)[None].contiguous(), torch.from_numpy(inside)[None])


def as_uint8(frames: Sequence[torch.Tensor]) -> np.ndarray:
    """Rendered frames [H, W, 3] in 0..1 as uint8 [N, H, W, 3]: what a file would hold, like the real clip."""
    return np.stack([(255.0 * frame.clamp(0, 1)).round().byte().cpu().numpy() for frame in frames])
