"""Time and memory of rendering a loop to a file, by size and by length, each in a fresh process.

    python -m benchmarks.scale [--sizes 512x512 3840x2160] [--frames 60 240] [--fluid scene all] [--quick]
                               [--keep FILE] [--write docs/scale.md]

From plan to file: picture, motion field, renderer and encoder. Memory is the process's peak beyond what it has once
everything is imported. The stream of ``assets/`` is scaled to each size together with its motion field, so the same
share of each picture is fluid ('scene'); with 'all' every pixel is. 'CPU s' are processor seconds, rendering on one
thread, which other work on the machine changes little; setting up (once a loop) and the frames are counted apart.
'CPU s/MP/frame' is the time of one megapixel of one frame, the number that stays the same if time is linear in pixels
and in frames; the spread is how far its largest and smallest value lie from their middle. ``--write`` puts the table
between the markers of a Markdown file.
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
from typing import Any

from .documents import rewrite

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


def run_one(size: str, frames: int, fluid: str, renderer: str, format: str, rendered: int) -> dict[str, Any]:
    """Render one plan to a file in this process; figures in seconds and MiB. rendered: stop after so many frames."""
    import cv2
    import torch
    import torch.nn.functional as F

    from t2c_core.loop.render import LoopRenderer
    from t2c_core.loop.write import FORMATS, EncodeSettings, write_loop
    from t2c_core.types import MotionField
    from t2c_core.warp.plan import WarpPlan, WarpSettings

    from .warp import stream

    # One thread: idle ones that wait for work in a loop would count as processor time.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    width, height = map(int, size.split("x"))
    loaded = resident()
    image, field = stream(512)
    scale = torch.tensor([width, height]).reshape(1, 2, 1, 1) / 512
    image = F.interpolate(image.permute(0, 3, 1, 2), (height, width), mode="bicubic").clamp_(0, 1)
    image = image.permute(0, 2, 3, 1).contiguous()
    velocity = F.interpolate(field.velocity, (height, width), mode="bilinear") * scale
    mask = F.interpolate(field.mask[None], (height, width), mode="bilinear")[0]
    if fluid == "all":
        mask.fill_(1.0)
    plan = WarpPlan(image, MotionField(velocity, mask), WarpSettings(frames, renderer=renderer))
    forget_peak()

    stamps = []
    start, begun = time.perf_counter(), time.process_time()

    def timed():
        loop = iter(LoopRenderer.from_plan(plan))
        for _ in range(rendered or frames):
            frame = next(loop)
            stamps.append((time.process_time() - begun, resident("VmHWM")))
            yield frame
            del frame

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"loop{FORMATS[format].suffix}"
        write_loop(timed(), path, EncodeSettings(format=format))
        written = sum(f.stat().st_size for f in ([path] if path.is_file() else path.iterdir()))
    total = time.perf_counter() - start
    return {
        "fluid_share": float((mask > 0).float().mean()),
        "loaded": loaded,
        "peak": resident("VmHWM") - loaded,
        "peaks": [round(p - loaded) for _, p in stamps],
        "total": total,
        "cpu": time.process_time() - begun,
        "setup": stamps[1][0] - stamps[0][0],
        "file": written / 2**20,
    }


def in_fresh_process(**case: Any) -> dict[str, Any]:
    """``run_one`` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale", "--one", json.dumps(case)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{case} failed:\n{done.stderr[-2000:]}")
    return {**case, **json.loads(done.stdout.splitlines()[-1])}


def measured(cases: list[dict], keep: Path | None) -> list[dict]:
    """The figures of every case; with ``keep``, a file of JSON lines, those it holds are not measured again."""
    kept = [json.loads(line) for line in keep.read_text().splitlines()] if keep and keep.exists() else []
    results = []
    for case in cases:
        found = next((k for k in kept if all(k[name] == value for name, value in case.items())), None)
        if found is None:
            print(f"measuring {case}", file=sys.stderr)
            found = in_fresh_process(**case)
            if keep:
                with keep.open("a") as lines:
                    lines.write(json.dumps(found) + "\n")
        results.append(found)
    return results


def per_megapixel(result: dict) -> float:
    """Processor seconds of one megapixel of one frame, setting up left out."""
    width, height = map(int, result["size"].split("x"))
    return (result["cpu"] - result["setup"]) / (width * height / 1e6 * (result["rendered"] or result["frames"]))


def spread(values: list[float]) -> float:
    """How far the largest and the smallest lie from their middle, in per cent."""
    return 100.0 * (max(values) - min(values)) / (max(values) + min(values))


def table(results: list[dict]) -> str:
    """The figures as a Markdown table, and how linear time is."""
    lines = [
        "| size | fluid | renderer | N | seconds | CPU s | of these setting up | CPU s/MP/frame | peak memory |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        shown = f"{r['frames']}" if not r["rendered"] else f"first {r['rendered']} of {r['frames']}"
        lines.append(
            f"| {r['size'].replace('x', ' x ')} | {r['fluid_share']:.0%} | {r['renderer']} | {shown} "
            f"| {r['total']:.1f} | {r['cpu']:.1f} | {r['setup']:.1f} | {per_megapixel(r):.3f} "
            f"| {r['peak'] / 1024:.2f} GiB |"
        )
    return "\n".join([*lines, "", *linearity(results)])


def linearity(results: list[dict]) -> list[str]:
    """What the whole loops say of one renderer's time per megapixel and frame."""
    whole = [r for r in results if not r["rendered"] and r["fluid"] == "scene" and r["renderer"] == "gather"]
    out = []
    for name, by in (("frames", "size"), ("pixels", "frames")):
        groups = {r[by]: [per_megapixel(o) for o in whole if o[by] == r[by]] for r in whole}
        spreads = [f"{group}: +-{spread(values):.0f} %" for group, values in groups.items() if len(values) > 1]
        if spreads:
            label = "size" if by == "size" else "N"
            out.append(f"Linear in {name}, spread of CPU s/MP/frame at each {label}: {'; '.join(spreads)}.  ")
    if len(whole) > 1:
        values = [per_megapixel(r) for r in whole]
        out.append(f"All of them: {sum(values) / len(values):.3f} CPU s/MP/frame, spread +-{spread(values):.0f} %.")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="WIDTHxHEIGHT")
    parser.add_argument("--frames", type=int, nargs="+", default=FRAMES)
    parser.add_argument("--fluid", choices=("scene", "all"), nargs="+", default=("scene",))
    parser.add_argument("--renderer", choices=("gather", "splat"), nargs="+", default=("gather",))
    parser.add_argument("--format", default="mp4")
    parser.add_argument("--rendered", type=int, default=0, help="stop after so many frames (memory peaks early)")
    parser.add_argument("--quick", action="store_true", help="two small sizes and lengths, under a minute")
    parser.add_argument("--keep", type=Path, help="JSON lines: figures found there are not measured again")
    parser.add_argument("--write", type=Path, help="Markdown file that takes the table between its markers")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(run_one(**json.loads(args.one))))
        return
    sizes, frames = QUICK if args.quick else (args.sizes, args.frames)
    cases = [
        dict(size=s, frames=n, fluid=f, renderer=r, format=args.format, rendered=args.rendered)
        for f, r, s, n in product(args.fluid, args.renderer, sizes, frames)
    ]
    if not args.quick and tuple(sizes) == SIZES and not args.rendered:
        # The worst cases' memory: it is reached within the first frames.
        largest = dict(size=SIZES[-1], frames=FRAMES[-1], format=args.format, rendered=16)
        cases += [dict(largest, fluid=f, renderer=r) for f, r in (("all", "gather"), ("scene", "splat"))]
    text = f"{os.cpu_count()} cores, no GPU.\n\n{table(measured(cases, args.keep))}"
    print(text)
    if args.write:
        rewrite(args.write, text, *MARKERS)


if __name__ == "__main__":
    main()
