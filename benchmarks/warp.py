"""Our renderers beside a plain port of the published warp, in one run on the same picture and field.

    python -m benchmarks.warp [--size 512] [--frames 60 120] [--threads 1] [--repeat 1]

Times are wall-clock seconds for all N frames, setting up included; 'x' is the port's time over ours. The port and ours
use the same splatting kernel, so the difference is the algorithm's. Nothing is encoded.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import torch

from t2c_core.flow.solver import solve_flow
from t2c_core.hints import parse_hints
from t2c_core.loop.render import LoopRenderer
from t2c_core.pictures import load_picture
from t2c_core.segment.from_hints import mask_from_hints
from t2c_core.segment.refine import refine_mask
from t2c_core.types import MotionField, WarpPlan

from . import published

ASSETS = Path(__file__).resolve().parents[1] / "assets"
OURS = (
    ("gather, contrast (default)", "gather", "contrast"),
    ("gather, linear (fast)", "gather", "linear"),
    ("splat, contrast", "splat", "contrast"),
    ("splat, linear", "splat", "linear"),
)


def stream(size: int) -> tuple[torch.Tensor, MotionField]:
    """The stream photograph at size x size with its field from the drawn hints."""
    picture = load_picture(ASSETS / "stream.jpg").permute(0, 3, 1, 2)
    picture = torch.nn.functional.interpolate(picture, (size, size), mode="area").permute(0, 2, 3, 1).contiguous()
    hints = parse_hints((ASSETS / "stream.hints.json").read_text(encoding="utf-8"))
    mask = refine_mask(mask_from_hints(picture, hints), fill_holes=0.001, min_area=0.0005, feather=2)
    return picture, solve_flow(picture, mask, hints)


def seconds(frames: Callable[[], Iterable[torch.Tensor]], expected: int, repeat: int) -> float:
    """The shortest of ``repeat`` runs over all frames; each must come."""
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        count = sum(1 for _ in frames())
        best = min(best, time.perf_counter() - start)
        if count != expected:
            raise RuntimeError(f"{count} frames came instead of {expected}")
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--frames", type=int, nargs="+", default=[60, 120])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    picture, field = stream(args.size)
    share = float((field.mask > 0).float().mean())
    print(f"{args.size}x{args.size}, fluid {share:.0%}, {args.threads} thread(s), torch {torch.__version__}")
    print(f"{'renderer':<30}" + "".join(f"{f'N={n}':>10}{'ms/frame':>10}{'x':>8}" for n in args.frames))
    rows: dict[str, list[tuple[float, int]]] = {}
    for n in args.frames:
        plan = WarpPlan(picture, field, n)
        port = seconds(lambda plan=plan: published.render(plan), n, args.repeat)
        rows.setdefault("published algorithm, port", []).append((port, n))
        for name, renderer, blend in OURS:
            plan = WarpPlan(picture, field, n, renderer=renderer)
            took = seconds(lambda plan=plan, blend=blend: LoopRenderer(plan, blend), n, args.repeat)
            rows.setdefault(name, []).append((took, n))
    base = [took for took, _ in rows["published algorithm, port"]]
    for name, cells in rows.items():
        line = "".join(
            f"{took:>9.2f}s{1e3 * took / n:>10.1f}{b / took:>8.1f}" for (took, n), b in zip(cells, base, strict=True)
        )
        print(f"{name:<30}{line}")


if __name__ == "__main__":
    main()
