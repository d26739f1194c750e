"""How close an animation is to a real clip: pixel by pixel, in its spectra over time, and in its motion.

Water is a texture: two takes of the same waves differ in every pixel, yet nobody could tell which is the real one.
Pixel measures cannot see that; spectra and motion statistics can.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import kornia
import numpy as np
import torch
from scipy.stats import wasserstein_distance

from t2c_core.errors import InputError
from t2c_core.metrics.motion import MotionError, MotionProbe, textured
from t2c_core.types import MotionField

from .real_clip import STRIDE, flows

BANDS = {"fine": (0.0, 1.5), "middle": (1.5, 6.0), "coarse": (6.0, 24.0)}
"""Spatial bands: differences of Gaussians of these sigmas, px; 0 is the picture itself."""
ROUNDING = 1.0 / 12.0
"""Variance, in grey levels squared, of rounding to whole levels: a power below this cannot be told from none."""
SECTORS = 24


def psnr(frames: np.ndarray, real: np.ndarray, inside: np.ndarray) -> float:
    """Peak signal to noise ratio, dB, of uint8 [N, H, W, 3] inside bool [H, W]; one mean square error for the clip."""
    error = np.mean(
        [np.square(a[inside].astype(np.float32) - b[inside]).mean() for a, b in zip(frames, real, strict=True)]
    )
    return float("inf") if error == 0 else float(10 * np.log10(255.0**2 / error))


def ssim(luma: np.ndarray, real: np.ndarray, inside: np.ndarray) -> float:
    """Structural similarity (Wang et al., IEEE TIP 2004; window 11) of uint8 luma [N, H, W], mean over bool [H, W]."""
    pairs = [torch.from_numpy(x).float()[:, None] / 255 for x in (luma, real)]
    values = [
        kornia.metrics.ssim(a[None], b[None], 11)[0, 0].numpy()[inside].mean() for a, b in zip(*pairs, strict=True)
    ]
    return float(np.mean(values))


def flip(frames: np.ndarray, real: np.ndarray, inside: np.ndarray) -> float:
    """Mean FLIP, 0..1 (Andersson et al., "FLIP: A Difference Evaluator for Alternating Images", HPG 2020): how
    different two pictures look when one flips between them, from a model of contrast sensitivity; no weights.

    frames, real: uint8 [N, H, W, 3]. NaN where the package flip-evaluator is not installed.
    """
    try:
        from flip_evaluator import evaluate
    except ImportError:
        return float("nan")
    values = []
    for a, b in zip(frames, real, strict=True):
        reference, test = (np.ascontiguousarray(x, np.float32) / 255 for x in (b, a))
        errors, _, _ = evaluate(reference, test, "LDR", applyMagma=False, computeMeanError=False)
        values.append(np.asarray(errors).reshape(*inside.shape, -1)[inside].mean())
    return float(np.mean(values))


def band(luma: np.ndarray, name: str) -> np.ndarray:
    """float32 [N, H, W]: one of BANDS of uint8 luma [N, H, W], in grey levels."""
    low, high = BANDS[name]

    def smooth(frame: np.ndarray, sigma: float) -> np.ndarray:
        return cv2.GaussianBlur(frame, (0, 0), sigma) if sigma else frame

    return np.stack([smooth(f, low) - smooth(f, high) for f in luma.astype(np.float32)])


def temporal_spectrum(values: np.ndarray) -> np.ndarray:
    """Power [N // 2 + 1] per temporal frequency 0, 1/N, ..., averaged over pixels; values: [N, P].

    Each pixel's mean is taken off and a Hann window put on, or the jump from a real clip's last frame to its first
    would pass for motion (Welch, IEEE Trans. Audio Electroacoust. 1967, one segment). One-sided; the sum over
    frequencies is the variance over time.
    """
    count = len(values)
    window = np.hanning(count + 1)[:-1].astype(np.float32)
    power = np.zeros(count // 2 + 1)
    for part in np.array_split(values, max(1, values.shape[1] // 8192), axis=1):
        spectrum = np.fft.rfft((part - part.mean(axis=0)) * window[:, None], axis=0)
        power += np.square(np.abs(spectrum)).sum(axis=1)
    power /= values.shape[1] * count * np.square(window).sum()
    power[1 : (count + 1) // 2] *= 2
    return power


def octaves(power: np.ndarray) -> np.ndarray:
    """Mean power of the bins 1, 2-3, 4-7, 8-15, ... of a spectrum: every octave counts the same."""
    edges = [2**k for k in range(len(power).bit_length()) if 2**k < len(power)]
    return np.array([power[start : min(2 * start, len(power))].mean() for start in edges])


def spectra(luma: np.ndarray, inside: np.ndarray) -> dict[str, np.ndarray]:
    """`temporal_spectrum` of each of BANDS of uint8 luma [N, H, W] inside bool [H, W], grey levels squared."""
    return {name: temporal_spectrum(band(luma, name)[:, inside]) for name in BANDS}


def decibels(power: np.ndarray, real: np.ndarray) -> np.ndarray:
    """10 log10 of power over real power, octave by octave, both above the noise of rounding."""
    if len(power) != len(real):
        raise InputError("frames", f"give {len(power)} frequencies, the real clip {len(real)}.")
    floor = ROUNDING / (len(real) - 1)
    return 10 * np.log10((octaves(power) + floor) / (octaves(real) + floor))


@dataclass(frozen=True)
class SpectralDistance:
    """Against the real clip, dB: ``bands`` mean absolute difference over octaves in each band, ``mean`` over bands,
    ``level`` mean signed difference (negative: too little happens)."""

    bands: dict[str, float]
    mean: float
    level: float


def spectral_distance(test: dict[str, np.ndarray], real: dict[str, np.ndarray]) -> SpectralDistance:
    """Log-spectral distance (Gray & Markel, IEEE Trans. ASSP 1976; here the mean of absolute values) of `spectra`."""
    differences = {name: decibels(test[name], real[name]) for name in real}
    bands = {name: float(np.abs(d).mean()) for name, d in differences.items()}
    level = float(np.mean([d.mean() for d in differences.values()]))
    return SpectralDistance(bands, float(np.mean(list(bands.values()))), level)


@dataclass(frozen=True)
class Motion:
    """Optical flow of a clip inside its mask. speeds: px/frame of every textured pixel and pair, sorted as found.
    directions: [SECTORS] share of the motion (speed-weighted) going each way, sums to 1. mean: [H, W, 2] px/frame."""

    speeds: np.ndarray
    directions: np.ndarray
    mean: np.ndarray


def motion(luma: np.ndarray, inside: np.ndarray, stride: int = STRIDE, every: int = 2) -> Motion:
    """Measure `flows` of uint8 luma [N, H, W] on textured pixels inside bool [H, W] (on all, if none has texture)."""
    found = flows(luma, stride, every)
    chosen = []
    for number, flow in enumerate(found):
        judged = inside & textured(luma[number * every])
        chosen.append(flow[judged if judged.any() else inside])
    velocities = np.concatenate(chosen)
    speeds = np.hypot(*velocities.T)
    angles = np.arctan2(velocities[:, 1], velocities[:, 0])
    sectors = np.histogram(angles, SECTORS, (-np.pi, np.pi), weights=speeds)[0]
    return Motion(speeds, sectors / max(sectors.sum(), 1e-12), found.mean(axis=0))


@dataclass(frozen=True)
class MotionDistance:
    """speed: earth mover's distance between the distributions of speed, px/frame. direction: 0..1, the share of motion
    that goes other ways than the real one (total variation). endpoint: median px/frame between the mean motions."""

    speed: float
    direction: float
    endpoint: float


def motion_distance(test: Motion, real: Motion, inside: np.ndarray) -> MotionDistance:
    """Between the motion of an animation and of the real clip, inside bool [H, W]."""
    # A still picture moves in no direction, so none of its motion goes the right way.
    still = test.directions.sum() == 0
    direction = 1.0 if still else 0.5 * float(np.abs(test.directions - real.directions).sum())
    apart = np.hypot(*(test.mean - real.mean)[inside].T)
    return MotionDistance(float(wasserstein_distance(test.speeds, real.speeds)), direction, float(np.median(apart)))


def fidelity(luma: np.ndarray, field: MotionField, stride: int = STRIDE, every: int = 2) -> MotionError | None:
    """How far flow measured on uint8 luma [N, H, W] is from the field, px/frame and degrees (`MotionProbe`)."""
    probe = MotionProbe(field.mask[0].numpy() > 0.5, stride * field.velocity[0].numpy())
    for t in range(0, len(luma) - stride, every):
        probe.add(luma[t] / np.float32(255), luma[t + stride] / np.float32(255))
    error = probe.error()
    return error and MotionError(error.endpoint / stride, error.angle, error.pixels)


def pace(mean: np.ndarray, field: MotionField) -> float:
    """Speed along the field over the field's own, in the least-squares sense; 1 = as fast as asked, 0 = still.

    mean: [H, W, 2] px/frame, as `Motion` has it; inside the field's mask. NaN for a field that moves nowhere.
    """
    inside = field.mask[0].numpy() > 0.5
    wanted, found = field.velocity[0].permute(1, 2, 0).numpy()[inside], mean[inside]
    square = float((wanted**2).sum())
    return float((found * wanted).sum()) / square if square else float("nan")


def detail(luma: np.ndarray, real: np.ndarray, inside: np.ndarray) -> float:
    """Least contrast of the fine and middle bands together in any frame, over the real clip's mean; 1 = as sharp."""

    def contrast(clip: np.ndarray) -> np.ndarray:
        return np.stack([(f - cv2.GaussianBlur(f, (0, 0), 6.0))[inside].std() for f in clip.astype(np.float32)])

    return float(contrast(luma).min() / contrast(real).mean())
