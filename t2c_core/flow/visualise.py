"""Motion fields made visible: colour wheel, arrows, legend."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from ..errors import InputError
from ..types import MotionField

# Hue steps between red, yellow, green, cyan, blue, magenta and red again, chosen by Baker et al. to look even.
_STEPS = np.cumsum([0, 15, 6, 4, 11, 13, 6])
_CORNERS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 0, 1], [1, 0, 0]], np.float32)
_ARROWS_ACROSS = 24
_STILL = 0.02


def velocity_to_colour(velocity: torch.Tensor, max_speed: float | None = None) -> torch.Tensor:
    """Colour wheel of optical flow (Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 2011).

    velocity: [1, 2, H, W] px/frame. Returns [1, H, W, 3] float32 in 0..1: hue = direction, white = still, full colour =
    ``max_speed`` (default: the fastest pixel); anything faster is darkened.
    """
    x, y = velocity.detach().float().cpu().numpy()[0]
    speed = np.hypot(x, y)
    radius = (speed / (max_speed or speed.max() or 1.0))[..., None]
    turn = (np.arctan2(-y, -x) / np.pi + 1.0) / 2.0 * _STEPS[-1]
    hue = np.stack([np.interp(turn, _STEPS, _CORNERS[:, c]) for c in range(3)], axis=-1)
    colour = np.where(radius <= 1.0 + 1e-6, 1.0 - radius * (1.0 - hue), 0.75 * hue)
    return torch.from_numpy(colour.clip(0.0, 1.0).astype(np.float32))[None].to(velocity.device)


def flow_preview(image: torch.Tensor, field: MotionField, *, opacity: float = 0.6, arrows: bool = True) -> torch.Tensor:
    """[1, H, W, 3] float32: the image [1, H, W, 3] with the field's colours over it where the mask is, sparse arrows
    along the motion, and a small wheel in the corner whose rim stands for the speed written beside it.

    opacity: 0..1 of the colours. Raises InputError('image') for one of another size.
    """
    if tuple(image.shape) != (1, *field.size, 3):
        raise InputError("image", f"needs shape {[1, *field.size, 3]} to fit the flow, not {list(image.shape)}.")
    velocity = field.velocity.detach().float().cpu()
    mask = field.mask.detach().float().cpu()[0].numpy()
    fastest = float(torch.linalg.vector_norm(velocity[0], dim=0).max())
    weight = (mask.clip(0.0, 1.0) * opacity)[..., None]
    pixels = image.detach().float().cpu()[0].numpy().clip(0.0, 1.0)
    canvas = pixels * (1.0 - weight) + velocity_to_colour(velocity)[0].numpy() * weight
    canvas = np.ascontiguousarray(canvas, np.float32)
    if arrows and fastest > 0:
        _draw_arrows(canvas, velocity[0].numpy(), mask, fastest)
    if fastest > 0:
        _draw_legend(canvas, fastest)
    return torch.from_numpy(canvas)[None].to(image.device)


def _blend(canvas: np.ndarray, coverage: np.ndarray, shade: float) -> None:
    """OpenCV draws smooth lines on 8-bit images only: [H, W] uint8 ``coverage`` is blended in as a grey."""
    canvas += (shade - canvas) * (coverage[..., None].astype(np.float32) / 255.0)


def _draw_arrows(canvas: np.ndarray, velocity: np.ndarray, mask: np.ndarray, fastest: float) -> None:
    """One white arrow with a black outline per grid cell whose centre moves; at most nine tenths of a cell long."""
    height, width = mask.shape
    cell = max(16.0, max(height, width) / _ARROWS_ACROSS)
    thickness = max(1, round(max(height, width) / 700))
    outline, line = np.zeros((2, height, width), np.uint8)
    for y in np.arange(cell / 2, height, cell):
        for x in np.arange(cell / 2, width, cell):
            motion = velocity[:, int(y), int(x)]
            speed = np.hypot(*motion)
            if mask[int(y), int(x)] <= 0.5 or speed < _STILL * fastest:
                continue
            # At least a third of the cell, or slow water would show dots instead of arrows; in 1/16 px.
            half = motion / speed * cell * (0.35 + 0.55 * speed / fastest) / 2
            tail, tip = ([round(16 * float(v)) for v in (x, y) + sign * half] for sign in (-1, 1))
            for layer, extra in ((outline, 2), (line, 0)):
                cv2.arrowedLine(layer, tail, tip, (255,), thickness + extra, cv2.LINE_AA, 4, 0.35)
    _blend(canvas, outline, 0.0)
    _blend(canvas, line, 1.0)


def _draw_legend(canvas: np.ndarray, fastest: float) -> None:
    """The colour wheel in the lower right corner, with the speed at its rim in px/frame."""
    height, width = canvas.shape[:2]
    radius = max(height, width) // 16
    if radius < 8 or min(height, width) < 3 * radius:
        return
    axis = np.arange(-radius, radius + 1, dtype=np.float32)
    offsets = torch.from_numpy(np.stack(np.meshgrid(axis, axis))[None])
    wheel = velocity_to_colour(offsets, float(radius))[0].numpy()
    distance = torch.linalg.vector_norm(offsets[0], dim=0).numpy()
    gap = max(2, radius // 6)
    corner = canvas[height - gap - len(axis) : height - gap, width - gap - len(axis) : width - gap]
    corner += (wheel - corner) * (radius + 0.5 - distance).clip(0.0, 1.0)[..., None]
    text, font, scale = f"{fastest:.1f} px/frame", cv2.FONT_HERSHEY_SIMPLEX, radius / 60
    (text_width, text_height), _ = cv2.getTextSize(text, font, scale, 1)
    x, y = width - 2 * gap - len(axis) - text_width, height - gap
    if x < 0:
        return
    for shade, thickness in ((0.0, max(3, round(4 * scale))), (1.0, max(1, round(1.5 * scale)))):
        coverage = np.zeros((height, width), np.uint8)
        cv2.putText(coverage, text, (x, y - text_height // 4), font, scale, 255, thickness, cv2.LINE_AA)
        _blend(canvas, coverage, shade)
