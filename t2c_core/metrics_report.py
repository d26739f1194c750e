"""The table that people read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .metrics import LoopReport


def table(report: LoopReport) -> str:
    """Name, value and what is good, one figure a line."""
    r, error = report, report.motion_error
    rows = [
        ("frames", f"{r.frames} of {r.width}x{r.height}", ""),
        ("seam ratio", _number(r.seam_ratio), "1 = no seam; 0.9..1.1 is good"),
        ("worst step ratio", _number(r.worst_step_ratio), "close to 1"),
        ("duplicate frames", str(r.duplicate_frames), "0"),
        ("palindrome", _number(r.palindrome), "0; 1 = ping-pong"),
        ("static error, max", _levels(r.static_error_max), "0 before encoding"),
        ("static error, mean", _levels(r.static_error_mean), "0 before encoding"),
        ("contrast, least", _number(r.contrast_min), "1; a plain cross-fade gives 0.71"),
        ("luma spread, least", _number(r.spread_min), "1"),
        ("flicker", _number(r.flicker), "0"),
        ("sharpness, least", _number(r.sharpness_min), "1"),
        ("motion amount", _number(r.motion_amount, " px/frame"), "above 0"),
    ]
    if error is not None:
        rows.append(("motion error, median", _number(error.endpoint, " px"), "0.3 or less on textured water"))
        rows.append(("direction error, median", _number(error.angle, " deg"), f"small; {error.pixels} pixels judged"))
    rows.append(("uncovered", _number(r.uncovered), "0"))
    if r.filled is not None:
        rows.append(("filled in", _number(r.filled), "small"))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{n:<{widths[0]}}  {v:>{widths[1]}}  {good}".rstrip() for n, v, good in rows)


def _number(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{value:.3f}{unit}"


def _levels(value: float | None) -> str:
    return "-" if value is None else f"{value * 255:.3f}/255"
