"""What is compared with a real clip: our loops, simple baselines by the same field, and other takes of the clip."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from t2c_core.errors import InputError
from t2c_core.loop.render import LoopRenderer
from t2c_core.types import MotionField, WarpPlan
from t2c_core.warp.layers import FluidWarp

from .real_clip import as_uint8

VARIANTS: dict[str, str] = {
    "ours, default": "",
    "ours, anchor 0": "anchor=0",
    "ours, anchor 0.4": "anchor=0.4",
    "ours, anchor 0.8": "anchor=0.8",
    "ours, anchor 1": "anchor=1",
    "ours, splat": "renderer=splat",
    "ours, bilinear integration": "integration=bilinear",
    "ours, speed 1.25": "speed=1.25",
    "ours, speed 1.5": "speed=1.5",
    "ours, anchor 0, speed 1.5": "anchor=0 speed=1.5",
    "gather, linear cross-fade": "blend=linear",
    "plain cross-fade (published)": "renderer=splat integration=nearest blend=linear",
}
"""Name -> options as `parse_options` reads them."""
OURS, PLAIN = "ours, default", "plain cross-fade (published)"

_PLAN = {field.name for field in dataclasses.fields(WarpPlan)} - {"picture", "flow", "frames", "metric", "network"}
_LOOP = set(inspect.signature(LoopRenderer.__init__).parameters) - {"self", "plan", "device"}


def parse_options(text: str) -> dict[str, Any]:
    """'anchor=0.4 renderer=splat' -> options of WarpPlan and LoopRenderer. Raises InputError('options')."""
    options: dict[str, Any] = {}
    for part in text.split():
        name, found, value = part.partition("=")
        if not found or name not in _PLAN | _LOOP:
            known = ", ".join(sorted(_PLAN | _LOOP))
            raise InputError("options", f"hold '{part}'; they are name=value with a name of {known}.")
        try:
            options[name] = float(value)
        except ValueError:
            options[name] = {"True": True, "False": False, "None": None}.get(value, value)
    return options


def loop(picture: torch.Tensor, field: MotionField, frames: int, options: Mapping[str, Any]) -> np.ndarray:
    """uint8 [N, H, W, 3]: our loop of a picture [1, H, W, 3] by a field, with options of WarpPlan and LoopRenderer."""
    plan = WarpPlan(picture, field, frames, **{k: v for k, v in options.items() if k in _PLAN})
    return as_uint8(list(LoopRenderer(plan, **{k: v for k, v in options.items() if k in _LOOP})))


def frozen(picture: torch.Tensor, frames: int) -> np.ndarray:
    """uint8 [N, H, W, 3]: the picture [1, H, W, 3], N times."""
    return np.repeat(as_uint8([picture[0]]), frames, axis=0)


def ping_pong(picture: torch.Tensor, field: MotionField, frames: int) -> np.ndarray:
    """uint8 [N, H, W, 3]: the picture [1, H, W, 3] carried forwards for N / 2 frames, then back the same way."""
    half = frames // 2
    warp = FluidWarp(WarpPlan(picture, field, half + 1))
    alpha = field.mask.reshape(-1, 1)[warp.indices]
    source = picture[0].reshape(-1, 3)[warp.indices]
    there = []
    for layers in warp.layers(warp.texture):
        frame = picture[0].clone()
        frame.view(-1, 3)[warp.indices] = torch.lerp(source, layers.forward[:, :3], alpha)
        there.append(frame)
    there[0] = picture[0]
    return as_uint8(there)[[min(i, frames - i) for i in range(frames)]]


def other_take(clip: np.ndarray, frames: int) -> np.ndarray | None:
    """The clip's last N frames, if none of them is one of the first N: an animation that is real, but another one."""
    return clip[-frames:] if len(clip) >= 2 * frames else None


def other_take_looped(clip: np.ndarray, frames: int) -> np.ndarray | None:
    """The last N frames cross-faded with the N before them into a loop ("Video Textures", Schödl et al., SIGGRAPH
    2000), in linear steps; None if that would need some of the first N // 3 frames."""
    if len(clip) < 2 * frames + frames // 3:
        return None
    late, early = clip[-frames:].astype(np.float32), clip[-2 * frames : -frames].astype(np.float32)
    share = (np.arange(frames, dtype=np.float32) / frames)[:, None, None, None]
    return (late + share * (early - late)).round().astype(np.uint8)


def turned(clip: np.ndarray, frames: int) -> np.ndarray:
    """The clip's own first N frames, begun in the middle: real, only out of step. Good for pixel measures alone, for
    its spectra and motion are the clip's own but for a cut."""
    return np.roll(clip[:frames], frames // 2, axis=0)
