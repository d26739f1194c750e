"""Measures of a loop's quality, in one pass over its frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized

import cv2
import numpy as np
import torch

from ..color import luma as luma_of
from ..errors import InputError
from ..geometry import fit_longest_side
from ..loop.frames import Frame, as_array
from ..types import MotionField
from .appearance import AppearanceProbe
from .motion import MotionProbe
from .report import LoopReport

_PAIRS = 8
_THUMBNAIL = 64
_SAME = 1e-6


def measure_loop(
    frames: Iterable[Frame],
    mask: Frame | None = None,
    flow: MotionField | None = None,
    source: Frame | None = None,
    *,
    coverage: torch.Tensor | None = None,
    on_frame: Callable[[int], None] = lambda done: None,
) -> LoopReport:
    """Measure a loop in one pass; only the first and the previous frame are kept.

    frames: each [H, W, 3], float 0..1 or uint8. mask: [H, W] or [1, H, W], > 0 may move, > 0.5 is measured (default:
    the flow's, else everything). flow: px/frame as played, with any speed factor already in it. source: the still
    image [H, W, 3] or [1, H, W, 3]. coverage: [1, H, W], 1 = always covered. on_frame: called with the
    number of frames that are measured; what it raises ends it. Raises InputError.
    """
    totals = LoopMeasure(frames, mask, flow, source)
    for number, frame in enumerate(frames, 1):
        totals.add(as_array(frame))
        on_frame(number)
    return totals.report(coverage)


class LoopMeasure:
    """The running totals of one pass over the frames, for who sees them one by one; arguments as of measure_loop."""

    def __init__(self, frames: Iterable[Frame], mask: Frame | None, flow: MotionField | None, source: Frame | None):
        total = len(frames) if isinstance(frames, Sized) else None
        # Every pair (t, t + 1) whose t is listed here; the last one closes the loop.
        self._pairs = None if total is None else {(i + 1) * total // _PAIRS - 1 for i in range(_PAIRS)}
        self._mask, self._flow, self._source = mask, flow, source
        self._count = 0
        self._steps: list[float] = []
        self._high: list[float] = []
        self._spread: list[float] = []
        self._sharp: list[float] = []
        self._thumbnails: list[np.ndarray] = []
        self._static_sum, self._static_max = 0.0, 0.0
        self._holes: np.ndarray = np.zeros((0, 0), bool)

    def add(self, frame: np.ndarray) -> None:
        """The next frame, float [H, W, 3] in 0..1. Raises InputError for another size."""
        holes = np.asarray(~np.isfinite(frame).all(-1))
        frame = np.nan_to_num(frame)
        luma = luma_of(frame)
        self._holes = holes if holes.shape != self._holes.shape else self._holes | holes
        if self._count == 0:
            self._begin(frame, luma)
        elif frame.shape != self._first.shape:
            raise InputError("frames", f"number {self._count} is {frame.shape}, the first {self._first.shape}.")
        else:
            self._step(self._previous, frame, self._previous_luma, luma)
        self._contrast(luma)
        self._appearance.add(frame, luma)
        if self._still.any():
            error = np.abs(frame - self._reference)[self._still]
            self._static_sum += float(error.mean(dtype=np.float64))
            self._static_max = max(self._static_max, float(error.max()))
        height, width = fit_longest_side(luma.shape[0], luma.shape[1], _THUMBNAIL)
        self._thumbnails.append(cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA))
        self._previous, self._previous_luma = frame, luma
        self._count += 1

    def _begin(self, frame: np.ndarray, luma: np.ndarray) -> None:
        height, width = luma.shape
        if self._flow is not None and self._flow.size != (height, width):
            raise InputError("flow", f"{self._flow.size} does not fit frames of {(height, width)}.")
        mask = self._flow.mask if self._mask is None and self._flow is not None else self._mask
        weights = np.ones((height, width), np.float32) if mask is None else _plane(mask, (height, width))
        self._inside, self._still = weights > 0.5, weights <= 0.0
        if not self._inside.any():
            raise InputError("mask", "is empty; there is nothing to measure.")
        self._first, self._first_luma = frame, luma
        self._reference = frame if self._source is None else _image(self._source, frame.shape)
        self._sigma = max(height, width) / 64
        velocity = None if self._flow is None else self._flow.velocity[0].detach().float().cpu().numpy()
        self._probe = MotionProbe(self._inside, velocity)
        self._appearance = AppearanceProbe(frame, weights)

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
        """The figures, once all frames are in. Raises InputError for fewer than 2."""
        if self._count < 2:
            raise InputError("frames", f"a loop needs at least 2, {self._count} came.")
        self._step(self._previous, self._first, self._previous_luma, self._first_luma)
        inner, seam = np.array(self._steps[:-1]), self._steps[-1]
        # Doubled frames must not pull the yardstick down to zero, so they do not count in the median.
        typical = float(np.median(inner[inner > 0])) if (inner > 0).any() else 0.0
        duplicates = sum(step <= _SAME * typical for step in self._steps)
        contrast, sharpness = _curve(self._high), _curve(self._sharp)
        height, width = size = self._inside.shape
        still = bool(self._still.any())
        return LoopReport(
            frames=self._count,
            height=height,
            width=width,
            seam_ratio=seam / typical if typical else None,
            worst_step_ratio=max(self._steps) / typical if typical else None,
            pace=min(self._steps) / max(self._steps) if max(self._steps) else None,
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
            motion_amount=self._probe.amount(),
            motion_error=self._probe.error(),
            drift_mean=self._appearance.drift_mean(),
            drift_worst=self._appearance.drift_worst(),
            repetition=self._appearance.repetition(),
            uncovered=float(self._holes[self._inside].mean()),
            filled=None if coverage is None else float((_plane(coverage, size)[self._inside] < 1e-3).mean()),
        )


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


def _plane(values: Frame, size: tuple[int, ...]) -> np.ndarray:
    plane = torch.as_tensor(values).detach().float().cpu().numpy()
    plane = plane / 255.0 if torch.as_tensor(values).dtype == torch.uint8 else plane
    plane = plane.reshape(plane.shape[-2:]) if plane.size == plane.shape[-2] * plane.shape[-1] else plane
    if plane.shape != tuple(size):
        raise InputError("mask", f"{list(plane.shape)} does not fit frames of {list(size)}.")
    return plane


def _image(source: Frame, shape: tuple[int, ...]) -> np.ndarray:
    image = as_array(source[0] if source.ndim == 4 else source)
    if image.shape != shape:
        raise InputError("source", f"{list(image.shape)} does not fit frames of {list(shape)}.")
    return image
