"""The contrast-preserving cross-fade of a frame in four passes over its pixels, with sums over a coarse grid between.

1. ``fade``: two bicubic look-ups and four auxiliary channels of either layer, their confidence, the cross-fade.
2. ``subtract_coarse``: the fine band and the energy of both bands.
3. ``restore``: the fine band's contrast and mean.
4. ``compose``: the middle band added, and all put over the image.

The formulas are those of :mod:`t2c_core.loop.blend`, which chooses between these kernels and torch.
"""

import torch
import triton
import triton.language as tl

from .points import BLOCK, kernel, load_points, on_device

Pair = tuple[torch.Tensor, torch.Tensor]


@triton.jit
def _mirrored(k, size):
    """The pixel 0..size - 1 that whole number k is the mirror image of, about the border pixels."""
    period = tl.maximum(2 * (size - 1), 1)
    k = tl.abs(k) % period
    return tl.minimum(k, period - k)


@triton.jit
def _split(position):
    """Whole part (int32) and fraction of a coordinate; what is no number, or very far away, stays a number."""
    position = tl.where(position == position, position, 0.0)
    position = tl.minimum(tl.maximum(position, -1048576.0), 1048576.0)
    first = tl.floor(position)
    return first.to(tl.int32), position - first


@triton.jit
def _keys(t, TAP: tl.constexpr):
    """Weight of tap TAP (0..3, the second is at the fraction's pixel) of Keys' cubic convolution, a = -0.75."""
    if TAP == 0 or TAP == 3:
        d = t + 1.0 if TAP == 0 else 2.0 - t
        w = ((-0.75 * d + 3.75) * d - 6.0) * d + 3.0
    else:
        d = t if TAP == 1 else 1.0 - t
        w = (1.25 * d - 2.25) * d * d + 1.0
    return w


@triton.jit
def _bicubic(image, x, y, height, width, mask):
    """Colours of an image [H, W, 3] at x, y, mirrored at its border."""
    x0, fx = _split(x)
    y0, fy = _split(y)
    r = 0.0 * fx
    g = 0.0 * fx
    b = 0.0 * fx
    for j in tl.static_range(4):
        row = _mirrored(y0 + (j - 1), height) * width
        for i in tl.static_range(4):
            at = image + 3 * (row + _mirrored(x0 + (i - 1), width))
            w = _keys(fy, j) * _keys(fx, i)
            r += w * tl.load(at, mask=mask, other=0.0)
            g += w * tl.load(at + 1, mask=mask, other=0.0)
            b += w * tl.load(at + 2, mask=mask, other=0.0)
    return r, g, b


@triton.jit
def _bilinear(raster, x0, y0, x1, y1, fx, fy, width, mask, CHANNELS: tl.constexpr, CHANNEL: tl.constexpr):
    """One channel of a raster [H, W, CHANNELS] between four of its pixels."""
    upper, lower = raster + CHANNEL + CHANNELS * (y0 * width), raster + CHANNEL + CHANNELS * (y1 * width)
    a = (1.0 - fy) * (1.0 - fx) * tl.load(upper + CHANNELS * x0, mask=mask, other=0.0)
    a += (1.0 - fy) * fx * tl.load(upper + CHANNELS * x1, mask=mask, other=0.0)
    a += fy * (1.0 - fx) * tl.load(lower + CHANNELS * x0, mask=mask, other=0.0)
    a += fy * fx * tl.load(lower + CHANNELS * x1, mask=mask, other=0.0)
    return a


@triton.jit
def _four(raster, x, y, height, width, mask):
    """The four channels of a raster [H, W, 4] at x, y, mirrored at its border."""
    x0, fx = _split(x)
    y0, fy = _split(y)
    x1, y1 = _mirrored(x0 + 1, width), _mirrored(y0 + 1, height)
    x0, y0 = _mirrored(x0, width), _mirrored(y0, height)
    a = _bilinear(raster, x0, y0, x1, y1, fx, fy, width, mask, 4, 0)
    b = _bilinear(raster, x0, y0, x1, y1, fx, fy, width, mask, 4, 1)
    c = _bilinear(raster, x0, y0, x1, y1, fx, fy, width, mask, 4, 2)
    d = _bilinear(raster, x0, y0, x1, y1, fx, fy, width, mask, 4, 3)
    return a, b, c, d


@triton.jit
def _corners(places, at, height, width, mask):
    """Corners and fractions of grid places [M, 2]; the border is repeated."""
    x, y = load_points(places, at, mask)
    x = tl.minimum(tl.maximum(x, 0.0), (width - 1).to(tl.float32))
    y = tl.minimum(tl.maximum(y, 0.0), (height - 1).to(tl.float32))
    x0, fx = _split(x)
    y0, fy = _split(y)
    return x0, y0, tl.minimum(x0 + 1, width - 1), tl.minimum(y0 + 1, height - 1), fx, fy


@triton.jit
def _luma(r, g, b, RED: tl.constexpr, GREEN: tl.constexpr, BLUE: tl.constexpr):
    return RED * r + GREEN * g + BLUE * b


@triton.jit
def _log_weight(
    a, b, c, d, mean, variance, per_spread, at, count, trust, mask,
    LIKE: tl.constexpr, REAL: tl.constexpr, FARTHEST: tl.constexpr, FLOOR: tl.constexpr,
):  # fmt: skip
    """Logarithm of a layer's weight from its auxiliary channels; see LayerConfidence."""
    weight = tl.minimum(tl.maximum(d, 0.0), 1.0) * REAL
    if LIKE:
        away = (c - tl.load(mean + at, mask=mask, other=0.0)) * tl.load(per_spread)
        low = tl.log(tl.maximum(a, 0.0) + FLOOR) - tl.load(variance + at, mask=mask, other=0.0)
        high = tl.log(tl.maximum(b, 0.0) + FLOOR) - tl.load(variance + count + at, mask=mask, other=0.0)
        weight -= trust * tl.minimum(away * away + 0.125 * (low * low + high * high), FARTHEST)
    return weight


@kernel
def _fade(
    image, aux, forward, backward, shares, share, mean, variance, per_spread, trust, angles, pixels, weights, cells,
    rest, wanted, sums, points, count, height, width, cell_count,
    EACH: tl.constexpr, LIKE: tl.constexpr, EVEN: tl.constexpr, SECOND: tl.constexpr, REAL: tl.constexpr,
    FARTHEST: tl.constexpr, FLOOR: tl.constexpr, EASE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    point = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = point < points
    at = point
    if SECOND:
        at = tl.load(pixels + point, mask=mask, other=0).to(tl.int32)
    xf, yf = load_points(forward, point, mask)
    xb, yb = load_points(backward, point, mask)
    af, bf, cf, df = _four(aux, xf, yf, height, width, mask)
    ab, bb, cb, db = _four(aux, xb, yb, height, width, mask)
    s = share + 0.0 * af
    if EACH:
        s = tl.load(shares + point, mask=mask, other=0.5)
    odds = _log_weight(af, bf, cf, df, mean, variance, per_spread, at, count, trust, mask, LIKE, REAL, FARTHEST, FLOOR)
    odds -= _log_weight(ab, bb, cb, db, mean, variance, per_spread, at, count, trust, mask, LIKE, REAL, FARTHEST, FLOOR)
    odds = tl.exp(odds) * s
    s = odds / (odds + (1.0 - s))
    if EVEN:
        angle = tl.load(angles + at, mask=mask, other=1.0)
        first = tl.sin(s * angle)
        other = tl.sin((1.0 - s) * angle)
    else:
        gone = 1.0 - s
        angle = (gone + EASE / 6.283185307179586 * tl.sin(6.283185307179586 * gone)) * 1.5707963267948966
        first = tl.cos(angle)
        other = tl.sin(angle)
    w = first / (first + other)
    rf, gf, blf = _bicubic(image, xf, yf, height, width, mask)
    rb, gb, blb = _bicubic(image, xb, yb, height, width, mask)
    r, g, b = rb + w * (rf - rb), gb + w * (gf - gb), blb + w * (blf - blb)
    low, high = tl.maximum(ab + w * (af - ab), 0.0), tl.maximum(bb + w * (bf - bb), 0.0)
    cell = tl.load(cells + at, mask=mask, other=0)
    dr, dg, db = r, g, b
    if SECOND:
        # Each pixel has one second number of cycles at most: nobody else works on it.
        mix = tl.load(weights + point, mask=mask, other=0.0)
        r0, g0 = tl.load(rest + at, mask=mask, other=0.0), tl.load(rest + count + at, mask=mask, other=0.0)
        b0 = tl.load(rest + 2 * count + at, mask=mask, other=0.0)
        low0, high0 = tl.load(wanted + at, mask=mask, other=0.0), tl.load(wanted + count + at, mask=mask, other=0.0)
        dr, dg, db = mix * (r - r0), mix * (g - g0), mix * (b - b0)
        r, g, b = r0 + dr, g0 + dg, b0 + db
        low, high = low0 + mix * (low - low0), high0 + mix * (high - high0)
    tl.store(rest + at, r, mask=mask)
    tl.store(rest + count + at, g, mask=mask)
    tl.store(rest + 2 * count + at, b, mask=mask)
    tl.store(wanted + at, low, mask=mask)
    tl.store(wanted + count + at, high, mask=mask)
    tl.atomic_add(sums + cell, dr, mask=mask, sem="relaxed")
    tl.atomic_add(sums + cell_count + cell, dg, mask=mask, sem="relaxed")
    tl.atomic_add(sums + 2 * cell_count + cell, db, mask=mask, sem="relaxed")


def fade(
    image: torch.Tensor, aux: torch.Tensor, sources: Pair, share: torch.Tensor | float, likeness: tuple | None,
    trust: float, angle: torch.Tensor | None, second: Pair | None, cells: torch.Tensor, rest: torch.Tensor,
    wanted: torch.Tensor, sums: torch.Tensor, constants: dict[str, float], block: int = BLOCK,
) -> None:  # fmt: skip
    """Cross-fade the colours [H, W, 3] and aux [H, W, 4] at ``sources``, positions [P, 2] of both layers.

    Into rest [3, M], wanted [2, M] (variances) and, added up by ``cells`` [M] int32, sums [3, cells]. likeness: (mean
    [M], log variance [2, M], one over the spread []) of the source; angle: [M]. second: (pixels [P] int64, weights [P])
    to mix into what is there; None for all M pixels. constants: REAL, FARTHEST, FLOOR, EASE.
    """
    points, count = len(sources[0]), rest.shape[1]
    if not points:
        return
    like = likeness or (rest, rest, rest)
    each = isinstance(share, torch.Tensor)
    with on_device(rest):
        _fade[(triton.cdiv(points, block),)](
            image.contiguous(), aux.contiguous(), *(p.contiguous() for p in sources),
            share.contiguous() if each else rest, 0.5 if each else float(share),
            *(v.contiguous() for v in like), float(trust), rest if angle is None else angle.contiguous(),
            *(second or (cells, rest)), cells, rest, wanted, sums, points, count, *image.shape[:2], sums[0].numel(),
            EACH=each, LIKE=likeness is not None, EVEN=angle is not None, SECOND=second is not None, BLOCK=block,
            **constants,
        )  # fmt: skip


@kernel
def _subtract_coarse(
    rest, grid, places, cells, energy, count, height, width, cell_count,
    RED: tl.constexpr, GREEN: tl.constexpr, BLUE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = at < count
    x0, y0, x1, y1, fx, fy = _corners(places, at, height, width, mask)
    r = tl.load(rest + at, mask=mask, other=0.0) - _bilinear(grid, x0, y0, x1, y1, fx, fy, width, mask, 4, 0)
    g = tl.load(rest + count + at, mask=mask, other=0.0) - _bilinear(grid, x0, y0, x1, y1, fx, fy, width, mask, 4, 1)
    b = tl.load(rest + 2 * count + at, mask=mask, other=0.0)
    b -= _bilinear(grid, x0, y0, x1, y1, fx, fy, width, mask, 4, 2)
    middle = _bilinear(grid, x0, y0, x1, y1, fx, fy, width, mask, 4, 3)
    tl.store(rest + at, r, mask=mask)
    tl.store(rest + count + at, g, mask=mask)
    tl.store(rest + 2 * count + at, b, mask=mask)
    fine = _luma(r, g, b, RED, GREEN, BLUE)
    cell = tl.load(cells + at, mask=mask, other=0)
    tl.atomic_add(energy + cell, middle * middle, mask=mask, sem="relaxed")
    tl.atomic_add(energy + cell_count + cell, fine * fine, mask=mask, sem="relaxed")


def subtract_coarse(
    rest: torch.Tensor, grid: torch.Tensor, places: torch.Tensor, cells: torch.Tensor, energy: torch.Tensor,
    luma: tuple[float, float, float], block: int = BLOCK,
) -> None:  # fmt: skip
    """Subtract from rest [3, M] a grid [h, w, 4] at places [M, 2]; energy [2, h, w] gets the squares, added up by
    ``cells`` [M] int32, of the grid's fourth channel there and of the luma of what remains."""
    count = rest.shape[1]
    if count:
        with on_device(rest):
            _subtract_coarse[(triton.cdiv(count, block),)](
                rest, grid, places, cells, energy, count, *grid.shape[:2], energy[0].numel(),
                RED=luma[0], GREEN=luma[1], BLUE=luma[2], BLOCK=block,
            )  # fmt: skip


@kernel
def _restore(
    rest, wanted, means, variances, places, own_mean, own_variance, around, anchor, lowest, products,
    count, height, width, programs, ANCHORED: tl.constexpr, FLOOR: tl.constexpr, HIGHEST: tl.constexpr,
    RED: tl.constexpr, GREEN: tl.constexpr, BLUE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = at < count
    x0, y0, x1, y1, fx, fy = _corners(places, at, height, width, mask)
    mr = _bilinear(means, x0, y0, x1, y1, fx, fy, width, mask, 4, 0)
    mg = _bilinear(means, x0, y0, x1, y1, fx, fy, width, mask, 4, 1)
    mb = _bilinear(means, x0, y0, x1, y1, fx, fy, width, mask, 4, 2)
    middle = _bilinear(means, x0, y0, x1, y1, fx, fy, width, mask, 4, 3)
    low, high = tl.load(wanted + at, mask=mask, other=0.0), tl.load(wanted + count + at, mask=mask, other=0.0)
    if ANCHORED:
        low += anchor * (tl.load(own_variance + at, mask=mask, other=0.0) - low)
        high += anchor * (tl.load(own_variance + count + at, mask=mask, other=0.0) - high)
        mr += anchor * (tl.load(own_mean + at, mask=mask, other=0.0) - mr)
        mg += anchor * (tl.load(own_mean + count + at, mask=mask, other=0.0) - mg)
        mb += anchor * (tl.load(own_mean + 2 * count + at, mask=mask, other=0.0) - mb)
    low = (low + FLOOR) / (_bilinear(variances, x0, y0, x1, y1, fx, fy, width, mask, 2, 0) + FLOOR)
    high = (high + FLOOR) / (_bilinear(variances, x0, y0, x1, y1, fx, fy, width, mask, 2, 1) + FLOOR)
    low = tl.minimum(tl.maximum(tl.sqrt(low), lowest), HIGHEST)
    high = tl.minimum(tl.maximum(tl.sqrt(high), lowest), HIGHEST)
    r = mr + high * tl.load(rest + at, mask=mask, other=0.0)
    g = mg + high * tl.load(rest + count + at, mask=mask, other=0.0)
    b = mb + high * tl.load(rest + 2 * count + at, mask=mask, other=0.0)
    tl.store(rest + at, r, mask=mask)
    tl.store(rest + count + at, g, mask=mask)
    tl.store(rest + 2 * count + at, b, mask=mask)
    tl.store(wanted + at, low, mask=mask)
    tl.store(wanted + count + at, high, mask=mask)
    if ANCHORED:
        s = _luma(r, g, b, RED, GREEN, BLUE) - tl.load(around + at, mask=mask, other=0.0)
        s = tl.where(mask, s, 0.0)
        m = tl.where(mask, middle * low, 0.0)
        program = products + tl.program_id(0)
        tl.store(program, tl.sum(s * s, 0))
        tl.store(program + programs, tl.sum(s * m, 0))
        tl.store(program + 2 * programs, tl.sum(m * m, 0))


def restore(
    rest: torch.Tensor, wanted: torch.Tensor, means: torch.Tensor, variances: torch.Tensor, places: torch.Tensor,
    own: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None, anchor: float, lowest: float,
    constants: dict[str, float], luma: tuple[float, float, float], block: int = BLOCK,
) -> torch.Tensor:  # fmt: skip
    """Give the fine band, rest [3, M], its contrast and its mean, in place; wanted [2, M] becomes the bands' gains.

    means [h, w, 4], variances [h, w, 2] at places [M, 2]. own: (mean [3, M], variance [2, M], wide mean of luma [M]) of
    the source, which count ``anchor``. Returns float64 [3], the sums of SourceStatistics.products. constants: FLOOR,
    HIGHEST.
    """
    count = rest.shape[1]
    programs = max(1, triton.cdiv(count, block))
    products = torch.zeros(3, programs, device=rest.device)
    if count:
        with on_device(rest):
            _restore[(programs,)](
                rest, wanted, means, variances, places, *(own or (rest, wanted, rest)), float(anchor), float(lowest),
                products, count, *means.shape[:2], programs, ANCHORED=own is not None,
                RED=luma[0], GREEN=luma[1], BLUE=luma[2], BLOCK=block, **constants,
            )  # fmt: skip
    return products.sum(1, dtype=torch.float64)


@kernel
def _compose(
    rest, gains, gain, middle, places, source, alpha, indices, frame, count, height, width, BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = at < count
    x0, y0, x1, y1, fx, fy = _corners(places, at, height, width, mask)
    strength = tl.load(gain) * tl.load(gains + at, mask=mask, other=0.0)
    share = tl.load(alpha + at, mask=mask, other=0.0)
    pixel = frame + 3 * tl.load(indices + at, mask=mask, other=0)
    for k in tl.static_range(3):
        colour = tl.load(rest + k * count + at, mask=mask, other=0.0)
        colour += strength * _bilinear(middle, x0, y0, x1, y1, fx, fy, width, mask, 4, k)
        under = tl.load(source + k * count + at, mask=mask, other=0.0)
        value = under + share * (colour - under)
        tl.store(pixel + k, tl.minimum(tl.maximum(value, 0.0), 1.0), mask=mask)


def compose(
    rest: torch.Tensor, gains: torch.Tensor, gain: torch.Tensor, middle: torch.Tensor, places: torch.Tensor,
    source: torch.Tensor, alpha: torch.Tensor, indices: torch.Tensor, frame: torch.Tensor, block: int = BLOCK,
) -> None:  # fmt: skip
    """Put into pixels ``indices`` [M] of a frame [H, W, 3] the source [3, M] with colours over it by alpha [M]: rest
    [3, M] and a grid's first channels [h, w, 4] at places [M, 2], times gains [M] and gain []; kept within 0..1."""
    count = rest.shape[1]
    if count:
        with on_device(rest):
            _compose[(triton.cdiv(count, block),)](
                rest, gains, gain, middle, places, source, alpha, indices, frame, count, *middle.shape[:2], BLOCK=block
            )
