"""One frame of a loop in the forms the writers, readers and measurements need."""

from __future__ import annotations

import numpy as np
import torch

from ..devices import on_host
from ..errors import InputError

Frame = torch.Tensor | np.ndarray
"""[H, W, 3]: float in 0..1, or uint8."""


def check_frame(frame: Frame) -> None:
    """Raise InputError('frames') unless ``frame`` has shape [H, W, 3] (any non-empty size)."""
    if frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise InputError("frames", f"every frame needs shape [H, W, 3], not {list(frame.shape)}.")


def as_float(frame: Frame, *, finite: bool = True) -> torch.Tensor:
    """[H, W, 3] float32 in 0..1 on the frame's own device; values outside are clamped.

    The frame itself where it is that already. NaN and infinity raise InputError if ``finite``, otherwise NaN passes
    and no frame on a device is waited for.
    """
    check_frame(frame)
    tensor = torch.as_tensor(frame)
    if tensor.dtype == torch.uint8:
        return tensor.float() / 255.0
    tensor = tensor.detach().float()
    if not finite and not on_host(tensor):
        return tensor.clamp(0.0, 1.0)
    # Both are NaN if one value is.
    low, high = (float(value) for value in torch.aminmax(tensor))
    if low >= 0.0 and high <= 1.0:
        return tensor
    if finite and not torch.isfinite(tensor).all():
        raise InputError("frames", "a frame contains NaN or infinite values.", "Check the picture and the flow.")
    return tensor.clamp(0.0, 1.0)


def as_bytes(frame: Frame) -> np.ndarray:
    """[H, W, 3] uint8, contiguous, in main memory; rounded to nearest on the frame's device, and copied once."""
    if isinstance(frame, np.ndarray) and frame.dtype == np.uint8:
        check_frame(frame)
        return np.ascontiguousarray(frame)
    tensor = torch.as_tensor(frame)
    return (as_float(tensor, finite=on_host(tensor)) * 255.0).round().to(torch.uint8).cpu().numpy()


def as_array(frame: Frame) -> np.ndarray:
    """[H, W, 3] float32 in 0..1 in main memory; NaN passes, for who measures has to see it."""
    return as_float(frame, finite=False).cpu().numpy()
