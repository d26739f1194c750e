"""The report of a loop's quality, as values, as JSON and as a table."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from .motion import MotionError


@dataclass(frozen=True)
class LoopReport:
    """Everything is measured inside the mask unless it says 'static'. None = could not be measured.

    frames, height, width: of the loop.
    seam_ratio: the step from the last frame back to the first, over the median step inside. 1 = no seam; near 0 = the
        first frame comes twice; well above 1 = a jerk. A step is the mean absolute difference of two neighbours; the
        idea of comparing the transition with its surroundings is that of "Video
        Textures" (Schödl et al., SIGGRAPH 2000).
    worst_step_ratio: the largest step of all, the seam included, over the same median.
    pace: smallest over largest step, the seam included.
    duplicate_frames: frames equal to the one before, going round (a frozen loop of N has N - 1).
    palindrome: 0..1; 1 = the loop runs back over its own frames (ping-pong).
    static_error_max, static_error_mean: |frame - source| where the mask is 0, in 0..1, worst and mean over pixels and
        frames (the first frame stands in for a missing source).
    contrast_min: least standard deviation of the high-passed luma over that of frame 0. Cross-fading two unrelated
        textures takes it to 0.71 (Heitz & Neyret, "High-Performance By-Example Noise using a Histogram-Preserving
        Blending Operator", HPG 2018). contrast_curve: one value per frame. High pass = luma minus a Gaussian blur of
        sigma = longer side / 64.
    spread_min: the same for the plain luma.
    flicker: standard deviation over time of contrast_curve.
    sharpness_min, sharpness_curve: variance of the Laplacian over that of frame 0 (Pech-Pacheco et al., "Diatom
        autofocusing in brightfield microscopy", ICPR 2000).
    motion_amount: median speed found by optical flow, px/frame; a frozen image wins every other figure but this.
    motion_error: what that flow says about the field (see MotionProbe), None without a field.
    drift_mean, drift_worst: appearance drift, how far places stop looking as they do in frame 0: mean, and 95th
        percentile of the worst frame (see appearance.py). Real waves: 0.05 after 25 frames; melted falls: above 0.1.
    repetition: largest autocorrelation over time; 1 = a shorter loop played again.
    uncovered: fraction of the mask that is NaN in some frame: what neither layer covered and nothing filled.
    filled: fraction of the mask that in some frame shows continued or filled-in fluid; None without a coverage map.
    """

    frames: int
    height: int
    width: int
    seam_ratio: float | None
    worst_step_ratio: float | None
    duplicate_frames: int
    palindrome: float
    static_error_max: float | None
    static_error_mean: float | None
    contrast_min: float | None
    contrast_curve: tuple[float, ...]
    spread_min: float | None
    flicker: float | None
    sharpness_min: float | None
    sharpness_curve: tuple[float, ...]
    motion_amount: float | None
    motion_error: MotionError | None
    uncovered: float = 0.0
    pace: float | None = None
    drift_mean: float | None = None
    drift_worst: float | None = None
    repetition: float | None = None
    filled: float | None = None

    def as_dict(self) -> dict:
        """Plain numbers, lists and None: ready for JSON."""
        return asdict(self) | {key: list(getattr(self, key)) for key in ("contrast_curve", "sharpness_curve")}

    def as_table(self) -> str:
        """One line per figure: name, value, unit, what is good."""
        r, error = self, self.motion_error
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
            rows += [
                ("motion error, median", _number(error.endpoint, " px"), "0.3 or less on textured water"),
                ("direction error, median", _number(error.angle, " deg"), f"small; {error.pixels} pixels judged"),
            ]
        rows += [
            ("pace", _number(r.pace), "1; 0.9 or more"),
            ("appearance drift, mean", _number(r.drift_mean), "0.065 or less"),
            ("appearance drift, worst", _number(r.drift_worst), "0.17 or less"),
            ("repetition", _number(r.repetition), "0.35 or less; 1 = a shorter loop played again"),
            ("uncovered", _number(r.uncovered), "0"),
        ]
        if r.filled is not None:
            rows.append(("filled in", _number(r.filled), "small"))
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        return "\n".join(f"{n:<{widths[0]}}  {v:>{widths[1]}}  {good}".rstrip() for n, v, good in rows)


def _number(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{value:.3f}{unit}"


def _levels(value: float | None) -> str:
    return "-" if value is None else f"{value * 255:.3f}/255"
