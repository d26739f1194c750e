"""``measure``: the figures of a finished loop, from any file or folder of pictures."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from .errors import InputError
from .loop.read import LoopFile
from .metrics import measure_loop


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add 'measure' to the sub-commands; ``run`` is set as its default 'run'."""
    parser = subparsers.add_parser(
        "measure",
        help="measure a finished loop: seam, still parts, contrast, motion",
        description="Measure a finished loop: seam, still parts, contrast, sharpness and motion.",
    )
    parser.add_argument("file", type=Path, help="video, animated gif/webp/png, or a folder of pictures")
    parser.add_argument("--mask", type=Path, help="picture whose bright parts may move (default: everything)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Print the report and return 0. Raises InputError for files that cannot be read."""
    frames = LoopFile(args.file)
    mask = None if args.mask is None else load_mask(args.mask, frames.info.height, frames.info.width)
    report = measure_loop(frames, mask)
    print(json.dumps(report.as_dict(), indent=2) if args.json else report.as_table())
    return 0


def load_mask(path: Path, height: int, width: int) -> np.ndarray:
    """float32 [H, W] in 0..1 from any picture of that size. A video padded to even numbers may be one pixel larger."""
    try:
        with Image.open(path) as picture:
            mask = np.array(picture.convert("L"), np.float32) / 255.0
    except OSError as error:
        raise InputError("mask", f"'{path}' cannot be read ({error}).") from error
    missing = height - mask.shape[0], width - mask.shape[1]
    if not all(0 <= m <= 1 for m in missing):
        raise InputError(
            "mask", f"'{path}' is {mask.shape[1]}x{mask.shape[0]}, the frames are {width}x{height}.", "Scale the mask."
        )
    return np.pad(mask, [(0, m) for m in missing], mode="edge")
