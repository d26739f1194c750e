"""Look-ups of colours with what goes along with them, and their cross-fade, on a CPU, compiled by Numba.

See :mod:`.compiled`. A pixel's numbers, up to four, are one vector of the processor's: Numba's loops would take them
one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compiled import HALF, ONE, ZERO, F, U, kernel, part

HALF_PI, TWO_PI = F(np.pi / 2), F(2 * np.pi)
LN2, PER_LN2, ROOT_HALF = F(np.log(2)), F(1 / np.log(2)), F(np.sqrt(0.5)).view(np.int32)
BLOCK = 1024
"""Points looked up and cross-faded together; they stay in the nearest caches."""
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
    """Into out [7, P or more]: colours [H, W, 3] by bicubic, aux [H, W, 4] by bilinear look-up, both `padded`, at
    positions [P, 2], mirrored at the border."""
    height, width = colours.shape[0] - 2 * MARGIN, colours.shape[1] - 2 * MARGIN
    red, green, blue, a, b, c, d = out[0], out[1], out[2], out[3], out[4], out[5], out[6]
    for i in range(len(positions)):
        x, y = _mirrored(positions[i, 0], width), _mirrored(positions[i, 1], height)
        column, row = _pixel(x, width), _pixel(y, height)
        fx, fy = x - F(column), y - F(row)
        at = U(row + np.int32(MARGIN)) * U(colours.shape[1]) + U(column + np.int32(MARGIN))
        red[i], green[i], blue[i] = _bicubic(colours, at - U(colours.shape[1] + 1), fx, fy)
        a[i], b[i], c[i], d[i] = _bilinear(aux, at, fx, fy)


@part
def _log(x):
    """log x of a positive, normal float32, to 1e-6: 2 artanh((m - 1) / (m + 1)), m of sqrt(1 / 2)..sqrt(2)."""
    bits = F(x).view(np.int32) - ROOT_HALF
    m = np.int32((bits & np.int32(0x7FFFFF)) + ROOT_HALF).view(F)
    s = (m - ONE) / (m + ONE)
    q = s * s
    series = ONE + q * (F(1 / 3) + q * (F(1 / 5) + q * (F(1 / 7) + q * F(1 / 9))))
    return F(bits >> np.int32(23)) * LN2 + F(2) * s * series


@part
def _exp(x):
    """exp x of -80..80, to 5e-7 of itself."""
    x = min(max(x, F(-80)), F(80))
    n = np.int32(x * PER_LN2 + F(128.5)) - np.int32(1)
    r = x - F(n - np.int32(127)) * LN2
    series = ONE + r * (ONE + r * (HALF + r * (F(1 / 6) + r * (F(1 / 24) + r * (F(1 / 120) + r * F(1 / 720))))))
    return series * np.int32(n << np.int32(23)).view(F)


@part
def _sin(x):
    """sin x of -pi / 2..pi / 2, to 1e-7."""
    q = x * x
    series = F(1 / 120) - q * (F(1 / 5040) - q * (F(1 / 362880) - q * F(1 / 39916800)))
    return x * (ONE - q * (F(1 / 6) - q * series))


@part
def _log_weights(aux, look, begin, per_spread, trust, real, farthest, floor, out):
    """``LayerConfidence._log_weight`` of auxiliary channels [4, m]; look: mean and logarithms of both variances [3, M]
    of the source, from ``begin`` on, or empty where no pixel has a look."""
    low, high, mean, within = aux[0], aux[1], aux[2], aux[3]
    for i in range(len(out)):
        out[i] = min(max(within[i], ZERO), ONE) * real
    if look.shape[1]:
        own_mean, own_low, own_high = look[0, begin:], look[1, begin:], look[2, begin:]
        for i in range(len(out)):
            away = (mean[i] - own_mean[i]) * per_spread
            a = _log(max(low[i], ZERO) + floor) - own_low[i]
            b = _log(max(high[i], ZERO) + floor) - own_high[i]
            out[i] -= trust * min(away * away + F(0.125) * (a * a + b * b), farthest)


@kernel
def _fade(layers, begin, share, look, per_spread, angle, constants, colours, wanted):
    """Cross-fade two layers [2, 7, m or more], colours and auxiliary channels, into colours [3, M] and variances
    [2, M], from ``begin`` on; the others are those of ``faded``."""
    trust, real, farthest, floor, ease = constants
    count = len(share)
    weight, other = np.empty(count, F), np.empty(count, F)
    _log_weights(layers[0, 3:], look, begin, per_spread, trust, real, farthest, floor, weight)
    _log_weights(layers[1, 3:], look, begin, per_spread, trust, real, farthest, floor, other)
    for i in range(count):
        odds = _exp(weight[i] - other[i]) * share[i]
        weight[i] = odds / (odds + (ONE - share[i]))
    if len(angle):
        for i in range(count):
            first, second = _sin(weight[i] * angle[i]), _sin((ONE - weight[i]) * angle[i])
            weight[i] = first / (first + second)
    else:
        for i in range(count):
            gone = ONE - weight[i]
            half = gone - HALF  # sin(2 pi gone) = -sin(2 pi half), and the same for half's mirror image about 1 / 4
            half = half if abs(half) <= F(0.25) else (HALF - half if half > ZERO else -HALF - half)
            at = (gone - ease / TWO_PI * _sin(TWO_PI * half)) * HALF_PI
            first, second = _sin(HALF_PI - at), _sin(at)
            weight[i] = first / (first + second)
    for k in range(3):
        forward, backward, out = layers[0, k], layers[1, k], colours[k, begin:]
        for i in range(count):
            out[i] = backward[i] + weight[i] * (forward[i] - backward[i])
    for k in range(2):
        forward, backward, out = layers[0, 3 + k], layers[1, 3 + k], wanted[k, begin:]
        for i in range(count):
            out[i] = max(backward[i] + weight[i] * (forward[i] - backward[i]), ZERO)


@kernel
def faded(colours, aux, forward, backward, share, look, per_spread, angle, constants, out, wanted):
    """Cross-fade the layers that are looked up at positions forward and backward [P, 2]: colours, into out [3, P], and
    variances, into wanted [2, P].

    share: [P] the forward layer's; look: mean and logarithms of both variances [3, P] of the source, or empty where no
    pixel has a look; angle: [P], or empty for the single long cross-fade; constants: (trust, REAL, FARTHEST, FLOOR,
    EASE).
    """
    layers = np.empty((2, 7, BLOCK), F)
    for first in range(0, len(forward), BLOCK):
        stop = min(first + BLOCK, len(forward))
        look_up(colours, aux, forward[first:stop], layers[0])
        look_up(colours, aux, backward[first:stop], layers[1])
        turn = angle[first:stop] if len(angle) else angle
        _fade(layers, first, share[first:stop], look, per_spread, turn, constants, out, wanted)
