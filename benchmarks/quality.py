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

from scripts.pictures import JUDGED as JUDGED_SOURCES
from scripts.pictures import SOURCES, fetch_pictures

from . import quality_report
from .documents import rewrite
from .loops import DEFAULT, LOOPS, ONE_CYCLE, PLAIN
from .quality_measures import QualityReport, judge
from .quality_scenes import DRAWN, JUDGED, LONGER_SIDE, PICTURES, TUNED, Scene, photograph

COMPARED = (PLAIN, ONE_CYCLE, "anchor 0", DEFAULT)
SHOWN = (PLAIN, ONE_CYCLE, DEFAULT)
SHARED = ("stream", "mountain_sky", "starry_night", *DRAWN)
"""Those whose licence lets a sheet of them stand in the repository."""


def compare(scene: Scene, frames: int) -> tuple[dict[str, QualityReport], dict[str, list]]:
    """The loops of COMPARED judged, and those to be shown."""
    judged, shown = {}, {}
    for name in COMPARED:
        made = scene.loop(frames, **LOOPS[name])
        judged[name] = judge(made, scene)
        if name in SHOWN:
            shown[name] = made
    return judged, shown


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
    for sources in (SOURCES, JUDGED_SOURCES):
        fetch_pictures(sources)
    parts, results = [], {}
    for name in args.pictures:
        start = time.perf_counter()
        make: Callable[[], Scene] = DRAWN.get(name) or (lambda name=name: photograph(name, args.longer_side))
        scene = make()
        results[name], shown = compare(scene, args.frames)
        height, width = scene.field.size
        half = {**dict.fromkeys(TUNED, "tuned on"), **dict.fromkeys(JUDGED, "judged only")}.get(name, "drawn")
        title = f"### {name}: {PICTURES.get(name, 'the motion is known')}, {width}x{height} ({half})"
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
