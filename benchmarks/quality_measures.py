"""How a loop is judged beside others: t2c_core.metrics, and what compares unequally sharp loops fairly."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from t2c_core.color import luma
from t2c_core.loop.frames import as_bytes
from t2c_core.metrics.measure import measure_loop
from t2c_core.metrics.motion import MotionProbe
from t2c_core.metrics.report import LoopReport

from .quality_scenes import Scene

_EVERY = 5
_DETAIL = 4.0
"""Standard deviation (px) of the blur that is taken off before frames are compared."""


@dataclass(frozen=True)
class QualityReport:
    """report: all of t2c_core.metrics. pace: lowest step (mean change from frame to frame) over the highest, seam
    included; 1 = the water always moves alike.

    moved: the part of the still picture's detail that goes where the field takes it, least over the loop: energy of
    frame t less the energy of (frame t + 1 read where the field takes each pixel, minus frame t), over the energy of
    the source, all without what is coarser than 4 px. 1 = as much detail moves, and as the field says, as the picture
    has. Detail that a cross-fade wipes out does not move, nor does what fades in and out, or stands still.
    unexplained: the latter alone, that difference's energy over the frame's own, mean over pairs: the normalised
    interpolation error of "A Database and Evaluation Methodology for Optical Flow" (Baker et al., IJCV 2011), section
    4.2, of frames under a known flow. A blurred loop has less to explain, and its blur is easier to interpolate.
    first: mean |frame 0 - source|, levels of 255.
    """

    report: LoopReport
    pace: float
    moved: float
    unexplained: float
    first: float


def judge(frames: list[torch.Tensor], scene: Scene) -> QualityReport:
    """Judge a loop's frames [H, W, 3] in 0..1, all in memory."""
    report = measure_loop(frames, scene.field.mask, scene.played, scene.image[0])
    inside = scene.field.mask[0].numpy() > 0.5
    steps = [
        float((frames[(i + 1) % len(frames)] - frame).abs().numpy()[inside].mean()) for i, frame in enumerate(frames)
    ]
    first = 255 * float((frames[0] - scene.image[0]).abs().mean())
    return QualityReport(report, min(steps) / max(steps), *motion_compensated_energy(frames, scene), first)


def motion_compensated_energy(frames: list[torch.Tensor], scene: Scene) -> tuple[float, float]:
    """``moved`` and ``unexplained`` of :class:`QualityReport`, of every fifth pair of frames."""
    velocity = scene.played.velocity[0].numpy()
    probe = MotionProbe(scene.field.mask[0].numpy() > 0.5, velocity)
    # What is slower than the probe can tell from standing still is judged all the same: its detail has to stay.
    judged = probe.judged if probe.judged.any() else (scene.field.mask[0].numpy() > 0.5) & (velocity != 0).any(0)
    height, width = judged.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    source = (_detail(scene.image[0])[judged] ** 2).mean()
    moved, ratios = [], []
    for t in range(2, len(frames), _EVERY):
        now, after = (_detail(frames[i % len(frames)]) for i in (t, t + 1))
        carried = cv2.remap(after, x + probe.step[0], y + probe.step[1], cv2.INTER_CUBIC)
        residual, energy = ((carried - now)[judged] ** 2).mean(), (now[judged] ** 2).mean()
        moved.append(float((energy - residual) / max(source, 1e-9)))
        ratios.append(float(residual / max(energy, 1e-9)))
    return min(moved), float(np.mean(ratios))


def _detail(frame: torch.Tensor) -> np.ndarray:
    """[H, W]: luma of a frame as 8 bits hold it, without what is coarser than _DETAIL."""
    values = luma(as_bytes(frame).astype(np.float32))
    return values - cv2.GaussianBlur(values, (0, 0), _DETAIL)
