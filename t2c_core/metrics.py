"""What makes a good cinemagraph, as numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sized
from dataclasses import asdict, dataclass

import cv2
import numpy as np
import torch

from .errors import InputError
from .loop.frames import Frame, as_array
from .metrics_motion import MotionError, MotionProbe
from .metrics_report import table
from .types import MotionField

_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)
_PAIRS = 8
_THUMBNAIL = 64
_SAME = 1e-6


@dataclass(frozen=True)
class LoopReport:
    """Everything is measured inside the mask unless it says 'static'. None = could not be measured.

    frames, height, width: of the loop.
    seam_ratio: the step from the last frame back to the first, over the median step inside. 1 = no seam; near 0 = the
        first frame comes twice; well above 1 = a jerk. A step is the mean absolute difference of two neighbours; the
        idea of comparing the transition with its surroundings is that of "Video
        Textures" (Schödl et al., SIGGRAPH 2000).
    worst_step_ratio: the largest step of all, the seam included, over the same median.
    duplicate_frames: frames equal to the one before, going round (a frozen loop of N has N - 1).
    palindrome: 0..1; 1 = the loop runs back over its own frames (ping-pong).
    static_error_max, static_error_mean: |frame - source| where the mask is 0, in 0..1, worst and mean over pixels and
        frames (the first frame stands in for a missing source).
    contrast_min: least standard deviation of the high-passed luma over that of frame 0. Cross-fading two unrelated
        textures takes it to 0.71 (Heitz & Neyret, "High-Performance By-Example Noise using a Histogram-Preserving
        Blending Operator", HPG 2018). contrast_curve: one value per frame. High pass = luma minus a Gaussian blur of
        sigma = longer side / 64.
    spread_min: the same for the plain luma.
    flicker: standard deviation over time of contrast_curve.
    sharpness_min, sharpness_curve: variance of the Laplacian over that of frame 0 (Pech-Pacheco et al., "Diatom
        autofocusing in brightfield microscopy", ICPR 2000).
    motion_amount: median speed found by optical flow, px/frame; a frozen picture wins every other figure but this.
    motion_error: what that flow says about the field (see MotionProbe), None without a field.
    uncovered: fraction of the mask that is no number in some frame: what neither layer covered and nothing filled.
    filled: fraction of the mask that in some frame shows continued or filled-in fluid; None without a coverage map.
    """

    frames: int
    height: int
    width: int
    seam_ratio: float | None
    worst_step_ratio: float | None
    duplicate_frames: int
    palindrome: float
    static_error_max: float | None
    static_error_mean: float | None
    contrast_min: float | None
    contrast_curve: tuple[float, ...]
    spread_min: float | None
    flicker: float | None
    sharpness_min: float | None
    sharpness_curve: tuple[float, ...]
    motion_amount: float | None
    motion_error: MotionError | None
    uncovered: float = 0.0
    filled: float | None = None

    def as_dict(self) -> dict:
        """Plain numbers, lists and None: ready for JSON."""
        return asdict(self) | {key: list(getattr(self, key)) for key in ("contrast_curve", "sharpness_curve")}

    def as_table(self) -> str:
        """One line per figure: name, value, unit, what is good."""
        return table(self)


def measure_loop(
    frames: Iterable[Frame],
    mask: Frame | None = None,
    field: MotionField | None = None,
    source: Frame | None = None,
    *,
    coverage: torch.Tensor | None = None,
) -> LoopReport:
    """Measure a loop in one pass; only the first and the previous frame are kept.

    frames: each [H, W, 3], float 0..1 or uint8. mask: [H, W] or [1, H, W], > 0 may move, > 0.5 is measured (default:
    the field's, else everything). field: px/frame as played, with any speed factor already in it. source: the still
    picture [H, W, 3] or [1, H, W, 3]. coverage: [1, H, W], 1 = always covered. Raises InputError.
    """
    passes = _Pass(frames, mask, field, source)
    for frame in frames:
        passes.add(as_array(frame))
    return passes.report(coverage)


class _Pass:
    """The running totals of one pass over the frames."""

    def __init__(self, frames: Iterable[Frame], mask: Frame | None, field: MotionField | None, source: Frame | None):
        total = len(frames) if isinstance(frames, Sized) else None
        # Every pair (t, t + 1) whose t is listed here; the last one closes the loop.
        self._pairs = None if total is None else {(i + 1) * total // _PAIRS - 1 for i in range(_PAIRS)}
        self._mask, self._field, self._source = mask, field, source
        self._count = 0
        self._steps: list[float] = []
        self._high: list[float] = []
        self._spread: list[float] = []
        self._sharp: list[float] = []
        self._thumbnails: list[np.ndarray] = []
        self._static_sum, self._static_max = 0.0, 0.0

    def add(self, frame: np.ndarray) -> None:
        holes = ~np.isfinite(frame).all(-1)
        frame = np.nan_to_num(frame)
        luma = frame @ _LUMA
        self._holes = holes if self._count == 0 or holes.shape != self._holes.shape else self._holes | holes
        if self._count == 0:
            self._begin(frame, luma)
        elif frame.shape != self._first.shape:
            raise InputError("frames", f"number {self._count} is {frame.shape}, the first {self._first.shape}.")
        else:
            self._step(self._previous, frame, self._previous_luma, luma)
        self._contrast(luma)
        if self._still.any():
            error = np.abs(frame - self._reference)[self._still]
            self._static_sum += float(error.mean(dtype=np.float64))
            self._static_max = max(self._static_max, float(error.max()))
        scale = _THUMBNAIL / max(luma.shape)
        small = (max(1, round(luma.shape[1] * scale)), max(1, round(luma.shape[0] * scale)))
        self._thumbnails.append(cv2.resize(luma, small, interpolation=cv2.INTER_AREA))
        self._previous, self._previous_luma = frame, luma
        self._count += 1

    def _begin(self, frame: np.ndarray, luma: np.ndarray) -> None:
        height, width = luma.shape
        if self._field is not None and self._field.size != (height, width):
            raise InputError("field", f"{self._field.size} does not fit frames of {(height, width)}.")
        mask = self._field.mask if self._mask is None and self._field is not None else self._mask
        weights = np.ones((height, width), np.float32) if mask is None else _plane(mask, (height, width))
        self._inside, self._still = weights > 0.5, weights <= 0.0
        if not self._inside.any():
            raise InputError("mask", "is empty; there is nothing to measure.")
        self._first, self._first_luma = frame, luma
        self._reference = frame if self._source is None else _picture(self._source, frame.shape)
        self._sigma = max(height, width) / 64
        velocity = None if self._field is None else self._field.velocity[0].detach().float().cpu().numpy()
        self._probe = MotionProbe(self._inside, velocity)

    def _step(self, before: np.ndarray, after: np.ndarray, before_luma: np.ndarray, after_luma: np.ndarray) -> None:
        """Called for pair number len(self._steps); the closing pair comes last."""
        number = len(self._steps)
        self._steps.append(float(np.abs(after - before)[self._inside].mean(dtype=np.float64)))
        if (number % _PAIRS == 0) if self._pairs is None else (number in self._pairs):
            self._probe.add(before_luma, after_luma)

    def _contrast(self, luma: np.ndarray) -> None:
        high = luma - cv2.GaussianBlur(luma, (0, 0), self._sigma)
        self._high.append(float(high[self._inside].std(dtype=np.float64)))
        self._spread.append(float(luma[self._inside].std(dtype=np.float64)))
        self._sharp.append(float(cv2.Laplacian(luma, cv2.CV_32F)[self._inside].var(dtype=np.float64)))

    def report(self, coverage: torch.Tensor | None) -> LoopReport:
        if self._count < 2:
            raise InputError("frames", f"a loop needs at least 2, {self._count} came.")
        self._step(self._previous, self._first, self._previous_luma, self._first_luma)
        inner, seam = np.array(self._steps[:-1]), self._steps[-1]
        # Doubled frames must not pull the yardstick down to zero, so they do not count in the median.
        typical = float(np.median(inner[inner > 0])) if (inner > 0).any() else 0.0
        duplicates = sum(step <= _SAME * typical for step in self._steps)
        contrast, sharpness = _curve(self._high), _curve(self._sharp)
        height, width = self._inside.shape
        still = bool(self._still.any())
        return LoopReport(
            frames=self._count,
            height=height,
            width=width,
            seam_ratio=seam / typical if typical else None,
            worst_step_ratio=max(self._steps) / typical if typical else None,
            duplicate_frames=min(duplicates, self._count - 1),
            palindrome=_palindrome(np.stack(self._thumbnails)),
            static_error_max=self._static_max if still else None,
            static_error_mean=self._static_sum / self._count if still else None,
            contrast_min=min(contrast, default=None),
            contrast_curve=contrast,
            spread_min=min(_curve(self._spread), default=None),
            flicker=float(np.std(contrast)) if contrast else None,
            sharpness_min=min(sharpness, default=None),
            sharpness_curve=sharpness,
            motion_amount=_known(self._probe.amount()),
            motion_error=self._probe.error(),
            uncovered=float(self._holes[self._inside].mean()),
            filled=None if coverage is None else self._filled(coverage),
        )

    def _filled(self, coverage: torch.Tensor) -> float:
        return float((_plane(coverage, self._inside.shape)[self._inside] < 1e-3).mean())


def _curve(values: list[float]) -> tuple[float, ...]:
    """Relative to frame 0; empty if frame 0 is flat."""
    return tuple(v / values[0] for v in values) if values[0] > 1e-12 else ()


def _palindrome(frames: np.ndarray) -> float:
    """[N, h, w] -> 0..1: how much closer each frame is to its mirror in time than to frames in general.

    A ping-pong loop has some c with frame t = frame c - t for every t (indices modulo N).
    """
    count = len(frames)
    flat = frames.reshape(count, -1)
    distance = np.stack([np.abs(flat - one).mean(axis=1) for one in flat])
    general = distance.sum() / (count * (count - 1))
    if count < 4 or general < 1e-9:
        return 0.0
    times = np.arange(count)
    # Frames that are their own mirror, or its neighbour, are close in any smooth loop and say nothing.
    return max(_mirrored(distance, times, centre, general) for centre in range(count))


def _mirrored(distance: np.ndarray, times: np.ndarray, centre: int, general: float) -> float:
    mirror = (centre - times) % len(times)
    apart = np.minimum((mirror - times) % len(times), (times - mirror) % len(times))
    far = apart >= min(3, len(times) // 2)
    return float(np.clip(1.0 - distance[times, mirror][far].mean() / general, 0.0, 1.0)) if far.any() else 0.0


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _plane(values: Frame, size: tuple[int, ...]) -> np.ndarray:
    plane = torch.as_tensor(values).detach().float().cpu().numpy()
    plane = plane / 255.0 if torch.as_tensor(values).dtype == torch.uint8 else plane
    plane = plane.reshape(plane.shape[-2:]) if plane.size == plane.shape[-2] * plane.shape[-1] else plane
    if plane.shape != tuple(size):
        raise InputError("mask", f"{list(plane.shape)} does not fit frames of {list(size)}.")
    return plane


def _picture(source: Frame, shape: tuple[int, ...]) -> np.ndarray:
    picture = as_array(source[0] if source.ndim == 4 else source)
    if picture.shape != shape:
        raise InputError("source", f"{list(picture.shape)} does not fit frames of {list(shape)}.")
    return picture
