"""Kernels and loops on a CUDA card: are they right, and how near to the memory's speed? A Markdown table.

    python -m benchmarks.gpu [--frames 60] [--repeat 20] [--out FILE] [--interpret]

Needs torch, triton, numpy, opencv and scipy, and no images: textures are drawn, fields are known. Right: every kernel
and every kind of loop against torch on the CPU, in float32 and fp16. Fast: milliseconds a frame, GB/s and the share of
the bandwidth of a copy, measured in the same run. --interpret: without a card, the first part only, at tiny sizes in
Triton's interpreter. Exit code: 0 all is right, 1 something is not, 2 there is no card (or no Triton).
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from t2c_core.kernels import dispatch
from t2c_core.loop.render import LoopRenderer
from t2c_core.loop.settings import LoopSettings
from t2c_core.types import MotionField
from t2c_core.warp import sample
from t2c_core.warp.integrate import flow_map, pixel_grid
from t2c_core.warp.splat import splat_points
from t2c_core.warp.trajectory_splat import trajectory_splat

from .kernels import BLEND_BYTES, CountBytes, bandwidth, cost, kernels_chosen, seconds

SIZES = ((512, 512), (1080, 1920), (2160, 3840))
SMALL, TINY = (270, 360), (13, 18)
"""Sizes that results are compared at: on a card, in the interpreter."""
TYPES = {"float32": torch.float32, "fp16": torch.float16}
LOOPS: dict[str, dict[str, str]] = {
    "loop, default": {},
    "loop, one cycle": {"cycles": "1"},
    "loop, splat, 3 cycles": {"renderer": "splat", "cycles": "3"},
}
CLOSE = 1e-4
"""Largest difference of a kernel's sums, as a part of the largest sum."""
VISIBLE, SHARE_VISIBLE = 1 / 255, 1e-4
"""At most this share of a loop's values may differ by more than one 8-bit step."""


@dataclass(frozen=True)
class Check:
    """A comparison with torch on the CPU: the largest difference, and whether it is small enough."""

    name: str
    dtype: str
    difference: float
    right: bool


def scene(height: int, width: int) -> tuple[torch.Tensor, MotionField]:
    """A drawn texture [1, H, W, 3] and a known field: a shear and a slow whirl in the lower two thirds."""
    x, y = pixel_grid(height, width).T.reshape(2, height, width)
    u, v = x / width, y / height
    fine = torch.rand(height, width, 3, generator=torch.Generator().manual_seed(0))
    waves = torch.stack([torch.sin(k * u + 3 * torch.cos(7 * v)) * torch.cos(k * v) for k in (40.0, 60.0, 90.0)], -1)
    mask = ((v - 0.3) * 12).clamp(0, 1)[None]
    scale = width / 512
    velocity = scale * torch.stack([1.0 + v, 0.6 * torch.sin(2 * math.pi * u)])
    return (0.5 + 0.25 * waves + 0.2 * (fine - 0.5))[None], MotionField(velocity[None] * mask, mask)


@contextmanager
def kernels(wanted: str) -> Iterator[None]:
    """T2C_KERNELS for a while, and torch's look-ups as they are on a card: without OpenCV's steps of 1/32 px."""
    by_opencv = sample._by_opencv
    sample._by_opencv = lambda raster: False
    try:
        with kernels_chosen(wanted):
            yield
    finally:
        sample._by_opencv = by_opencv


def frames(height: int, width: int, count: int, dtype: torch.dtype, device: torch.device, **settings) -> list:
    """All frames of a loop of the drawn scene, in main memory."""
    image, field = scene(height, width)
    loop = LoopRenderer(image.to(dtype), field, LoopSettings(frames=count, **settings), device=device)
    return [frame.cpu() for frame in loop]


def checks(device: torch.device, height: int, width: int, count: int) -> Iterator[Check]:
    """Every kernel, then every kind of loop, against torch on the CPU."""
    _, field = scene(height, width)
    start = pixel_grid(height, width)
    for name, dtype in TYPES.items():
        values = torch.rand(6, height * width, generator=torch.Generator().manual_seed(1)).to(dtype)
        moved = start + 7 * torch.sin(start / 5)

        def splat(on: torch.device, values: torch.Tensor = values, moved: torch.Tensor = moved) -> torch.Tensor:
            return splat_points(values.to(on), moved.to(on), height, width)

        yield compared("splat", name, splat, device)
        for integration in ("rk4", "nearest"):
            for backwards in (False, True):

                def follow(on, integration=integration, backwards=backwards, values=values) -> torch.Tensor:
                    step = flow_map(field.velocity.to(on), integration)
                    paths = trajectory_splat(
                        values.to(on), step, start.to(on), 5, integration, height, width, backwards=backwards
                    )
                    return torch.stack([sums.cpu() for sums in paths])

                yield compared(f"trace and splat, {integration}, {'back' if backwards else 'on'}", name, follow, device)
        for loop, settings in LOOPS.items():
            # Only 'auto' needs a loop this long for places to restart.
            length = count // 3 if "cycles" in settings else count
            with kernels("triton"):
                ours = frames(height, width, length, dtype, device, **settings)
            with kernels("torch"):
                expected = frames(height, width, length, dtype, torch.device("cpu"), **settings)
            away = (torch.stack(ours) - torch.stack(expected)).abs()
            visible = float((~(away <= VISIBLE)).float().mean())
            yield Check(loop, name, float(away.max()), visible <= SHARE_VISIBLE)


def compared(name: str, dtype: str, run: Callable[[torch.device], torch.Tensor], device: torch.device) -> Check:
    """What ``run`` gives by Triton on the device against torch on the CPU."""
    with kernels("triton"):
        ours = run(device).cpu()
    with kernels("torch"):
        expected = run(torch.device("cpu"))
    away = float((ours - expected).abs().max() / expected.abs().max())
    return Check(name, dtype, away, away <= CLOSE)


def times(device: torch.device, height: int, width: int, count: int, repeat: int) -> Iterator[tuple[str, float, int]]:
    """(what, seconds a frame, bytes a frame; 0 where they are not known)."""
    image, field = scene(height, width)
    start = pixel_grid(height, width, device)
    values, positions = torch.rand(6, height * width, device=device), start + 0.4
    step = flow_map(field.velocity.to(device))
    for wanted in ("triton", "torch"):
        with kernels(wanted):
            variant = "atomic" if wanted == "triton" else "torch"
            took = seconds(lambda: splat_points(values, positions, height, width), device, repeat)
            yield f"splat, {wanted}", took, cost(variant, positions, 6, height, width).bytes
    from t2c_core.kernels.fused import advect_and_splat

    reached = torch.empty_like(start)
    took = seconds(lambda: advect_and_splat(values, step, start, 1, height, width, reached=reached), device, repeat)
    yield "trace and splat, triton", took, cost("fused", start, 6, height, width).bytes
    for name, settings in LOOPS.items():
        for wanted in ("triton", "torch"):
            with kernels(wanted):
                loop = LoopRenderer(image, field, LoopSettings(frames=count, **settings), device=device)
                running = iter(loop)
                for _ in range(3):
                    next(running)
                # A frame is not rendered again: as many are timed as the loop has left.
                took = seconds(lambda running=running: next(running), device, count - 6)
                with CountBytes() as counted:
                    next(running)
            moved = counted.bytes
            if wanted == "triton":
                # Torch's dispatcher does not see what Triton's kernels move.
                moved = 0 if settings else moved + sum(BLEND_BYTES.values()) * int((field.mask > 0).sum())
            yield f"{name}, {wanted}", took, moved


def table(lines: list[tuple]) -> str:
    """Rows of a Markdown table, the first its head."""
    head, *rows = ["| " + " | ".join(map(str, line)) + " |" for line in lines]
    return "\n".join([head, "|" + "---|" * len(lines[0]), *rows, ""])


def report(device: torch.device, args: argparse.Namespace) -> tuple[str, bool]:
    """The Markdown text, and whether all is right."""
    size, count = TINY if args.interpret else SMALL, 24
    found = list(checks(device, *size, count))
    launched = dispatch.use_triton(device, "triton")
    name = "Triton's interpreter" if args.interpret else torch.cuda.get_device_name(device)
    text = f"# {name}\n\ntorch {torch.__version__}, triton {__import__('triton').__version__}.\n\n"
    text += f"Against torch on the CPU, {size[1]} x {size[0]}; loops of {count} frames, or of {count // 3} where the "
    text += "number of cycles is given.\n\n"
    lines: list[tuple] = [("", "type", "largest difference", "")]
    text += table(lines + [(c.name, c.dtype, f"{c.difference:.1e}", "" if c.right else "WRONG") for c in found])
    if not launched:
        text += "\n**The kernels did not compile or launch: torch did their work** (the warning says why).\n"
    elif not args.interpret:
        copied = bandwidth(device, args.repeat)
        lines = [("size", "", "ms a frame", "GB/s", "of a copy's")]
        for height, width in SIZES:
            for kind, took, moved in times(device, height, width, args.frames, args.repeat):
                speed = moved / took
                rate = (f"{speed / 1e9:.0f}", f"{speed / copied:.0%}") if moved else ("-", "-")
                lines.append((f"{width} x {height}", kind, f"{took * 1e3:.2f}", *rate))
        text += f"\nA copy moves {copied / 1e9:.0f} GB/s (read and written).\n\n" + table(lines)
    return text, launched and all(c.right for c in found)


def main(argv: list[str] | None = None) -> int:
    """Print the tables; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--out", type=Path, help="write the text to this file, too")
    parser.add_argument("--interpret", action="store_true", help="no card: only check, in Triton's interpreter")
    args = parser.parse_args(argv)
    if find_spec("triton") is None:
        print("Triton is not installed: there are no kernels to check.", file=sys.stderr)
        return 2
    if args.interpret:
        # Triton looks at this when a kernel is defined; none has been yet.
        os.environ["TRITON_INTERPRET"], dispatch.DEVICES = "1", frozenset({"cpu"})
        device = torch.device("cpu")
    elif not torch.cuda.is_available():
        print(
            "There is no CUDA card here (torch.cuda.is_available() is false); --interpret needs none.", file=sys.stderr
        )
        return 2
    else:
        device = torch.device("cuda")
    text, right = report(device, args)
    print(text)
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
