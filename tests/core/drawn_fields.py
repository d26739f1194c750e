"""Fields solved from drawn hints, and what is measured on them."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from t2c_core.flow.regions import FlowRegion
from t2c_core.flow.settings import FlowSettings
from t2c_core.flow.solver import solve_flow as solve
from t2c_core.hints import arrow_samples
from t2c_core.types import Arrow, MotionField, MotionHints, speed_scale


def solve_flow(image, mask, hints=None, *, angle=None, regions=None, **settings) -> MotionField:
    regions = regions or [FlowRegion(mask, angle)]
    return solve(image, mask, hints, regions=regions, settings=FlowSettings(**settings))


def grey(height: int, width: int) -> torch.Tensor:
    return torch.full((1, height, width, 3), 0.5)


def full(height: int, width: int) -> torch.Tensor:
    return torch.ones(1, height, width)


def box(height: int, width: int, rows: slice, columns: slice = np.s_[:]) -> torch.Tensor:
    mask = torch.zeros(1, height, width)
    mask[:, rows, columns] = 1
    return mask


def hints(*points: tuple[float, float], speed: float = 1.0, pins=()) -> MotionHints:
    return MotionHints((Arrow(points, speed),), tuple(pins))


def vectors(field: MotionField) -> np.ndarray:
    """[H, W, 2] px/frame."""
    return field.velocity[0].permute(1, 2, 0).numpy()


def speeds(field: MotionField) -> np.ndarray:
    return np.hypot(*np.moveaxis(vectors(field), -1, 0))


def along_arrows(field: MotionField, drawn: MotionHints, factor: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Errors of the angle (degrees) and of the speed (fraction) at every pixel's step along the arrows in the mask."""
    at, wanted = arrow_samples(drawn, *field.size, spacing=1.0)
    nearest = np.rint(at).astype(int).clip(0, np.array(field.size)[::-1] - 1)
    inside = field.mask[0].numpy()[nearest[:, 1], nearest[:, 0]] > 0
    x, y = at[inside].astype(np.float32).T
    v = np.stack([cv2.remap(c.numpy(), x[None], y[None], cv2.INTER_LINEAR)[0] for c in field.velocity[0]], 1)
    wanted = wanted[inside] * speed_scale(*field.size) * factor
    assert len(wanted) > 3
    cross = v[:, 0] * wanted[:, 1] - v[:, 1] * wanted[:, 0]
    angle = np.degrees(np.abs(np.arctan2(cross, (v * wanted).sum(1))))
    return angle, np.abs(np.hypot(*v.T) / np.hypot(*wanted.T) - 1)


def assert_arrows_are_met(field: MotionField, drawn: MotionHints, factor: float = 1.0) -> None:
    angle, speed = along_arrows(field, drawn, factor)
    assert np.median(angle) <= 5
    assert np.median(speed) <= 0.05
