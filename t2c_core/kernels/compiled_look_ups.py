"""Look-ups of colours with what goes along with them, on a CPU, compiled by Numba: see :mod:`.compiled`.

A pixel's numbers, up to four, are one vector of the processor's: Numba's loops would take them one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compiled import ONE, ZERO, F, U, kernel, part

MARGIN = 3
"""Pixels around a raster: the taps at its border, and one more, as vectors of three numbers hold a fourth."""
FOUR = ir.VectorType(ir.FloatType(), 4)
KEYS = ((-0.75, 1.25, -1.25, 0.75), (1.5, -2.25, 1.5, -0.75), (-0.75, 0.0, 0.75, 0.0), (0.0, 1.0, 0.0, 0.0))
"""Keys' cubic convolution, a = -0.75: of t^3, t^2, t and 1 in the weights of the taps at -1, 0, 1 and 2."""
LINEAR = ((-1.0, 1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0))
"""The same of t and 1 in those of the taps at 0 and 1."""


def _splat(builder: Any, vector: Any, lane: int) -> Any:
    lanes = ir.Constant(ir.VectorType(ir.IntType(32), 4), [lane] * 4)
    return builder.shuffle_vector(vector, ir.Constant(FOUR, ir.Undefined), lanes)


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return builder.fadd(builder.fmul(a, b, flags=("contract",)), c, flags=("contract",))


def _weights(builder: Any, coefficients: Sequence[Sequence[float]], t: Any) -> Any:
    """The polynomial of t, a vector of the taps' weights."""
    one = builder.insert_element(ir.Constant(FOUR, ir.Undefined), t, ir.Constant(ir.IntType(32), 0))
    t = _splat(builder, one, 0)
    value = ir.Constant(FOUR, list(coefficients[0]))
    for constants in coefficients[1:]:
        value = _multiply_add(builder, value, t, ir.Constant(FOUR, list(constants)))
    return value


def _taps(coefficients: Sequence[Sequence[float]], count: int, lanes: int) -> Any:
    """A function (raster [H, W, lanes], number of the first tap's pixel, fx, fy): the weighted sum of ``count`` x
    ``count`` pixels, ``lanes`` values."""

    @intrinsic
    def summed(typing, raster, first, fx, fy):
        def generate(context, builder, signature, arguments):
            array = context.make_array(signature.args[0])(context, builder, arguments[0])
            width = builder.extract_value(array.shape, 1)
            number = partial(ir.Constant, width.type)
            across, down = (_weights(builder, coefficients, t) for t in arguments[2:])
            total = ir.Constant(FOUR, [0.0] * 4)
            for row in range(count):
                line = ir.Constant(FOUR, [0.0] * 4)
                for column in range(count):
                    pixel = builder.add(arguments[1], builder.mul(width, number(row)))
                    at = builder.mul(builder.add(pixel, number(column)), number(lanes))
                    pointer = builder.bitcast(builder.gep(array.data, [at]), FOUR.as_pointer())
                    line = _multiply_add(builder, _splat(builder, across, column), builder.load(pointer, align=4), line)
                total = _multiply_add(builder, _splat(builder, down, row), line, total)
            values = [builder.extract_element(total, ir.Constant(ir.IntType(32), k)) for k in range(lanes)]
            return context.make_tuple(builder, signature.return_type, values)

        return types.UniTuple(types.float32, lanes)(raster, types.uintp, types.float32, types.float32), generate

    return summed


_bicubic = _taps(KEYS, 4, 3)
_bilinear = _taps(LINEAR, 2, 4)


def padded(raster: np.ndarray) -> np.ndarray:
    """A raster [H, W, C] with a mirror image of MARGIN px around it."""
    return np.pad(raster, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), "reflect")


@part
def _mirrored(position, size):
    """A coordinate folded into 0..size - 1 about the border pixels."""
    last = F(size - 1)
    if position < ZERO or position > last:
        period = F(2) * max(last, ONE)
        position = abs(position) % period
        position = min(position, period - position)
    return min(max(position, ZERO), last)


@part
def _pixel(position, size):
    """The pixel before a coordinate; one that is no number is in the image, too."""
    return min(max(np.int32(position), np.int32(0)), np.int32(size - 1))


@kernel
def difference(raster, positions, expected, out):
    """Mean |difference|, into out [P], of a raster [H, W, C] looked up at positions [P, 2], bilinearly and mirrored,
    and of values expected [P, C]."""
    height, width, channels = raster.shape
    for i in range(len(positions)):
        x, y = _mirrored(positions[i, 0], width), _mirrored(positions[i, 1], height)
        column, row = _pixel(x, width), _pixel(y, height)
        fx, fy = x - F(column), y - F(row)
        a, b = raster[row], raster[min(row + 1, height - 1)]
        c, d = U(column), U(min(column + 1, width - 1))
        total = ZERO
        for k in range(channels):
            upper, lower = a[c, k] + fx * (a[d, k] - a[c, k]), b[c, k] + fx * (b[d, k] - b[c, k])
            total += abs(upper + fy * (lower - upper) - expected[i, k])
        out[i] = total / F(channels)


@kernel
def look_up(colours, aux, positions, out):
    """Into out [7, P]: colours [H, W, 3] by bicubic, aux [H, W, 4] by bilinear look-up, both `padded`, at positions
    [P, 2], mirrored at the border."""
    height, width = colours.shape[0] - 2 * MARGIN, colours.shape[1] - 2 * MARGIN
    red, green, blue, a, b, c, d = out[0], out[1], out[2], out[3], out[4], out[5], out[6]
    for i in range(len(positions)):
        x, y = _mirrored(positions[i, 0], width), _mirrored(positions[i, 1], height)
        column, row = _pixel(x, width), _pixel(y, height)
        fx, fy = x - F(column), y - F(row)
        at = U(row + np.int32(MARGIN)) * U(colours.shape[1]) + U(column + np.int32(MARGIN))
        red[i], green[i], blue[i] = _bicubic(colours, at - U(colours.shape[1] + 1), fx, fy)
        a[i], b[i], c[i], d[i] = _bilinear(aux, at, fx, fy)
