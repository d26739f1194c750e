"""Splatting without atomics: points sorted by the cell they fall into, every pixel summed up in one fixed order.

A cell is the square between four pixel centres; a pixel's points are those of the four cells around it. After a stable
sort the points of a cell lie side by side in their old order, and each pixel adds up its four segments one point after
the other: the same bits in every run. Segments longer than LONG, at a sink of the field, are added up beforehand by a
program of their own, so that no pixel holds up its neighbours.
"""

import torch
import triton
import triton.language as tl

from .points import BLOCK, corner, kernel, load_points, on_device

LONG = 64
MOST_CHANNELS = 8
"""Channels summed up at a time; the rest takes further programs."""


@kernel
def _cells(positions, cells, count, height, width, BLOCK: tl.constexpr):
    """The number of each point's cell, row by row; (H + 1) * (W + 1) for points that touch no pixel."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = at < count
    x, y = load_points(positions, at, mask)
    x0, _ = corner(x, width)
    y0, _ = corner(y, height)
    touches = (x0 >= -1) & (x0 < width) & (y0 >= -1) & (y0 < height)
    cell = tl.where(touches, (y0 + 1) * (width + 1) + x0 + 1, (height + 1) * (width + 1))
    tl.store(cells + at, cell, mask=mask)


@triton.jit
def _weighted(
    values,
    positions,
    points,
    channel,
    RIGHT: tl.constexpr,
    BELOW: tl.constexpr,
    channels,
    count,
    height,
    width,
    mask,
):
    """values * bilinear weight, [channel, point], of the points' left or RIGHT, upper or lower (BELOW) corner."""
    x, y = load_points(positions, points, mask)
    _, fx = corner(x, width)
    _, fy = corner(y, height)
    weight = (fx if RIGHT else 1.0 - fx) * (fy if BELOW else 1.0 - fy)
    # 64 bits: all channels of a large picture exceed 32.
    index = channel[:, None].to(tl.int64) * count + points[None, :]
    # As in the atomic kernel: what has no weight is not looked at, be it infinite.
    wanted = (channel < channels)[:, None] & (mask & (weight > 0))[None, :]
    value = tl.load(values + index, mask=wanted, other=0.0).to(tl.float32)
    return tl.where(wanted, value * weight[None, :], 0.0)


@kernel
def _long_segments(
    values,
    positions,
    cells,
    order,
    starts,
    sums,
    channels,
    count,
    height,
    width,
    LONG: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Sums [corner, channel, number] of long segments; number: that of the first multiple of LONG within it.

    A segment longer than LONG holds such a multiple, so that the programs, one for each, find all of them.
    """
    number = tl.program_id(0)
    cell = tl.load(cells + number * LONG)
    inside = cell < (height + 1) * (width + 1)
    begin = tl.load(starts + cell, mask=inside, other=0)
    end = tl.load(starts + cell + 1, mask=inside, other=0)
    if (end - begin > LONG) & (begin > (number - 1) * LONG):
        channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
        for side in tl.static_range(4):
            total = tl.zeros([CHANNELS], tl.float32)
            for first in range(begin, end, LONG):
                place = first + tl.arange(0, LONG)
                mask = place < end
                points = tl.load(order + place, mask=mask, other=0)
                part = _weighted(
                    values, positions, points, channel, side % 2, side // 2, channels, count, height, width, mask
                )
                total += tl.sum(part, axis=1)
            at = (side * channels + channel).to(tl.int64) * tl.num_programs(0) + number
            tl.store(sums + at, total, mask=channel < channels)


@kernel
def _pixels(
    values,
    positions,
    order,
    starts,
    sums,
    out,
    channels,
    count,
    height,
    width,
    numbers,
    LONG: tl.constexpr,
    CHANNELS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Each pixel's four segments, added up."""
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < height * width
    y = pixel // width
    x = pixel - y * width
    channel = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    total = tl.zeros([CHANNELS, BLOCK], tl.float32)
    for side in tl.static_range(4):
        # The pixel is the right (lower) corner of the cell on its left (above it).
        cell = (y + 1 - side // 2) * (width + 1) + x + 1 - side % 2
        begin = tl.load(starts + cell, mask=inside, other=0)
        length = tl.load(starts + cell + 1, mask=inside, other=0) - begin
        long = length > LONG
        short = tl.where(long, 0, length)
        for k in range(tl.max(short, axis=0)):
            mask = k < short
            points = tl.load(order + begin + k, mask=mask, other=0)
            total += _weighted(
                values, positions, points, channel, side % 2, side // 2, channels, count, height, width, mask
            )
        number = (begin + LONG - 1) // LONG
        at = (side * channels + channel)[:, None].to(tl.int64) * numbers + number[None, :]
        total += tl.load(sums + at, mask=(channel < channels)[:, None] & long[None, :], other=0.0)
    at = channel[:, None].to(tl.int64) * (height * width) + pixel[None, :]
    tl.store(out + at, total, mask=(channel < channels)[:, None] & inside[None, :])


def splat_sorted(
    values: torch.Tensor, positions: torch.Tensor, height: int, width: int, *, block: int = BLOCK // 2
) -> torch.Tensor:
    """Sum of values [C, M] pushed to pixel positions [M, 2] (x, y) with bilinear weights: [C, height * width] float32.

    As :func:`t2c_core.kernels.atomic.splat_atomic`, but with the same bits in every run, at the price of a sort of the
    M points. Pictures of up to 2^31 pixels. block: pixels of one program, a power of two.
    """
    channels, count = values.shape
    if not (channels and count and height * width):
        return torch.zeros(channels, height * width, dtype=torch.float32, device=values.device)
    device, values, positions = values.device, values.contiguous(), positions.contiguous()
    cells = torch.empty(count, dtype=torch.int32, device=device)
    together = min(MOST_CHANNELS, triton.next_power_of_2(channels))
    groups, numbers = triton.cdiv(channels, together), triton.cdiv(count, LONG)
    with on_device(values):
        _cells[(triton.cdiv(count, BLOCK),)](positions, cells, count, height, width, BLOCK=BLOCK)
        cells, order = torch.sort(cells, stable=True)
        every = torch.arange((height + 1) * (width + 1) + 1, dtype=torch.int32, device=device)
        starts = torch.searchsorted(cells, every, out_int32=True)
        sums = torch.empty(4 * channels * numbers, dtype=torch.float32, device=device)
        out = torch.empty(channels, height * width, dtype=torch.float32, device=device)
        size = (channels, count, height, width)
        _long_segments[(numbers, groups)](
            values, positions, cells, order, starts, sums, *size, LONG=LONG, CHANNELS=together
        )
        _pixels[(triton.cdiv(height * width, block), groups)](
            values, positions, order, starts, sums, out, *size, numbers, LONG=LONG, CHANNELS=together, BLOCK=block
        )
    return out
