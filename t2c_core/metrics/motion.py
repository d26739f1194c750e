"""Does it move the way it was asked to? Optical flow of the finished frames against the field."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_SLOWEST = 0.25
_TEXTURE = 2.0
_EDGE = 6
_FEWEST_PIXELS = 50


@dataclass(frozen=True)
class MotionError:
    """endpoint: median px; angle: median degrees between the directions; pixels: how many could be judged."""

    endpoint: float
    angle: float
    pixels: int


class MotionProbe:
    """Collects flow between pairs of frames.

    Flow: Kroeger et al., "Fast Optical Flow using Dense Inverse Search" (ECCV 2016), in OpenCV. Endpoint error: "A
    Database and Evaluation Methodology for Optical Flow" (Baker et al., IJCV 2011), section 4.1; the angle is the plain
    one between the directions, not Barron's in space-time, because it is easier to read. Only pixels that optical flow
    can judge count: those at least 6 px inside the mask and the picture, with texture in every direction (the smaller
    eigenvalue of the structure tensor; Shi and Tomasi, "Good Features to Track", CVPR 1994), and, for the errors, where
    the field is faster than 0.25 px/frame.
    """

    def __init__(self, inside: np.ndarray, velocity: np.ndarray | None) -> None:
        """inside: bool [H, W]; velocity: [2, H, W] px/frame as played (speed included), or None.

        ``step`` [2, H, W] is how far it takes a particle in one frame (px).
        """
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _EDGE + 1, 2 * _EDGE + 1))
        eroded = cv2.erode(inside.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
        self._inside = eroded.astype(bool) if eroded.any() else inside
        self.step = None if velocity is None else _one_step(velocity)
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._speeds: list[np.ndarray] = []
        self._endpoint: list[np.ndarray] = []
        self._angle: list[np.ndarray] = []

    @property
    def judged(self) -> np.ndarray:
        """bool [H, W]: well inside the mask, and moving where there is a field."""
        return self._inside if self.step is None else self._inside & (np.hypot(*self.step) > _SLOWEST)

    def add(self, earlier: np.ndarray, later: np.ndarray) -> None:
        """Two successive luma pictures [H, W] float32 in 0..1."""
        first, second = ((255.0 * luma).round().astype(np.uint8) for luma in (earlier, later))
        if min(first.shape) < 16:
            return
        flow = self._dis.calc(first, second, None)  # pyright: ignore[reportCallIssue, reportArgumentType]
        judged = self._inside & textured(first)
        if np.count_nonzero(judged) < _FEWEST_PIXELS:
            judged = self._inside
        self._speeds.append(np.hypot(*flow[judged].T))
        if self.step is None:
            return
        judged = judged & (np.hypot(*self.step) > _SLOWEST)
        found, wanted = flow[judged].T, self.step[:, judged]
        self._endpoint.append(np.hypot(*(found - wanted)))
        turn = np.arctan2(found[1], found[0]) - np.arctan2(wanted[1], wanted[0])
        self._angle.append(np.abs(np.degrees(np.arctan2(np.sin(turn), np.cos(turn)))))

    def amount(self) -> float | None:
        """Median speed inside the mask, px/frame; None if nothing was measured."""
        return float(np.median(np.concatenate(self._speeds))) if self._speeds else None

    def error(self) -> MotionError | None:
        """None without a field, or when nothing could be judged."""
        pixels = sum(part.size for part in self._endpoint)
        if not pixels:
            return None
        endpoint, angle = (float(np.median(np.concatenate(parts))) for parts in (self._endpoint, self._angle))
        return MotionError(endpoint, angle, pixels)


def textured(image: np.ndarray) -> np.ndarray:
    """bool [H, W]: where the weakest direction's root-mean-square slope is at least 2 grey levels per px (uint8 in)."""
    # OpenCV's eigenvalue is the mean over the window of the squared slope across two pixels.
    return cv2.cornerMinEigenVal(image.astype(np.float32), 9, ksize=3) >= (2.0 * _TEXTURE) ** 2


def _one_step(velocity: np.ndarray) -> np.ndarray:
    """How far a particle really gets in one frame (midpoint rule), so that a curved path is not counted as an error."""
    height, width = velocity.shape[1:]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    half_x, half_y = x + velocity[0] / 2, y + velocity[1] / 2
    step = [cv2.remap(v, half_x, half_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for v in velocity]
    return np.stack(step)
