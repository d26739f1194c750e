"""``measure``: the figures of a finished loop, from any file or folder of pictures."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..io.images import read_mask
from ..loop.read import LoopFile
from ..metrics.measure import measure_loop
from .options import progress, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    parser.add_argument("file", type=Path, help="video, animated gif/webp/png, or a folder of pictures")
    parser.add_argument("--mask", type=Path, help="picture whose bright parts may move (default: everything)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(args: argparse.Namespace) -> int:
    """Print the report and return 0. Raises InputError for files that cannot be read."""
    frames = LoopFile(args.file)
    mask = None
    if args.mask is not None:
        mask, note = read_mask(args.mask, frames.info.height, frames.info.width)
        say(note)
    with progress("frame", "measuring") as on_step:
        report = measure_loop(frames, mask, on_frame=lambda done: on_step(done, len(frames)))
    print(json.dumps(report.as_dict(), indent=2) if args.json else report.as_table())
    return 0
