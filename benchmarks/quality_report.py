"""The tables of docs/quality.md and the pictures beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from t2c_core.loop.frames import as_bytes

from .loops import ONE_CYCLE
from .quality_measures import QualityReport

MOST_DRIFT = 0.065
"""Falls and streams melt beyond it; slow skies drift by far less, whatever their loop."""
BEGIN = "<!-- measured: python -m benchmarks.quality --write docs/quality.md -->"
END = "<!-- end of what was measured -->"
HEAD = (
    "loop",
    "drift",
    "drift p95",
    "repetition",
    "seam",
    "pace",
    "static",
    "contrast, least",
    "flicker",
    "sharpness, least",
    "moved",
    "unexplained",
    "flow error px",
    "direction deg",
    "frame 0",
)


def table(results: Mapping[str, QualityReport]) -> str:
    """Markdown: one loop a line."""
    lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
    for name, judged in results.items():
        r, error = judged.report, judged.report.motion_error
        cells = (
            name,
            *(
                "-" if v is None else f"{v:.{d}f}"
                for v, d in ((r.drift_mean, 3), (r.drift_worst, 3), (r.repetition, 2))
            ),
            f"{r.seam_ratio:.2f}",
            f"{judged.pace:.2f}",
            "-" if r.static_error_max is None else f"{255 * r.static_error_max:.0f}",
            f"{r.contrast_min:.3f}",
            f"{r.flicker:.3f}",
            f"{r.sharpness_min:.2f}",
            f"{judged.moved:.2f}",
            f"{100 * judged.unexplained:.2f} %",
            "-" if error is None else f"{error.endpoint:.3f}",
            "-" if error is None else f"{error.angle:.1f}",
            f"{judged.first:.1f}",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def verdicts(results: Mapping[str, Mapping[str, QualityReport]], default: str, plain: str) -> str:
    """Markdown: what must hold of the default, picture by picture."""
    lines = [
        "| picture | contrast >= 0.97 | seam 0.95..1.05 | static 0 | moved, more than the plain cross-fade "
        "| drift <= 0.065; with one cycle |",
        "|---|---|---|---|---|---|",
    ]
    for image, loops in results.items():
        ours, theirs = loops[default], loops[plain]
        r = ours.report
        static = r.static_error_max or 0.0
        checks = (
            (f"{r.contrast_min:.3f}", r.contrast_min >= 0.97),
            (f"{r.seam_ratio:.3f}", 0.95 <= r.seam_ratio <= 1.05),
            (f"{255 * static:.0f}", static == 0),
            (f"{ours.moved:.2f}, {theirs.moved:.2f}", ours.moved > theirs.moved),
            (f"{_drift(ours):.3f}, {_drift(loops[ONE_CYCLE]):.3f}", _drift(ours) <= MOST_DRIFT),
        )
        lines.append(f"| {image} | " + " | ".join(f"{text} {'yes' if ok else 'NO'}" for text, ok in checks) + " |")
    return "\n".join(lines)


def _drift(judged: QualityReport) -> float:
    return judged.report.drift_mean or 0.0


def sheet(loops: Mapping[str, Sequence], mask: np.ndarray) -> np.ndarray:
    """uint8 [h, w, 3]: a row for each loop: frames at 0, 1/4, 1/2, 3/4, the busiest square of fluid, pixel by pixel."""
    rows, first = [], next(iter(loops.values()))[0]
    top, left, side = _busiest(as_bytes(first), mask)
    for name, frames in loops.items():
        count = len(frames)
        tiles = [as_bytes(frames[count * k // 4])[top : top + side, left : left + side] for k in range(4)]
        row = np.hstack(tiles)
        bar = np.full((22, row.shape[1], 3), 24, np.uint8)
        cv2.putText(bar, name, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (235, 235, 235), 1, cv2.LINE_AA)
        rows += [bar, row]
    return np.vstack(rows)


def _busiest(image: np.ndarray, mask: np.ndarray) -> tuple[int, int, int]:
    """(top, left, side) of the square, 3/8 of the longer side, with the most fluid and contrast in it."""
    side = min(3 * max(mask.shape) // 8, *mask.shape)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    energy = (grey - cv2.GaussianBlur(grey, (0, 0), 8)) ** 2 * (mask > 0.5)
    sums = cv2.boxFilter(energy, -1, (side, side), anchor=(0, 0), normalize=False, borderType=cv2.BORDER_CONSTANT)
    sums = sums[: mask.shape[0] - side + 1, : mask.shape[1] - side + 1]
    top, left = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(top), int(left), side
