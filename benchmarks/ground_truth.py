"""Our loops beside a real clip of waves: pixels, spectra over time and motion.

    python -m benchmarks.ground_truth [--clip FILE] [--frames 60 144] [--start 0] [--width 512]
                                      [--only] [--option "anchor=0.6 renderer=splat"]
                                      [--write docs/ground_truth.md] [--figure output/ground_truth.webp]

Frame 0 is animated by the clip's own mean optical flow and compared with what really happened. --option (more than
once) adds loops with options of LoopSettings; --only leaves out the other variants of ours. The clip comes
from scripts/videos.py. --write replaces what stands between the markers of a document and draws its plot of spectra
beside it; --figure makes the picture of frames and slices over time, which shows the clip itself.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from t2c_core.types import MotionField

from .comparison import compare
from .ground_truth_report import figure, markdown, write
from .loops import DEFAULT, LOOPS, PLAIN, parse_options
from .real_clip import FRAMES, STRIDE, WIDTH, clip_path, grey, load_clip, mean_field, moving_mask


def describe(clip: np.ndarray, field: MotionField) -> str:
    """The clip and its field in a sentence."""
    inside = field.mask > 0.5
    speed = torch.linalg.vector_norm(field.velocity, dim=1)[inside]
    return (
        f"{clip.shape[2]}x{clip.shape[1]} px, {len(clip)} frames; {float(inside.float().mean()):.0%} of the picture "
        f"moves, by {float(speed.median()):.2f} px/frame in the median of the mean field, {float(speed.max()):.2f} at "
        "most."
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, help="another video (default: the ocean clip)")
    parser.add_argument("--length", type=int, default=FRAMES, help="how many frames of it, from the first")
    parser.add_argument(
        "--start", type=int, default=0, help="the frame that is animated; the field is the whole clip's"
    )
    parser.add_argument("--frames", type=int, nargs="+", default=[60, 144], help="lengths of the loops")
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--stride", type=int, default=STRIDE, help="frames between which the field's flow is measured")
    parser.add_argument("--option", action="append", default=[], help="one more loop, e.g. 'anchor=0.6'")
    parser.add_argument("--only", action="store_true", help="of ours, the default, the published and --option alone")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", type=Path, help="document whose tables between the markers are replaced")
    parser.add_argument("--figure", type=Path, help="picture of frames and slices; shows frames of the clip")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    path = args.clip or clip_path()
    if path is None:
        raise SystemExit("error: there is no clip; fetch it with 'python3 -m scripts.videos', or name one with --clip.")
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    loops = {name: LOOPS[name] for name in (DEFAULT, PLAIN)} if args.only else LOOPS
    loops = {**loops, **{text: parse_options(text) for text in args.option}}
    if not 0 <= args.start <= args.length - max(args.frames):
        raise SystemExit(
            f"error: {max(args.frames)} frames from {args.start} on are more than the clip's {args.length}."
        )
    clip = load_clip(path, args.length, args.width)
    mask = moving_mask(grey(clip))
    field = mean_field(clip, args.stride, mask)
    about = describe(clip, field)
    print(about)
    results = []
    for frames in args.frames:
        start = time.perf_counter()
        results.append(compare(clip[args.start :], field, frames, loops))
        print("\n" + markdown(results[-1]) + f"\n({time.perf_counter() - start:.0f} s)", flush=True)
    if args.write:
        write(args.write, about, results)
    if args.figure:
        figure(args.figure, results[-1])


if __name__ == "__main__":
    main()
