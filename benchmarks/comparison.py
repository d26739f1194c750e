"""One animation after another measured beside the first frames of a real clip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from t2c_core.metrics.motion import MotionError
from t2c_core.types import MotionField

from . import animations, realism
from .loops import render
from .real_clip import as_uint8, grey

REAL = "real clip"
OUT_OF_STEP = "the real clip, half a loop late"
"""Only where the clip is too short for another take; its spectra and motion are not shown."""
SAMPLES = 10
"""Frames on which SSIM and FLIP are taken, evenly spread."""


@dataclass(frozen=True)
class Row:
    """Everything measured on one animation; see benchmarks.realism for units. ``spectra`` are its own, for the plot."""

    name: str
    psnr: float
    ssim: float
    flip: float
    spectrum: realism.SpectralDistance
    motion: realism.MotionDistance
    pace: float
    detail: float
    fidelity: MotionError | None
    spectra: dict[str, np.ndarray]


@dataclass(frozen=True)
class Result:
    """One length of loop: rows in the order of the table, frames by name, and the real clip's own figures."""

    frames: int
    rows: list[Row]
    clips: dict[str, np.ndarray]
    spectra: dict[str, np.ndarray]
    fidelity: MotionError | None


def candidates(
    clip: np.ndarray, field: MotionField, frames: int, loops: Mapping[str, dict[str, Any]]
) -> dict[str, np.ndarray]:
    """Name -> uint8 [N, H, W, 3] of everything that is compared with the clip's first N frames."""
    image = torch.from_numpy(clip[:1]).float() / 255
    taken = {
        "another take of the real clip": animations.second_clip(clip, frames),
        "another take, cross-faded to a loop": animations.second_clip_looped(clip, frames),
        OUT_OF_STEP: animations.phase_shifted(clip, frames) if len(clip) < 2 * frames else None,
        "frozen frame": animations.frozen(image, frames),
        "ping-pong": animations.ping_pong(image, field, frames),
    }
    found = {name: frames_ for name, frames_ in taken.items() if frames_ is not None}
    for name, options in loops.items():
        found[name] = as_uint8(render(image, field, frames, **options))
    return found


def measure(name: str, frames: np.ndarray, real: np.ndarray, inside: np.ndarray, field: MotionField) -> Row:
    """Compare uint8 frames [N, H, W, 3] with the real ones inside bool [H, W]."""
    luma, real_luma = grey(frames), grey(real)
    sample = np.unique(np.linspace(1, len(real) - 1, SAMPLES).round().astype(int))
    own = realism.spectra(luma, inside)
    moved = realism.motion(luma, inside)
    return Row(
        name,
        realism.psnr(frames, real, inside),
        realism.ssim(luma[sample], real_luma[sample], inside),
        realism.flip(frames[sample], real[sample], inside),
        realism.spectral_distance(own, realism.spectra(real_luma, inside)),
        realism.motion_distance(moved, realism.motion(real_luma, inside), inside),
        realism.pace(moved.mean, field),
        realism.detail(luma, real_luma, inside),
        realism.fidelity(luma, field),
        own,
    )


def compare(clip: np.ndarray, field: MotionField, frames: int, loops: Mapping[str, dict[str, Any]]) -> Result:
    """Render and measure everything for one length of loop; the field's mask is where it is measured."""
    real, inside = clip[:frames], field.mask[0].numpy() > 0.5
    clips = candidates(clip, field, frames, loops)
    rows = [measure(name, found, real, inside, field) for name, found in clips.items()]
    luma = grey(real)
    return Result(frames, rows, {REAL: real, **clips}, realism.spectra(luma, inside), realism.fidelity(luma, field))
