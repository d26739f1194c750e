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
    """[1, 2, H, W] px/frame -> [1, H, W, 3] float32 in 0..1: the colour wheel of Baker et al., "A Database and
    Evaluation Methodology for Optical Flow" (IJCV 2011). Hue = direction, white = still, full colour = ``max_speed``
    (default: the fastest pixel); anything faster is darkened. Raises InputError('velocity' / 'max_speed').
    """
    if velocity.ndim != 4 or velocity.shape[:2] != (1, 2):
        raise InputError("velocity", f"needs shape [1, 2, H, W], not {list(velocity.shape)}.")
    if max_speed is not None and not max_speed > 0:
        raise InputError("max_speed", f"is {max_speed}; it must be above 0.")
    x, y = velocity.detach().float().cpu().numpy()[0]
    speed = np.hypot(x, y)
    radius = (speed / (max_speed or speed.max() or 1.0))[..., None]
    turn = (np.arctan2(-y, -x) / np.pi + 1.0) / 2.0 * _STEPS[-1]
    hue = np.stack([np.interp(turn, _STEPS, _CORNERS[:, c]) for c in range(3)], axis=-1)
    colour = np.where(radius <= 1.0 + 1e-6, 1.0 - radius * (1.0 - hue), 0.75 * hue)
    return torch.from_numpy(colour.clip(0.0, 1.0).astype(np.float32))[None].to(velocity.device)


def flow_preview(image: torch.Tensor, field: MotionField, *, opacity: float = 0.6, arrows: bool = True) -> torch.Tensor:
    """[1, H, W, 3] float32: the picture [1, H, W, 3] with the field's colours over it where the mask is, sparse arrows
    along the motion, and a small wheel in the corner whose rim stands for the speed written beside it.

    opacity: 0..1 of the colours. Raises InputError('image' / 'opacity').
    """
    if image.ndim != 4 or image.shape[0] != 1 or image.shape[3] != 3 or tuple(image.shape[1:3]) != field.size:
        height, width = field.size
        raise InputError("image", f"needs shape [1, {height}, {width}, 3] to fit the flow, not {list(image.shape)}.")
    if not 0.0 <= opacity <= 1.0:
        raise InputError("opacity", f"is {opacity}; it must lie between 0 and 1.")
    velocity = field.velocity.detach().float().cpu()
    mask = field.mask.detach().float().cpu()[0].numpy()
    fastest = float(torch.linalg.vector_norm(velocity[0], dim=0).max())
    weight = (mask.clip(0.0, 1.0) * opacity)[..., None]
    picture = image.detach().float().cpu()[0].numpy().clip(0.0, 1.0)
    canvas = picture * (1.0 - weight) + velocity_to_colour(velocity)[0].numpy() * weight
    canvas = np.ascontiguousarray(canvas, np.float32)
    if arrows and fastest > 0:
        _draw_arrows(canvas, velocity[0].numpy(), mask, fastest)
    if fastest > 0:
        _draw_legend(canvas, fastest)
    return torch.from_numpy(canvas)[None].to(image.device)


def _draw_arrows(canvas: np.ndarray, velocity: np.ndarray, mask: np.ndarray, fastest: float) -> None:
    """One arrow per grid cell whose centre moves; the fastest is nine tenths of a cell long."""
    height, width = mask.shape
    cell = max(16.0, max(height, width) / _ARROWS_ACROSS)
    thickness = max(1, round(max(height, width) / 700))
    for y in np.arange(cell / 2, height, cell):
        for x in np.arange(cell / 2, width, cell):
            row, column = int(y), int(x)
            motion = velocity[:, row, column]
            if mask[row, column] <= 0.5 or np.hypot(*motion) < _STILL * fastest:
                continue
            # At least a third of the cell, or slow water would show dots instead of arrows.
            length = cell * (0.35 + 0.55 * np.hypot(*motion) / fastest)
            half = motion / np.hypot(*motion) * length / 2
            _draw_arrow(canvas, (x - half[0], y - half[1]), (x + half[0], y + half[1]), thickness)


def _draw_arrow(canvas: np.ndarray, tail: tuple, tip: tuple, thickness: int) -> None:
    start, end = (tuple(round(16 * v) for v in point) for point in (tail, tip))
    for colour, width in (((0.0, 0.0, 0.0), thickness + 2), ((1.0, 1.0, 1.0), thickness)):
        _arrow_line(canvas, start, end, colour, width)


def _arrow_line(canvas: np.ndarray, start: tuple, end: tuple, colour: tuple, thickness: int) -> None:
    """An arrow in 1/16 px; OpenCV draws smooth lines on 8-bit pictures only, so blend its coverage in."""
    margin = 16 * (thickness + 8)
    reach = abs(end[0] - start[0]) + abs(end[1] - start[1])
    low = [max(0, (min(a, b) - margin - reach // 2) // 16) for a, b in zip(start, end, strict=True)]
    high = [(max(a, b) + margin + reach // 2) // 16 + 1 for a, b in zip(start, end, strict=True)]
    part = canvas[low[1] : high[1], low[0] : high[0]]
    if 0 in part.shape:
        return
    coverage = np.zeros(part.shape[:2], np.uint8)
    shift = [(p[0] - 16 * low[0], p[1] - 16 * low[1]) for p in (start, end)]
    cv2.arrowedLine(coverage, *shift, 255, thickness, cv2.LINE_AA, 4, 0.35)
    weight = coverage[..., None].astype(np.float32) / 255.0
    part += (np.array(colour, np.float32) - part) * weight


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
        canvas += (shade - canvas) * (coverage[..., None].astype(np.float32) / 255.0)
