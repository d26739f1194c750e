"""The default renderer's passes over the fluid's pixels on a CPU, compiled by Numba (optional: the extra ``fast``).

The formulas are those of :mod:`t2c_core.loop.blend` and :mod:`t2c_core.warp.cycles`, which choose between these
functions and torch: there every operation of a formula is a pass over memory of its own, here a formula is one loop.
All work on NumPy views of float32 tensors and hold no lock of Python's, so that tiles can be worked on side by side.

So that loops become vector instructions they run over neighbours in memory. The fluid's pixels are listed row by row: a
run is (first pixel, how many, image row, first column). A coarse grid is read between its cells along x for all columns
of the image at once, ``across`` [K, h, W], and then along y from two of its rows; sums over cells are sums over the
rows of a cell first, [K, h, W].
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

F = np.float32
U = np.uintp
"""An index of this type cannot be negative, so that none is looked for."""
ONE, HALF, ZERO = F(1), F(0.5), F(0)
FLAGS = {"reassoc", "contract", "arcp", "nsz"}
"""Sums may be reordered and divisions made products; what is not finite stays so."""


def kernel(function: Callable, **options: Any) -> Any:
    """Compiled at its first call, and kept on disk beside this file or in the user's cache where either can be
    written. Under a name of the package's own: ComfyUI imports this file by another one than the command line, and what
    is kept names its modules.
    """
    function.__qualname__ = f"{function.__name__}_{zlib.crc32(__name__.encode()):08x}"
    options = {"nogil": True, "fastmath": FLAGS, "error_model": "numpy", **options}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # Numba has found no folder to keep it in
        return njit(**options)(function)


def part(function: Callable) -> Any:
    """A part of kernels; only a loop that calls nothing is vectorised."""
    return kernel(function, forceinline=True)


@kernel
def table_positions(values, unit, points, age, rows, out):
    """``DisplacementTable.positions`` for a table of every point: values [T, R, 2] int16, points and out [P, 2]."""
    last = np.int32(values.shape[0] - 2)
    for i in range(len(age)):
        step = min(np.int32(age[i]), last)
        now, on, row = U(step), U(step + np.int32(1)), U(rows[i])
        fraction = age[i] - F(step)
        x, y = F(values[now, row, 0]), F(values[now, row, 1])
        out[i, 0] = points[i, 0] + unit * (x + fraction * (F(values[on, row, 0]) - x))
        out[i, 1] = points[i, 1] + unit * (y + fraction * (F(values[on, row, 1]) - y))


@kernel
def grid_positions(values, unit, points, age, left, top, stride, columns, out):
    """The same for a table of every ``stride``-th pixel: bilinear between its four nodes."""
    last = np.int32(values.shape[0] - 2)
    for i in range(len(age)):
        step = min(np.int32(age[i]), last)
        fraction = age[i] - F(step)
        x, y = (points[i, 0] - F(left)) / F(stride), (points[i, 1] - F(top)) / F(stride)
        column, row = np.int32(x), np.int32(y)
        x, y = x - F(column), y - F(row)
        for k in range(2):
            total = ZERO
            for corner in range(4):
                right, below = corner % 2, corner // 2
                node = U((row + below) * columns + column + right)
                weight = (x if right else ONE - x) * (y if below else ONE - y)
                first = F(values[U(step), node, k])
                total += weight * (first + fraction * (F(values[U(step) + U(1), node, k]) - first))
            out[i, k] = points[i, k] + unit * total


@kernel
def mix(pixels, weight, second, values):
    """Mix second values [K, e] by ``weight`` [e] into those of ``pixels`` [e] of values [K, m]."""
    for k in range(len(second)):
        into, of = values[k], second[k]
        for i in range(len(pixels)):
            into[pixels[i]] += weight[i] * (of[i] - into[pixels[i]])


@kernel
def read_across(grid, place, out):
    """Into out [h, W]: a grid [h, w] at the places of the image's columns [W, 2], whole and fraction."""
    last = np.int32(grid.shape[1] - 1)
    for row in range(len(grid)):
        cells, line = grid[row], out[row]
        for x in range(len(line)):
            left = np.int32(place[x, 0])
            a, b = cells[U(left)], cells[U(min(left + np.int32(1), last))]
            line[x] = a + place[x, 1] * (b - a)


@kernel
def blur(grid, window, out):
    """Into out: a grid [K, h, w] times a symmetric window [2 r + 1] along both axes; beyond the border is nothing."""
    _, height, width = grid.shape
    reach = len(window) // 2
    for k in range(len(grid)):
        lines = np.zeros((height, width), F)
        for row in range(height):
            for other in range(max(row - reach, 0), min(row + reach + 1, height)):
                weight = window[other - row + reach]
                for x in range(width):
                    lines[row, x] += weight * grid[k, other, x]
        for row in range(height):
            for x in range(width):
                out[k, row, x] = ZERO
            for shift in range(-reach, reach + 1):
                weight = window[shift + reach]
                for x in range(max(-shift, 0), width - max(shift, 0)):
                    out[k, row, x] += weight * lines[row, x + shift]


@part
def _down(across, k, upper, lower, f, x):
    """Channel k of ``across`` in column x, a fraction f from row ``upper`` to row ``lower``."""
    return across[k, upper, x] + f * (across[k, lower, x] - across[k, upper, x])


@kernel
def add_to_rows(values, runs, first, cell_row, first_row, sums):
    """Add values [K, m], of the pixels from ``first`` on, to sums [K, h, W] over the rows of the cells they are in,
    from ``first_row`` on."""
    for k in range(len(values)):
        for run in range(len(runs)):
            at, count, y, x = U(runs[run, 0] - first), runs[run, 1], runs[run, 2], U(runs[run, 3])
            row = U(cell_row[y] - first_row)
            for i in range(count):
                sums[k, row, x + U(i)] += values[k, at + U(i)]


@kernel
def subtract_coarse(rest, across, runs, place, cell_row, first_row, luma, energy):
    """Subtract from rest [3, M] the first channels of a grid, ``across`` [4, h, W]; energy [2, h, W] gets, added up as
    by ``add_to_rows``, the squares of its fourth channel and of the luma of what remains. place: [H, 2], of an image
    row on the grid, whole and fraction."""
    red, green, blue = luma
    last = across.shape[1] - 1
    for run in range(len(runs)):
        first, count, y, x = U(runs[run, 0]), runs[run, 1], runs[run, 2], U(runs[run, 3])
        upper, f = U(place[y, 0]), place[y, 1]
        lower, row = U(min(upper + 1, last)), U(cell_row[y] - first_row)
        for i in range(count):
            p, q = first + U(i), x + U(i)
            r = rest[0, p] - _down(across, 0, upper, lower, f, q)
            g = rest[1, p] - _down(across, 1, upper, lower, f, q)
            b = rest[2, p] - _down(across, 2, upper, lower, f, q)
            middle = _down(across, 3, upper, lower, f, q)
            fine = red * r + green * g + blue * b
            rest[0, p], rest[1, p], rest[2, p] = r, g, b
            energy[0, row, q] += middle * middle
            energy[1, row, q] += fine * fine


@kernel
def restore(rest, wanted, across, runs, place, source, constants, luma):
    """Give the fine band of runs of rest [3, M] its contrast and its mean; wanted [2, M] becomes the bands' gains.

    across: [6, h, W], mean colour, luma of the middle band and both variances; source: (mean [3, M], variance [2, M],
    wide mean of luma [M]), which count ``anchor``, the last one empty without; constants: (anchor, lowest gain, highest
    gain, noise floor). Returns the three sums of SourceStatistics.products.
    """
    mean, variance, around = source
    anchor, lowest, highest, floor = constants
    red, green, blue = luma
    last = across.shape[1] - 1
    alone, together, squared = 0.0, 0.0, 0.0
    for run in range(len(runs)):
        first, count, y, x = U(runs[run, 0]), runs[run, 1], runs[run, 2], U(runs[run, 3])
        upper, f = U(place[y, 0]), place[y, 1]
        lower = U(min(upper + 1, last))
        for k in range(2):
            for i in range(count):
                p, q = first + U(i), x + U(i)
                there = _down(across, 4 + k, upper, lower, f, q)
                target = wanted[k, p]
                if len(around):
                    target += anchor * (variance[k, p] - target)
                gain = math.sqrt((target + floor) / (there + floor))
                wanted[k, p] = min(max(gain, lowest), highest)
        for k in range(3):
            for i in range(count):
                p, q = first + U(i), x + U(i)
                there = _down(across, k, upper, lower, f, q)
                if len(around):
                    there += anchor * (mean[k, p] - there)
                rest[k, p] = there + wanted[1, p] * rest[k, p]
        if len(around):
            one, two, three = ZERO, ZERO, ZERO
            for i in range(count):
                p, q = first + U(i), x + U(i)
                s = red * rest[0, p] + green * rest[1, p] + blue * rest[2, p] - around[p]
                m = _down(across, 3, upper, lower, f, q) * wanted[0, p]
                one += s * s
                two += s * m
                three += m * m
            alone += one
            together += two
            squared += three
    return alone, together, squared


@kernel
def compose(rest, gains, gain, across, runs, place, source, alpha, width, frame):
    """Into a frame [H * W, 3]: source [3, M] under rest [3, M] and the middle band times gains [M] and ``gain``.

    across: [3 or more, h, W]; alpha: [M], 0..1; the result is kept within 0..1.
    """
    last = across.shape[1] - 1
    for run in range(len(runs)):
        first, count, y, x = U(runs[run, 0]), runs[run, 1], runs[run, 2], U(runs[run, 3])
        upper, f, pixel = U(place[y, 0]), place[y, 1], U(y * width) + x
        lower = U(min(upper + 1, last))
        for k in range(3):
            for i in range(count):
                p, q = first + U(i), x + U(i)
                middle = _down(across, k, upper, lower, f, q)
                colour = rest[k, p] + gain * gains[p] * middle
                value = source[k, p] + alpha[p] * (colour - source[k, p])
                frame[pixel + U(i), k] = min(max(value, ZERO), ONE)
