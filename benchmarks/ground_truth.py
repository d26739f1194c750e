"""Our loops beside a real clip of waves: pixels, spectra over time and motion.

    python -m benchmarks.ground_truth [--clip FILE] [--frames 60 144] [--width 512] [--only]
                                      [--option "anchor=0.6 renderer=splat"] [--write docs/ground_truth.md]
                                      [--figure output/ground_truth.webp]

Frame 0 is animated by the clip's own mean optical flow and compared with what really happened. --option (more than
once) adds loops with options of WarpPlan and LoopRenderer; --only leaves out the other variants of ours. The clip comes
from scripts/videos.py. --write replaces what stands between the markers of a document and draws its plot of spectra
beside it; --figure makes the picture of frames and slices over time, which shows the clip itself.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from t2c_core.metrics_motion import MotionError
from t2c_core.types import MotionField

from . import animations, realism
from .real_clip import FRAMES, STRIDE, WIDTH, clip_path, grey, load_clip, mean_field, moving_mask

REAL = "real clip"
OUT_OF_STEP = "the real clip, half a loop late"
"""Only where the clip is too short for another take; its spectra and motion are not shown."""
SAMPLES = 10
"""Frames on which SSIM and FLIP are taken, evenly spread."""


@dataclass(frozen=True)
class Row:
    """Everything measured on one animation; see benchmarks.realism for units. ``spectra`` are its own, for the plot."""

    name: str
    psnr: float
    ssim: float
    flip: float
    spectrum: realism.SpectralDistance
    motion: realism.MotionDistance
    detail: float
    fidelity: MotionError | None
    spectra: dict[str, np.ndarray]


@dataclass(frozen=True)
class Result:
    """One length of loop: rows in the order of the table, frames by name, and the real clip's own figures."""

    frames: int
    rows: list[Row]
    clips: dict[str, np.ndarray]
    spectra: dict[str, np.ndarray]
    fidelity: MotionError | None


def candidates(clip: np.ndarray, field: MotionField, frames: int, variants: dict[str, str]) -> dict[str, np.ndarray]:
    """Name -> uint8 [N, H, W, 3] of everything that is compared with the clip's first N frames."""
    picture = torch.from_numpy(clip[:1]).float() / 255
    taken = {
        "another take of the real clip": animations.other_take(clip, frames),
        "another take, cross-faded to a loop": animations.other_take_looped(clip, frames),
        OUT_OF_STEP: animations.turned(clip, frames) if len(clip) < 2 * frames else None,
        "frozen frame": animations.frozen(picture, frames),
        "ping-pong": animations.ping_pong(picture, field, frames),
    }
    found = {name: frames_ for name, frames_ in taken.items() if frames_ is not None}
    for name, options in variants.items():
        found[name] = animations.loop(picture, field, frames, animations.parse_options(options))
    return found


def measure(name: str, frames: np.ndarray, real: np.ndarray, inside: np.ndarray, field: MotionField) -> Row:
    """Compare uint8 frames [N, H, W, 3] with the real ones inside bool [H, W]."""
    luma, real_luma = grey(frames), grey(real)
    sample = np.unique(np.linspace(1, len(real) - 1, SAMPLES).round().astype(int))
    own = realism.spectra(luma, inside)
    return Row(
        name,
        realism.psnr(frames, real, inside),
        realism.ssim(luma[sample], real_luma[sample], inside),
        realism.flip(frames[sample], real[sample], inside),
        realism.spectral_distance(own, realism.spectra(real_luma, inside)),
        realism.motion_distance(realism.motion(luma, inside), realism.motion(real_luma, inside), inside),
        realism.detail(luma, real_luma, inside),
        realism.fidelity(luma, field),
        own,
    )


def compare(clip: np.ndarray, field: MotionField, frames: int, variants: dict[str, str]) -> Result:
    """Render and measure everything for one length of loop; the field's mask is where it is measured."""
    real, inside = clip[:frames], field.mask[0].numpy() > 0.5
    clips = candidates(clip, field, frames, variants)
    rows = [measure(name, found, real, inside, field) for name, found in clips.items()]
    luma = grey(real)
    return Result(frames, rows, {REAL: real, **clips}, realism.spectra(luma, inside), realism.fidelity(luma, field))


HEADER = (
    "PSNR dB", "SSIM", "FLIP", "spectra dB", "fine", "middle", "coarse", "level dB",
    "speed", "direction", "endpoint", "detail", "to field px", "to field deg",
)  # fmt: skip


def cells(row: Row) -> list[str]:
    """The row's figures as text, in the order of HEADER."""
    s, m, f = row.spectrum, row.motion, row.fidelity
    pixels = [f"{row.psnr:.1f}", f"{row.ssim:.3f}", f"{row.flip:.3f}"]
    if row.name == OUT_OF_STEP:
        return pixels + ["-"] * (len(HEADER) - len(pixels))
    return [
        *pixels,
        f"{s.mean:.1f}",
        *(f"{s.bands[name]:.1f}" for name in realism.BANDS),
        f"{s.level:+.1f}",
        f"{m.speed:.3f}",
        f"{m.direction:.2f}",
        f"{m.endpoint:.3f}",
        f"{row.detail:.2f}",
        f"{f.endpoint:.3f}" if f else "-",
        f"{f.angle:.0f}" if f else "-",
    ]


def markdown(result: Result) -> str:
    """The table of one length of loop."""
    lines = [f"### {result.frames} frames", "", "| | " + " | ".join(HEADER) + " |", "|---" * (len(HEADER) + 1) + "|"]
    lines += [f"| {row.name} | " + " | ".join(cells(row)) + " |" for row in result.rows]
    if result.fidelity:
        own = result.fidelity
        lines += ["", f"The real frames themselves are {own.endpoint:.3f} px/frame and {own.angle:.0f} degrees from "
                      "the mean field: they do not keep to it either."]  # fmt: skip
    return "\n".join(lines)


def describe(clip: np.ndarray, field: MotionField) -> str:
    """The clip and its field in a sentence."""
    inside = field.mask > 0.5
    speed = torch.linalg.vector_norm(field.velocity, dim=1)[inside]
    return (
        f"{clip.shape[2]}x{clip.shape[1]} px, {len(clip)} frames; {float(inside.float().mean()):.0%} of the picture "
        f"moves, {float(speed.median()):.2f} px/frame in the median of the mean field, {float(speed.max()):.2f} at most."
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, help="another video (default: the ocean clip)")
    parser.add_argument("--length", type=int, default=FRAMES, help="how many frames of it, from the first")
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
    variants = animations.VARIANTS
    if args.only:
        variants = {name: variants[name] for name in (animations.OURS, animations.PLAIN)}
    variants = {**variants, **{f"ours, {text}": text for text in args.option}}
    clip = load_clip(path, args.length, args.width)
    mask = moving_mask(grey(clip))
    field = mean_field(clip, args.stride, mask)
    about = describe(clip, field)
    print(about)
    results = []
    for frames in args.frames:
        start = time.perf_counter()
        results.append(compare(clip, field, frames, variants))
        print("\n" + markdown(results[-1]) + f"\n({time.perf_counter() - start:.0f} s)", flush=True)
    if args.write or args.figure:
        from .ground_truth_report import figure, write

        if args.write:
            write(args.write, about, results)
        if args.figure:
            figure(args.figure, results[0])


if __name__ == "__main__":
    main()
