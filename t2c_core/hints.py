"""What the user drew: MotionHints from and to JSON, and onto a pixel grid.

Coordinates are normalised (0..1 across width and height), so hints survive any change of the picture's size.
"""

from __future__ import annotations

import json
import math
from typing import Any

import cv2
import numpy as np

from .errors import InputError
from .settings import Setting, describe
from .types import Arrow, MotionHints, Point, Stroke

VERSION = 1
MAX_ITEMS = 2000
MAX_POINTS = 20000
MAX_TEXT = 4_000_000
# A hand may leave the image a little while drawing; farther out is a mistake worth reporting.
MIN_COORDINATE, MAX_COORDINATE = -0.5, 1.5

_ARROW, _STROKE = describe(Arrow), describe(Stroke)


def _fail(problem: str, remedy: str = "") -> InputError:
    return InputError("hints", problem, remedy)


def _setting(item: dict[str, Any], entry: Setting, where: str) -> float:
    low = -math.inf if entry.low is None else entry.low
    high = math.inf if entry.high is None else entry.high
    return _number(item.get(entry.name, entry.default), f"{where} {entry.name}", low, high)


def _number(value: Any, where: str, low: float, high: float) -> float:
    # Compared, not converted: JSON may hold whole numbers too large for a float.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e300:
        raise _fail(f"{where} must be a number, not {json.dumps(value, default=str)[:40]}.")
    if not low <= value <= high:
        raise _fail(f"{where} is {value:g}; it must lie between {low:g} and {high:g}.")
    return float(value)


def _point(value: Any, where: str) -> Point:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise _fail(f"{where} must be a pair [x, y] with both in 0..1.")
    x, y = (_number(v, f"{where} {axis}", MIN_COORDINATE, MAX_COORDINATE) for v, axis in zip(value, "xy", strict=True))
    return x, y


def _points(value: Any, where: str, fewest: int) -> tuple[Point, ...]:
    if not isinstance(value, list) or len(value) < fewest:
        raise _fail(f"{where} needs a list of at least {fewest} points [x, y].")
    return tuple(_point(p, f"{where} point {i + 1}") for i, p in enumerate(value))


def _arrow(value: Any, where: str) -> Arrow:
    if not isinstance(value, dict):
        raise _fail(f"{where} must be an object with 'points' and 'speed'.")
    points = _points(value.get("points"), where, 2)
    if all(math.dist(points[0], p) < 1e-6 for p in points[1:]):
        raise _fail(f"{where} has no length.", "Draw it longer, or use a pin for a point that stays still.")
    return Arrow(points, _setting(value, _ARROW["speed"], where))


def _stroke(value: Any, where: str) -> Stroke:
    if not isinstance(value, dict):
        raise _fail(f"{where} must be an object with 'points', 'radius' and 'mode'.")
    mode = value.get("mode", "move")
    if mode not in _STROKE["mode"].choices:
        raise _fail(f"{where} mode is {json.dumps(mode, default=str)[:40]}; it must be 'move', 'freeze' or 'erase'.")
    radius = _setting(value, _STROKE["radius"], where)
    feather = _setting(value, _STROKE["feather"], where)
    return Stroke(_points(value.get("points"), where, 1), radius, mode, feather)


def parse_hints(text: str) -> MotionHints:
    """Read hints from JSON.

    Format (version 1)::

        {"version": 1,
         "arrows":  [{"points": [[x, y], ...], "speed": 1.0}],
         "pins":    [[x, y], ...],
         "strokes": [{"points": [[x, y], ...], "radius": 0.02, "mode": "move" | "freeze" | "erase", "feather": 0.0}]}

    x, y: 0..1 across the picture; speed: px/frame at a longer side of 512 px; radius: fraction of the longer side;
    feather: 0..1, how much of the radius fades out.
    An empty text or ``{}`` means no hints. Raises InputError naming the item that is wrong.
    """
    if not text.strip():
        return MotionHints()
    if len(text) > MAX_TEXT:
        raise _fail(f"the text is {len(text) / 1e6:.1f} MB long; at most {MAX_TEXT / 1e6:.0f} MB are read.")
    try:
        data = json.loads(text.lstrip("\ufeff"))  # a byte order mark that was pasted along
    except (ValueError, RecursionError) as error:
        raise _fail(f"is not valid JSON ({error}).", "Correct it there, or start again with an empty text.") from None
    if not isinstance(data, dict):
        raise _fail("must be a JSON object with 'arrows', 'pins' and 'strokes'.")
    version = data.get("version", VERSION)
    if isinstance(version, bool) or version != VERSION:
        raise _fail(f"has version {repr(version)[:40]}; this pack reads version {VERSION}.", "Update the pack.")
    unknown = set(data) - {"version", "arrows", "pins", "strokes"}
    if unknown:
        raise _fail(f"has unknown entries: {', '.join(sorted(unknown))[:200]}.", "Known: arrows, pins, strokes.")
    lists = {}
    for name in ("arrows", "pins", "strokes"):
        lists[name] = data.get(name, [])
        if not isinstance(lists[name], list):
            raise _fail(f"'{name}' must be a list.")
        if len(lists[name]) > MAX_ITEMS:
            raise _fail(f"has {len(lists[name])} {name}; at most {MAX_ITEMS} are allowed.")
    hints = MotionHints(
        tuple(_arrow(a, f"arrow {i + 1}") for i, a in enumerate(lists["arrows"])),
        tuple(_point(p, f"pin {i + 1}") for i, p in enumerate(lists["pins"])),
        tuple(_stroke(s, f"stroke {i + 1}") for i, s in enumerate(lists["strokes"])),
    )
    total = sum(len(a.points) for a in hints.arrows) + sum(len(s.points) for s in hints.strokes)
    if total > MAX_POINTS:
        raise _fail(f"has {total} points; at most {MAX_POINTS} are allowed.", "Draw fewer or shorter lines.")
    return hints


def format_hints(hints: MotionHints) -> str:
    """The JSON that :func:`parse_hints` reads back to an equal value."""
    return json.dumps(
        {
            "version": VERSION,
            "arrows": [{"points": [list(p) for p in a.points], "speed": a.speed} for a in hints.arrows],
            "pins": [list(p) for p in hints.pins],
            "strokes": [
                {"points": [list(p) for p in s.points], "radius": s.radius, "mode": s.mode, "feather": s.feather}
                for s in hints.strokes
            ],
        }
    )


def to_pixels(points: tuple[Point, ...], height: int, width: int) -> np.ndarray:
    """Normalised points as [n, 2] float64 pixel coordinates (x, y); pixel centres are at whole numbers."""
    return np.asarray(points, np.float64) * (width, height) - 0.5


def draw_polyline(canvas: np.ndarray, points: tuple[Point, ...], radius: float, value: int = 1) -> None:
    """Draw a round-ended line of the given radius (px) into a uint8 [H, W] canvas, in place."""
    pixels = np.rint(to_pixels(points, *canvas.shape)).astype(np.int32)
    # OpenCV draws a line of an even thickness t about t + 1 pixels wide, as a circle of radius t / 2 is.
    thickness = max(1, 2 * round(radius))
    if len(pixels) == 1:
        cv2.circle(canvas, tuple(map(int, pixels[0])), max(0, round(radius)), value, -1)
    else:
        cv2.polylines(canvas, [pixels.reshape(-1, 1, 2)], False, value, thickness)


def stroke_coverage(stroke: Stroke, height: int, width: int) -> tuple[np.ndarray, tuple[slice, slice]]:
    """How much of each pixel a stroke covers, float32 in 0..1, for the part of a [height, width] grid it can touch.

    Returns the coverage and the slices of that part. Hard strokes are 0 or 1; a feathered one falls linearly from 1 at
    ``radius * (1 - feather)`` from its line to 0 at ``radius``.
    """
    radius = stroke.radius * max(height, width)
    pixels = to_pixels(stroke.points, height, width)
    reach = int(np.ceil(radius)) + 2
    low = np.clip(np.floor(pixels.min(0)) - reach, 0, (width, height)).astype(int)
    high = np.clip(np.ceil(pixels.max(0)) + reach + 1, low, (width, height)).astype(int)
    part = slice(low[1], high[1]), slice(low[0], high[0])
    if (high <= low).any():
        return np.zeros((max(0, high[1] - low[1]), max(0, high[0] - low[0])), np.float32), part
    if stroke.feather == 0:
        canvas = np.zeros((height, width), np.uint8)
        draw_polyline(canvas, stroke.points, radius)
        return canvas[part].astype(np.float32), part
    ys, xs = np.mgrid[part].astype(np.float32)
    distance = np.full(xs.shape, np.inf, np.float32)
    starts, ends = (pixels[:-1], pixels[1:]) if len(pixels) > 1 else (pixels, pixels)
    for (ax, ay), (bx, by) in zip(starts, ends, strict=True):
        dx, dy = bx - ax, by - ay
        t = np.clip(((xs - ax) * dx + (ys - ay) * dy) / max(dx * dx + dy * dy, 1e-12), 0.0, 1.0)
        np.minimum(distance, np.hypot(xs - ax - t * dx, ys - ay - t * dy), out=distance)
    return np.clip((radius - distance) / max(radius * stroke.feather, 1e-6), 0.0, 1.0).astype(np.float32), part


def paint_strokes(hints: MotionHints, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """How much each pixel was said to move and to stay: two float32 [height, width] arrays in 0..1.

    Later strokes paint over earlier ones, erasing strokes take away; the two never add up to more than 1.
    """
    move, freeze = (np.zeros((height, width), np.float32) for _ in range(2))
    for stroke in hints.strokes:
        cover, part = stroke_coverage(stroke, height, width)
        for paint, mode in ((move, "move"), (freeze, "freeze")):
            paint[part] *= 1.0 - cover
            if stroke.mode == mode:
                paint[part] += cover
    return move, freeze


def rasterise_strokes(hints: MotionHints, height: int, width: int) -> np.ndarray:
    """uint8 [H, W]: 1 where mostly move strokes lie, 2 where mostly freeze strokes do, 0 elsewhere; later ones win."""
    move, freeze = paint_strokes(hints, height, width)
    return np.where(freeze > 0.5, 2, np.where(move > 0.5, 1, 0)).astype(np.uint8)


def arrow_samples(hints: MotionHints, height: int, width: int, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Points along all arrows and the motion wanted there.

    Returns positions [n, 2] (pixels x, y; about ``spacing`` px apart, ends included) and directions times speed
    [n, 2] (px/frame at the reference size). Directions are those of the segment, averaged at its joints so that a
    bend is followed smoothly.
    """
    positions, velocities = [], []
    for arrow in hints.arrows:
        p = to_pixels(arrow.points, height, width)
        p = p[np.concatenate([[True], np.hypot(*np.diff(p, axis=0).T) > 1e-6])]
        if len(p) < 2:
            continue
        lengths = np.hypot(*np.diff(p, axis=0).T)
        tangents = np.diff(p, axis=0) / lengths[:, None]
        at_points = np.vstack([tangents[:1], tangents[:-1] + tangents[1:], tangents[-1:]])
        along = np.concatenate([[0.0], np.cumsum(lengths)])
        s = np.linspace(0.0, along[-1], max(2, int(np.ceil(along[-1] / spacing)) + 1))
        positions.append(np.column_stack([np.interp(s, along, p[:, i]) for i in (0, 1)]))
        t = np.column_stack([np.interp(s, along, at_points[:, i]) for i in (0, 1)])
        norm = np.hypot(*t.T)
        # A hairpin has opposite tangents at its tip: their average vanishes, take the segment's own there.
        own = tangents[np.clip(np.searchsorted(along, s, side="right") - 1, 0, len(tangents) - 1)]
        t = np.where(norm[:, None] > 0.1, t / np.maximum(norm, 1e-9)[:, None], own)
        velocities.append(t * arrow.speed)
    if not positions:
        return np.zeros((0, 2)), np.zeros((0, 2))
    return np.vstack(positions), np.vstack(velocities)
