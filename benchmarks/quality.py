"""Loops beside one another: blends, renderers and integrations on real pictures and on textures of known motion.

    python -m benchmarks.quality [--pictures stream kite ...] [--frames 60] [--longer-side 1024] [--threads 1]
                                 [--write docs/quality.md] [--sheets output/quality]

All settings but those named are the nodes' defaults. --write replaces the tables between the document's markers and
writes the sheets of pictures that may be shared beside it; --sheets writes the sheets of all. Ends with code 1 if the
default loop misses what the document promises.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import torch
from PIL import Image

from t2c_core.loop.render import LoopRenderer
from t2c_core.types import WarpPlan

from . import quality_report
from .documents import rewrite
from .quality_measures import Judged, judge
from .quality_scenes import DRAWN, LONGER_SIDE, PICTURES, Scene, photograph
from .staggered import stagger

PLAIN, DEFAULT, STAGGERED = "plain cross-fade (published)", "default", "default, phases staggered"
LOOPS: dict[str, dict] = {
    PLAIN: {"blend": "linear", "renderer": "splat", "integration": "nearest"},
    "linear, gather, RK4": {"blend": "linear"},
    "contrast, anchor 0": {"anchor": 0.0},
    DEFAULT: {},
    "default, splat": {"renderer": "splat"},
    "default, bilinear (Euler) steps": {"integration": "bilinear"},
}
SHOWN = (PLAIN, "linear, gather, RK4", DEFAULT, STAGGERED)
SHARED = ("stream", "mountain_sky", "starry_night")
"""Pictures whose licence lets a sheet of them stand in the repository."""


def loop(scene: Scene, frames: int, *, blend: str = "contrast", anchor: float | None = None, **how: str) -> list:
    """The frames of a loop; what is not named is the default."""
    plan = WarpPlan(scene.picture, scene.field, frames, scene.speed, **how)
    return list(LoopRenderer(plan, blend, **({} if anchor is None else {"anchor": anchor})))


def compare(scene: Scene, frames: int) -> tuple[dict[str, Judged], dict[str, list]]:
    """Every loop of LOOPS and the staggered one judged, and those to be shown."""
    judged, shown = {}, {}
    for name, how in LOOPS.items():
        made = loop(scene, frames, **how)
        judged[name] = judge(made, scene)
        if name in SHOWN:
            shown[name] = made
        if name == DEFAULT:
            shown[STAGGERED] = stagger(made)
            judged[STAGGERED] = judge(shown[STAGGERED], scene)
    return judged, {name: shown[name] for name in SHOWN}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", nargs="+", choices=[*PICTURES, *DRAWN], default=[*PICTURES, *DRAWN])
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--longer-side", type=int, default=LONGER_SIDE)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--sheets", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    parts, results = [], {}
    for name in args.pictures:
        start = time.perf_counter()
        make: Callable[[], Scene] = DRAWN.get(name) or (lambda name=name: photograph(name, args.longer_side))
        scene = make()
        results[name], shown = compare(scene, args.frames)
        height, width = scene.field.size
        title = f"### {name}: {PICTURES.get(name, 'drawn, the motion is known')}, {width}x{height}"
        parts.append(f"{title}\n\n{quality_report.table(results[name])}")
        print(f"\n{parts[-1]}\n({time.perf_counter() - start:.0f} s)", flush=True)
        sheet = Image.fromarray(quality_report.sheet(shown, scene.field.mask[0].numpy()))
        if args.sheets:
            args.sheets.mkdir(parents=True, exist_ok=True)
            sheet.save(args.sheets / f"{name}.png")
        if args.write and name in SHARED:
            folder = args.write.parent / "pictures"
            folder.mkdir(parents=True, exist_ok=True)
            sheet.save(folder / f"quality_{name}.webp", quality=70, method=6)
            parts[-1] += f"\n\n![{name}: a row for each loop, at 0, 1/4, 1/2, 3/4](pictures/quality_{name}.webp)"
    verdict = quality_report.verdicts(results, DEFAULT, PLAIN)
    print(f"\n{verdict}")
    if args.write:
        text = f"N = {args.frames}, before encoding.\n\n{verdict}\n\n" + "\n\n".join(parts)
        rewrite(args.write, text, quality_report.BEGIN, quality_report.END, make=True)
    return 1 if "NO" in verdict else 0


if __name__ == "__main__":
    sys.exit(main())
