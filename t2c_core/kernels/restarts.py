"""When each point restarts and where it is then: a pass over the points each; see :mod:`t2c_core.warp.cycles`."""

import torch
import triton
import triton.language as tl

from .points import BLOCK, kernel, load_points, on_device


@triton.jit
def _noise_at(noise, field, x, y, height, width, mask):
    """The values at x, y of the fields [h, w] number ``field`` of noise [n, h, w]."""
    x0, y0 = tl.minimum(x.to(tl.int32), width - 2), tl.minimum(y.to(tl.int32), height - 2)
    fx, fy = x - x0.to(tl.float32), y - y0.to(tl.float32)
    at = noise + (field * height + y0) * width + x0
    a, b = tl.load(at, mask=mask, other=0.0), tl.load(at + 1, mask=mask, other=0.0)
    c, d = tl.load(at + width, mask=mask, other=0.0), tl.load(at + width + 1, mask=mask, other=0.0)
    a, c = a + fx * (b - a), c + fx * (d - c)
    return a + fy * (c - a)


@kernel
def _tick(
    noise, places, cycles, number, start, end, last, rate, age, remaining, shares, frame, frames, points, height, width,
    most, JITTER: tl.constexpr, DISSOLVE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    point = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = point < points
    ends, starts = tl.load(end + point, mask=mask, other=0.0), tl.load(start + point, mask=mask, other=0.0)
    changed, pace = tl.load(last + point, mask=mask, other=0.0), tl.load(rate + point, mask=mask, other=0.0)
    over = mask & (ends <= frame)
    passed = tl.load(number + point, mask=mask, other=0) + over.to(tl.int32)
    field = tl.minimum(passed, most - 1)
    of = tl.load(cycles + point, mask=mask, other=1.0)
    x, y = load_points(places, point, over)
    following = (passed + 1).to(tl.float32)
    time = following + JITTER * (2.0 * _noise_at(noise, field, x, y, height, width, over) - 1.0)
    time = tl.where(following < of, time * (frames / of), frames)
    starts, ends = tl.where(over, ends, starts), tl.where(over, time, ends)
    middle = starts + _noise_at(noise, field + most, x, y, height, width, over) * (ends - starts)
    until = tl.minimum(middle + 0.5 * DISSOLVE, ends)
    lasting = tl.where(over, until - tl.maximum(middle - 0.5 * DISSOLVE, starts), 1.0)
    pace = tl.where(over, 1.0 / lasting, pace)
    changed = tl.where(over, until, changed)
    tl.store(number + point, passed, mask=over)
    tl.store(start + point, starts, mask=over)
    tl.store(end + point, ends, mask=over)
    tl.store(last + point, changed, mask=over)
    tl.store(rate + point, pace, mask=over)
    tl.store(age + point, frame - starts, mask=mask)
    tl.store(remaining + point, ends - frame, mask=mask)
    tl.store(shares + point, tl.minimum(tl.maximum((changed - frame) * pace, 0.0), 1.0), mask=mask)


def tick(
    noise: torch.Tensor, places: torch.Tensor, cycles: torch.Tensor, state: tuple[torch.Tensor, ...], frame: int,
    frames: int, jitter: float, dissolve: float, block: int = BLOCK,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """``RestartClock.at``: (age, left, share) [P] at ``frame``.

    noise: [2 n, h, w], the fields of restarts and those of the change-overs; places: [P, 2], x, y on them; cycles: [P]
    float32; state: number [P] int32, start, end, last and rate [P], brought up to the frame in place.
    """
    age, left, share = (torch.empty_like(cycles) for _ in range(3))
    if len(cycles):
        with on_device(cycles):
            _tick[(triton.cdiv(len(cycles), block),)](
                noise, places, cycles, *state, age, left, share, float(frame), float(frames), len(cycles),
                *noise.shape[1:], len(noise) // 2, JITTER=jitter, DISSOLVE=dissolve, BLOCK=block,
            )  # fmt: skip
    return age, left, share


@triton.jit
def _between(values, at, nodes, fraction, mask):
    """x, y of the table's entries ``at`` and those a frame on, in units."""
    x, y = tl.load(values + 2 * at, mask=mask, other=0), tl.load(values + 2 * at + 1, mask=mask, other=0)
    on = at + nodes
    x1, y1 = tl.load(values + 2 * on, mask=mask, other=0), tl.load(values + 2 * on + 1, mask=mask, other=0)
    x, y = x.to(tl.float32), y.to(tl.float32)
    return x + fraction * (x1.to(tl.float32) - x), y + fraction * (y1.to(tl.float32) - y)


@kernel
def _positions(
    values, starts, ages, rows, out, unit, stride, left, top, columns, points, lists, nodes,
    DENSE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    point = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = point < points
    x, y = load_points(starts, point, mask)
    age = tl.load(ages + point, mask=mask, other=0.0)
    step = tl.minimum(age.to(tl.int32), lists - 2)
    fraction = age - step.to(tl.float32)
    if DENSE:
        at = step * nodes + tl.load(rows + point, mask=mask, other=0).to(tl.int32)
        dx, dy = _between(values, at, nodes, fraction, mask)
    else:
        u, v = (x - left.to(tl.float32)) / stride, (y - top.to(tl.float32)) / stride
        column, row = u.to(tl.int32), v.to(tl.int32)
        fx, fy = u - column.to(tl.float32), v - row.to(tl.float32)
        at = step * nodes + row * columns + column
        ax, ay = _between(values, at, nodes, fraction, mask)
        bx, by = _between(values, at + 1, nodes, fraction, mask)
        cx, cy = _between(values, at + columns, nodes, fraction, mask)
        ex, ey = _between(values, at + columns + 1, nodes, fraction, mask)
        ax, ay = ax + fx * (bx - ax), ay + fx * (by - ay)
        dx, dy = ax + fy * (cx + fx * (ex - cx) - ax), ay + fy * (cy + fx * (ey - cy) - ay)
    tl.store(out + 2 * point, x + unit * dx, mask=mask)
    tl.store(out + 2 * point + 1, y + unit * dy, mask=mask)


def table_positions(
    values: torch.Tensor, unit: float, stride: int, columns: int, origin: tuple[int, int], points: torch.Tensor,
    age: torch.Tensor, rows: torch.Tensor, block: int = BLOCK,
) -> torch.Tensor:  # fmt: skip
    """``DisplacementTable.positions`` [P, 2]; the first arguments are the table's fields."""
    out, (lists, nodes) = torch.empty_like(points), values.shape[:2]
    if len(points):
        with on_device(points):
            _positions[(triton.cdiv(len(points), block),)](
                values, points.contiguous(), age.contiguous(), rows.contiguous(), out, float(unit), float(stride),
                *origin, columns, len(points), lists, nodes, DENSE=stride == 1, BLOCK=block,
            )  # fmt: skip
    return out
