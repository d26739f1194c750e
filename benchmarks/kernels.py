"""Bytes and atomic additions of one splatted frame, and on a CUDA device its time against the hardware's limit.

    python -m benchmarks.kernels [--size 512 | --size HEIGHT WIDTH] [--channels 6] [--steps 30] [--repeat 20]
                                 [--bandwidth GB_PER_S] [--device cuda]

Every pixel of the stream photograph is splatted where it is after ``steps`` frames of its motion field. The upper rows
splat given positions; the lower ones go on from the frame before, 'restarted' from the pixel itself. Bytes are those of
kernels.md, for torch what its operations read and write; atomic additions are counted point by point. On a CUDA device
bandwidth and rate of atomic additions are measured first, unless --bandwidth is given; elsewhere only torch is timed,
and the limit is that of --bandwidth.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from t2c_core.kernels import dispatch
from t2c_core.kernels.dispatch import use_triton
from t2c_core.warp.extend import extend_velocity
from t2c_core.warp.integrate import flow_map, pixel_grid, trajectory
from t2c_core.warp.splat import splat_points

SPLATS, TRACED = ("torch", "atomic"), ("torch, traced", "fused", "restarted")
POSITION, FLOAT = 8, 4
"""Bytes of a position (x, y) and of a sum."""


BLEND_BYTES = {"fade": 108, "subtract_coarse": 36, "restore": 72}
"""Bytes for each pixel of the fluid of the default loop's kernels, see kernels.md."""


@contextmanager
def kernels_chosen(name: str) -> Iterator[None]:
    """T2C_KERNELS for a while."""
    before = os.environ.get(dispatch.VARIABLE)
    os.environ[dispatch.VARIABLE] = name
    try:
        yield
    finally:
        os.environ.pop(dispatch.VARIABLE)
        if before is not None:
            os.environ[dispatch.VARIABLE] = before


@dataclass(frozen=True)
class Cost:
    """What one frame moves to and from memory (bytes, each array once per pass) and adds atomically."""

    bytes: int
    atomics: int


def corners_inside(positions: torch.Tensor, height: int, width: int) -> int:
    """How many of the points' four corners lie in the picture with a weight above 0: additions of one channel."""
    first = torch.floor(positions)
    fraction = positions - first
    count = 0
    for right in (0, 1):
        for below in (0, 1):
            x, y = first[:, 0] + right, first[:, 1] + below
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            weighs = ((fraction[:, 0] > 0) | (right == 0)) & ((fraction[:, 1] > 0) | (below == 0))
            count += int((inside & weighs).sum())
    return count


class CountBytes(TorchDispatchMode):
    """Adds up the bytes of what torch's operations read and write; views and their making cost nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        read = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        written = [t for t in tree_leaves(out) if isinstance(t, torch.Tensor)]
        storages = {t.untyped_storage()._cdata for t in read}
        is_view = not func._schema.is_mutable and all(t.untyped_storage()._cdata in storages for t in written)
        if func is torch.ops.aten.index_add_.default:
            # It touches as many sums as it adds values, at most.
            total, _, index, added = args
            self.bytes += 2 * min(_bytes(total), _bytes(added)) + _bytes(index) + _bytes(added)
        elif not is_view:
            self.bytes += sum(map(_bytes, read + written))
        return out


def _bytes(tensor: torch.Tensor) -> int:
    """What a tensor occupies; an expanded one repeats what is there."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def torch_bytes(channels: int, height: int, width: int, dtype: torch.dtype, *, traced: bool) -> int:
    """What torch moves on a GPU for one frame; counted on its meta device, where nothing is computed."""
    values = torch.empty(channels, height * width, dtype=dtype, device="meta")
    positions = pixel_grid(height, width, "meta")
    step = torch.empty(height, width, 2, device="meta")
    with CountBytes() as counted:
        if traced:
            _, positions = trajectory(step, positions, 1, "rk4")
        splat_points(values, positions, height, width, kernel="torch")
    return counted.bytes


def cost(
    variant: str, positions: torch.Tensor, channels: int, height: int, width: int, dtype: torch.dtype = torch.float32
) -> Cost:
    """The cost of splatting ``channels`` values at each of positions [height * width, 2] into [height, width].

    See kernels.md for where each term comes from. Raises KeyError for an unknown variant.
    """
    points = pixels = height * width
    if variant.startswith("torch"):
        moved = torch_bytes(channels, height, width, dtype, traced="traced" in variant)
        return Cost(moved, 4 * channels * points)
    values, result = dtype.itemsize * channels * points, FLOAT * channels * pixels
    # The sums are set to zero and added up in the cache; they are written twice where it cannot hold them.
    added = POSITION * points + values + 2 * result
    moved = {
        "atomic": added,
        "fused": added + POSITION * points + POSITION * pixels,
        "restarted": added + POSITION * pixels,
    }[variant]
    return Cost(moved, channels * corners_inside(positions, height, width))


def seconds(run: Callable[[], object], device: torch.device, repeat: int) -> float:
    """The median duration of ``repeat`` runs, after two that are not counted: compilation, caches."""
    taken = []
    for _ in range(repeat + 2):
        if device.type == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            run()
            end.record()
            end.synchronize()
            taken.append(begin.elapsed_time(end) / 1e3)
        else:
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
    return statistics.median(taken[2:])


def bandwidth(device: torch.device, repeat: int) -> float:
    """Bytes per second of a large copy, read and written."""
    source = torch.empty(2**28, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / seconds(lambda: target.copy_(source), device, repeat)


def atomic_rate(device: torch.device, repeat: int) -> float:
    """Atomic additions per second in the best case, a picture shifted by half a pixel: no contention, no disorder."""
    side, channels = 1024, 8
    positions, values = pixel_grid(side, side, device) + 0.5, torch.ones(channels, side * side, device=device)
    took = seconds(lambda: splat_points(values, positions, side, side, kernel="triton"), device, repeat)
    return channels * corners_inside(positions, side, side) / took


def runs(
    values: torch.Tensor, step: torch.Tensor, steps: int, height: int, width: int
) -> tuple[torch.Tensor, dict[str, Callable[[], torch.Tensor]]]:
    """Positions [M, 2] after ``steps`` frames, and what is to be timed for each variant this device has."""
    start = pixel_grid(height, width, values.device)
    for before, positions in enumerate(trajectory(step, start, steps, "rk4")):
        if before < steps:
            previous = positions
    found = {
        "torch": lambda: splat_points(values, positions, height, width, kernel="torch"),
        "torch, traced": lambda: splat_points(
            values, list(trajectory(step, previous, 1, "rk4"))[1], height, width, kernel="torch"
        ),
    }
    if use_triton(values.device, "triton"):
        from t2c_core.kernels.fused import advect_and_splat

        reached = torch.empty_like(start)
        found["atomic"] = lambda: splat_points(values, positions, height, width, kernel="triton")
        found["fused"] = lambda: advect_and_splat(values, step, previous, 1, height, width, reached=reached)
        found["restarted"] = lambda: advect_and_splat(values, step, start, steps, height, width)
    return positions, found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs="+", default=[512], metavar="PX")
    parser.add_argument("--channels", type=int, default=6, help="colours, carried variances and the weight: 6")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--bandwidth", type=float, help="GB/s of the memory, from its data sheet")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = parser.parse_args()
    device = torch.device(args.device)
    height, width = (args.size * 2)[:2]

    from .warp import stream  # needs more than the kernels do

    _, field = stream(512)
    velocity = extend_velocity(field.velocity, field.mask)
    # The same motion at another size: as far as a share of the picture.
    scale = torch.tensor([width / 512, height / 512]).reshape(1, 2, 1, 1)
    velocity = torch.nn.functional.interpolate(velocity, (height, width), mode="bilinear") * scale
    step = flow_map(velocity.to(device), "rk4")
    values = torch.rand(args.channels, height * width, device=device)
    positions, timed = runs(values, step, args.steps, height, width)

    per_second = args.bandwidth * 1e9 if args.bandwidth else None
    rate = None
    if device.type == "cuda":
        per_second = per_second or bandwidth(device, args.repeat)
        rate = atomic_rate(device, args.repeat) if "atomic" in timed else None
        print(f"{torch.cuda.get_device_name(device)}: {per_second / 1e9:.0f} GB/s", end="")
        print(f", {rate / 1e9:.0f} G atomic additions/s" if rate else "")
    print(f"{width}x{height}, {height * width} points, {args.channels} channels, {args.steps} frames along the field")
    heads = ("MB", "M atomics", "limit ms", "ms", "of limit", "x torch", "max diff")
    print(f"{'':<15}" + "".join(f"{head:>10}" for head in heads))
    expected = timed["torch"]()
    for names in (SPLATS, TRACED):
        base = seconds(timed[names[0]], device, args.repeat)
        for name in names:
            spent = cost(name, positions, args.channels, height, width)
            limits = [1e3 * spent.bytes / per_second] if per_second else []
            limits += [1e3 * spent.atomics / rate] if rate else []
            cells = [f"{spent.bytes / 1e6:.1f}", f"{spent.atomics / 1e6:.2f}"]
            cells.append(f"{max(limits):.3f}" if limits else "-")
            if name in timed:
                took = base if name == names[0] else seconds(timed[name], device, args.repeat)
                cells += [f"{1e3 * took:.3f}", f"{max(limits) / took / 1e3:.0%}" if device.type == "cuda" else "-"]
                cells += [f"{base / took:.1f}", f"{float((timed[name]() - expected).abs().max()):.1e}"]
            print(f"{name:<15}" + "".join(f"{cell:>10}" for cell in cells))


if __name__ == "__main__":
    main()
