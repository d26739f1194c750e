"""Our renderers beside a plain port of the published warp, in one run on the same picture and field.

    python -m benchmarks.warp [--size 512] [--frames 60 120] [--threads 1] [--repeat 1] [--no-port]

Times are wall-clock seconds for all N frames, setting up included; 'x' is the first row's time over ours. The port and
ours use the same splatting kernel, so the difference is the algorithm's. Nothing is encoded. 'of playback': a frame's
time over 1/30 s; below 1 the default renders faster than it plays.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

import cv2
import torch

from t2c_core.flow.solver import solve_flow
from t2c_core.geometry import fit_longest_side
from t2c_core.hints import parse_hints
from t2c_core.io.images import load_image
from t2c_core.loop.render import LoopRenderer
from t2c_core.loop.settings import LoopSettings
from t2c_core.segment.fluid import segment_fluid
from t2c_core.segment.settings import MaskSettings
from t2c_core.types import MotionField
from t2c_core.warp.plan import WarpPlan, WarpSettings

from . import published
from .kernels import kernels_chosen

ASSETS = Path(__file__).resolve().parents[1] / "assets"
OURS = (
    ("default by torch alone", "gather", "contrast", "torch"),
    ("gather, contrast (default)", "gather", "contrast", "auto"),
    ("gather, linear (fast)", "gather", "linear", "auto"),
    ("splat, contrast", "splat", "contrast", "auto"),
    ("splat, linear", "splat", "linear", "auto"),
)


def stream(size: int) -> tuple[torch.Tensor, MotionField]:
    """The stream photograph, ``size`` px at its longer side, with its field from the drawn hints."""
    image = load_image(ASSETS / "stream.jpg").permute(0, 3, 1, 2)
    sides = fit_longest_side(*image.shape[2:], size)
    image = torch.nn.functional.interpolate(image, sides, mode="area").permute(0, 2, 3, 1).contiguous()
    hints = parse_hints((ASSETS / "stream.hints.json").read_text(encoding="utf-8"))
    mask = segment_fluid(image, hints=hints, settings=MaskSettings(feather=2.0)).mask
    return image, solve_flow(image, mask, hints)


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
    parser.add_argument("--no-port", action="store_true", help="leave out the published warp, which takes minutes")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    image, field = stream(args.size)
    share = float((field.mask > 0).float().mean())
    print(f"{image.shape[2]}x{image.shape[1]}, fluid {share:.0%}, {args.threads} thread(s), torch {torch.__version__}")
    print(f"{'renderer':<40}" + "".join(f"{f'N={n}':>10}{'ms/frame':>10}{'x':>8}" for n in args.frames))
    rows: dict[str, list[tuple[float, int]]] = {}
    for n in args.frames:
        plan = WarpPlan(image, field, WarpSettings(n))
        if not args.no_port:
            port = seconds(lambda plan=plan: published.render(plan), n, args.repeat)
            rows.setdefault("published algorithm, port", []).append((port, n))
        for name, renderer, blend, kernels in OURS:
            settings = LoopSettings(n, renderer=renderer, blend=blend)
            with kernels_chosen(kernels):
                list(islice(LoopRenderer(image, field, settings), 2))  # what is compiled once is no part of a loop
                took = seconds(lambda settings=settings: LoopRenderer(image, field, settings), n, args.repeat)
            rows.setdefault(name, []).append((took, n))
    base = [took for took, _ in next(iter(rows.values()))]
    for name, cells in rows.items():
        line = "".join(
            f"{took:>9.2f}s{1e3 * took / n:>10.1f}{b / took:>8.1f}" for (took, n), b in zip(cells, base, strict=True)
        )
        print(f"{name:<40}{line}")
    for name in (OURS[0][0], OURS[1][0]):
        cells = "".join(f"{'':>10}{30 * took / n:>10.2f}{'':>8}" for took, n in rows[name])
        print(f"{name + ', of playback':<40}{cells}")


if __name__ == "__main__":
    main()
