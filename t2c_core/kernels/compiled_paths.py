"""Paths along a field and what lies beyond the fluid, on a CPU, compiled by Numba: see :mod:`.compiled`.

What :mod:`t2c_core.warp` computes in passes of torch, OpenCV and NumPy is one loop over the points here, with the same
roundings: displacements are kept in 16 bits, and one rounded the other way would show.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .compiled import F, U, kernel

INT = np.int32
ZERO, ONE, FIVE = INT(0), INT(1), INT(5)
BLOCK = 2048
"""Coordinates followed together through all frames; they stay in the nearest cache."""


def exact(function: Callable, **options: Any) -> Any:
    """A kernel with IEEE's arithmetic."""
    return kernel(function, fastmath=False, **options)


def exact_part(function: Callable) -> Any:
    return exact(function, forceinline=True)


@exact_part
def _look_up(field, points, count, out):
    """Into out: vectors of a field [H, W, 2] at ``count`` points, both x and y in turn, by bilinear look-up as
    OpenCV's of two channels: at the nearest 1/32 px, the border repeated."""
    right, bottom = INT(field.shape[1] - 1), INT(field.shape[0] - 1)
    for i in range(count):
        x, y = INT(np.rint(F(32) * points[2 * i])), INT(np.rint(F(32) * points[2 * i + 1]))
        column, row, fx, fy = x >> FIVE, y >> FIVE, F(x & INT(31)) / F(32), F(y & INT(31)) / F(32)
        a, b = U(min(max(row, ZERO), bottom)), U(min(max(row + ONE, ZERO), bottom))
        c, d = U(min(max(column, ZERO), right)), U(min(max(column + ONE, ZERO), right))
        gx, gy = F(1) - fx, F(1) - fy
        ac, ad, bc, bd = gy * gx, gy * fx, fy * gx, fy * fx
        out[2 * i] = field[a, c, 0] * ac + field[a, d, 0] * ad + field[b, c, 0] * bc + field[b, d, 0] * bd
        out[2 * i + 1] = field[a, c, 1] * ac + field[a, d, 1] * ad + field[b, c, 1] * bc + field[b, d, 1] * bd


@exact
def runge_kutta(velocity, substeps, first, out):
    """``flow_map`` by Runge-Kutta of a velocity [H, W, 2]: into out [h, W, 2], its rows from ``first`` on."""
    h = F(1 / substeps)
    half, sixth = F(0.5) * h, F(1 / (6 * substeps))
    width = out.shape[1]
    at, to, slope, total = (
        np.empty(2 * width, F),
        np.empty(2 * width, F),
        np.empty(2 * width, F),
        np.empty(2 * width, F),
    )
    for row in range(len(out)):
        for column in range(width):
            at[2 * column], at[2 * column + 1] = F(column), F(first + row)
        for _ in range(substeps):
            _look_up(velocity, at, width, total)
            for i in range(2 * width):
                to[i] = at[i] + half * total[i]
            _look_up(velocity, to, width, slope)
            for i in range(2 * width):
                total[i] += F(2) * slope[i]
                to[i] = at[i] + half * slope[i]
            _look_up(velocity, to, width, slope)
            for i in range(2 * width):
                total[i] += F(2) * slope[i]
                to[i] = at[i] + h * slope[i]
            _look_up(velocity, to, width, slope)
            for i in range(2 * width):
                at[i] += sixth * (total[i] + slope[i])
        for column in range(width):
            out[row, column, 0], out[row, column, 1] = at[2 * column] - F(column), at[2 * column + 1] - F(first + row)


@exact
def follow(flow_map, start, unit, needed, first, stop, values):
    """Columns ``first`` to ``stop`` of a ``DisplacementTable``'s values, int16 [T, 2 P], from points ``start`` [2 P]
    on, both x and y in turn, along a flow map [H, W, 2]; those that come after the frames ``needed`` [P] stay 0."""
    at, step = np.empty(BLOCK, F), np.empty(BLOCK, F)
    for begin in range(first, stop, BLOCK):
        count = min(BLOCK, stop - begin)
        origin = start[begin : begin + count]
        at[:count] = origin
        for number in range(min(needed[begin // 2 : (begin + count) // 2].max() + 2, len(values))):
            row = values[number, begin : begin + count]
            for i in range(count):
                row[i] = np.int16(INT(np.rint((at[i] - origin[i]) / unit)))
            _look_up(flow_map, at, count // 2, step)
            for i in range(count):
                at[i] += step[i]


@exact
def advance(flow_map, start, out):
    """Points ``start`` [2 P], both x and y in turn, one frame on along a flow map [H, W, 2]."""
    _look_up(flow_map, start, len(start) // 2, out)
    for i in range(len(start)):
        out[i] += start[i]


@lambda function: kernel(function, fastmath={"contract"}, forceinline=True)
def _lerp(a, b, weight):
    """As torch's, from the nearer end and rounded once."""
    near = weight < F(0.5)
    return (a if near else b) + (weight if near else weight - F(1)) * (b - a)


@exact_part
def _noise_at(noise, field, x, y):
    """The value at x, y of the field of that number."""
    x0, y0 = min(INT(x), INT(noise.shape[2] - 2)), min(INT(y), INT(noise.shape[1] - 2))
    fx, fy, a, b = x - F(x0), y - F(y0), U(y0), U(x0)
    upper = _lerp(noise[field, a, b], noise[field, a, b + U(1)], fx)
    return _lerp(upper, _lerp(noise[field, a + U(1), b], noise[field, a + U(1), b + U(1)], fx), fy)


@exact
def tick(first, stop, noise, places, state, frame, settings, out):
    """``RestartClock.at`` of points ``first`` to ``stop``: their age, frames left and share, into out [3, P].

    noise: [2 n, h, w], the fields of restarts and those of change-overs; places: [P, 2], x, y on them; state: cycles,
    number, start, end, last and rate [P], brought up to the frame; settings: (frames, jitter, dissolve).
    """
    cycles, numbers, starts, ends, last, rate = state
    frames, jitter, dissolve = settings
    most, now = INT(noise.shape[0] // 2), F(frame)
    for i in range(first, stop):
        if ends[i] <= now:
            numbers[i] += ONE
            number, start = numbers[i], ends[i]
            field, x, y = min(number, most - ONE), places[i, 0], places[i, 1]
            end = frames
            if F(number + ONE) < cycles[i]:
                shift = jitter * (F(2) * _noise_at(noise, field, x, y) - F(1))
                end = (F(number + ONE) + shift) * (F(1) / cycles[i] * frames)
            middle = _lerp(start, end, _noise_at(noise, field + most, x, y))
            last[i] = min(middle + F(0.5) * dissolve, end)
            rate[i] = F(1) / (last[i] - max(middle - F(0.5) * dissolve, start))
            starts[i], ends[i] = start, end
    for i in range(first, stop):
        out[0, i], out[1, i] = now - starts[i], ends[i] - now
        out[2, i] = min(max((last[i] - now) * rate[i], F(0)), F(1))


@exact
def folded_inwards(fluid, pixels, nearest, deepest):
    """``t2c_core.warp.extend._folded_inwards``."""
    height, width = fluid.shape
    out = np.empty(len(pixels), np.int32)
    for i in range(len(pixels)):
        y, x = divmod(pixels[i], width - 2)
        qy, qx = divmod(nearest[i], width - 2)
        d = math.hypot(qy - y, qx - x)
        ny, nx = (qy - y) / d, (qx - x) / d
        depth = 0
        while depth < deepest:
            row, column = int(np.rint(qy + ny * (depth + 1))) + 1, int(np.rint(qx + nx * (depth + 1))) + 1
            # Beyond the margin lies no fluid either.
            if row < 0 or row >= height or column < 0 or column >= width or not fluid[row, column]:
                break
            depth += 1
        period = max(2 * depth, 1)
        fold = (d - 1) % period
        inwards = min(fold, period - fold)
        out[i] = int(np.rint(qy + ny * inwards)) * (width - 2) + int(np.rint(qx + nx * inwards))
    return out
