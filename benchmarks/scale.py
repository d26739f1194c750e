"""Time and memory of rendering a loop to a file, by size and by length, each in a fresh process.

    python -m benchmarks.scale [--sizes 512x512 3840x2160] [--frames 60 240] [--fluid scene all] [--quick]
                               [--write docs/scale.md]

From plan to file: picture, motion field, renderer and encoder. Memory is the process's peak beyond what it has once
everything is imported. The stream of ``assets/`` is scaled to each size together with its motion field, so the same
share of each picture is fluid ('scene'); with 'all' every pixel is. 's/MP/frame' is the time of one megapixel of one
frame, the number that stays the same if time is linear in pixels and in frames; the spread is how far its largest
and smallest value lie from their middle. ``--write`` puts the table between the markers of a Markdown file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

SIZES = ("512x512", "1024x1024", "1920x1080", "3840x2160")
FRAMES = (60, 120, 240)
QUICK = (("512x512", "1024x1024"), (30, 60))
MARKERS = ("<!-- scale: begin -->", "<!-- scale: end -->")


def resident(what: str = "VmRSS") -> float:
    """Memory of this process in MiB, now (VmRSS) or at its peak (VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {what}")


def forget_peak() -> None:
    """The peak counts from now on."""
    Path("/proc/self/clear_refs").write_text("5")


def run_one(size: str, frames: int, fluid: str, renderer: str, format: str, rendered: int) -> dict[str, float]:
    """Render one plan to a file in this process; figures in seconds and MiB. rendered: stop after so many frames."""
    import torch
    import torch.nn.functional as F

    from t2c_core.loop.render import LoopRenderer
    from t2c_core.loop.write import FORMATS, write_loop
    from t2c_core.types import MotionField, WarpPlan

    from .warp import stream

    width, height = map(int, size.split("x"))
    loaded = resident()
    picture, field = stream(512)
    scale = torch.tensor([width, height]).reshape(1, 2, 1, 1) / 512
    picture = F.interpolate(picture.permute(0, 3, 1, 2), (height, width), mode="bicubic").clamp_(0, 1)
    picture = picture.permute(0, 2, 3, 1).contiguous()
    velocity = F.interpolate(field.velocity, (height, width), mode="bilinear") * scale
    mask = F.interpolate(field.mask[None], (height, width), mode="bilinear")[0]
    if fluid == "all":
        mask.fill_(1.0)
    plan = WarpPlan(picture, MotionField(velocity, mask), frames, renderer=renderer)
    forget_peak()

    stamps, waiting = [], 0.0
    start = time.perf_counter()

    def timed():
        nonlocal waiting
        loop = iter(LoopRenderer(plan))
        for _ in range(rendered or frames):
            before = time.perf_counter()
            frame = next(loop)
            waiting += time.perf_counter() - before
            stamps.append((time.perf_counter() - start, resident("VmHWM")))
            yield frame
            del frame

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"loop{FORMATS[format].suffix}"
        write_loop(timed(), path, format=format)
        written = sum(f.stat().st_size for f in ([path] if path.is_file() else path.iterdir()))
    total = time.perf_counter() - start
    return {
        "fluid": float((mask > 0).float().mean()),
        "loaded": loaded,
        "peak": resident("VmHWM") - loaded,
        "peaks": [round(p - loaded) for _, p in stamps],
        "total": total,
        "render": waiting,
        "setup": stamps[1][0] - stamps[0][0],
        "file": written / 2**20,
    }


def in_fresh_process(**case: object) -> dict:
    """``run_one`` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale", "--one", json.dumps(case)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{case} failed:\n{done.stderr[-2000:]}")
    return {**case, **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(run_one(**json.loads(args.one))))


if __name__ == "__main__":
    main()
