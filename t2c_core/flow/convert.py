"""A motion field as a picture and back, so that other nodes and programs can store, paint or change one."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..errors import InputError
from ..settings import Settings, setting
from ..types import MotionField


@dataclass(frozen=True)
class FlowImageSettings(Settings):
    """How a motion field is stored in a picture."""

    max_speed: float = setting(
        8.0,
        "Pixels per frame that the brightest and darkest values stand for: the number Flow to Image gave.",
        low=0.0001,
        high=1024.0,
        step=0.1,
        round=0.0001,
    )


def field_to_image(field: MotionField, max_speed: float) -> torch.Tensor:
    """[1, H, W, 3] float32 in 0..1: R = 0.5 + 0.5 vx / max_speed, G = 0.5 + 0.5 vy / max_speed, B = mask.

    max_speed: px/frame that full red or green stands for, > 0. Raises InputError('max_speed') if the field is faster
    along x or y, since clamping would change the motion unseen.
    """
    scale = _checked_speed(max_speed)
    fastest = float(field.velocity.abs().max())
    if fastest > scale:
        raise InputError(
            "max_speed",
            f"is {max_speed:g} px/frame, but the flow reaches {fastest:.3f}.",
            f"Set it to {fastest:.3f} or more, and use the same number to read the picture back.",
        )
    velocity = field.velocity.float()[0] / scale * 0.5 + 0.5
    return torch.cat([velocity, field.mask.to(velocity)]).permute(1, 2, 0)[None].clamp(0.0, 1.0)


def image_to_field(image: torch.Tensor, max_speed: float, mask: torch.Tensor | None = None) -> MotionField:
    """The field that ``field_to_image`` wrote, or anything painted in its colours.

    image: [1, H, W, 3] in 0..1; max_speed: px/frame, > 0; mask: [1, H, W] or [H, W] in 0..1 instead of the blue
    channel. The velocity is zero wherever the mask is. Grey 0.5 means 'still', which 8-bit files can only store as
    128/255: there the still parts of the mask creep by max_speed / 255, so keep fields in 16-bit or float files.
    Raises InputError('image' / 'mask' / 'max_speed').
    """
    scale = _checked_speed(max_speed)
    if image.ndim != 4 or image.shape[0] != 1 or image.shape[3] != 3:
        raise InputError("image", f"needs shape [1, H, W, 3], not {list(image.shape)}.", "Use one picture.")
    pixels = image.detach().float()
    _check_range("image", pixels)
    if mask is None:
        chosen = pixels[..., 2]
    else:
        chosen = mask.detach().to(pixels).reshape(-1, *mask.shape[-2:])
        if chosen.shape != pixels.shape[:3]:
            raise InputError("mask", f"{list(mask.shape)} does not fit the {pixels.shape[2]}x{pixels.shape[1]} image.")
        _check_range("mask", chosen)
    velocity = (pixels[..., :2].permute(0, 3, 1, 2) * 2.0 - 1.0) * scale
    return MotionField(torch.where(chosen[:, None] > 0, velocity, 0.0).contiguous(), chosen.contiguous())


def _checked_speed(max_speed: float) -> float:
    if not 0.0 < max_speed < float("inf"):
        raise InputError("max_speed", f"is {max_speed}; it must be above 0.", "Give the speed that full colour means.")
    return float(max_speed)


def _check_range(name: str, values: torch.Tensor) -> None:
    if not torch.isfinite(values).all() or values.min() < -1e-4 or values.max() > 1.0 + 1e-4:
        raise InputError(name, "holds values outside 0..1.")
