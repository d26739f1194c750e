"""The document, the plot and the picture of benchmarks.ground_truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .comparison import OUT_OF_STEP, REAL, Result, Row
from .documents import rewrite
from .loops import DEFAULT, PLAIN
from .realism import BANDS, ROUNDING, octaves

BEGIN = "<!-- measured: python -m benchmarks.ground_truth --write docs/ground_truth.md -->"
END = "<!-- end of what was measured -->"
COLOURS = {
    REAL: (20, 20, 20),
    "another take of the real clip": (150, 150, 150),
    DEFAULT: (0, 110, 200),
    PLAIN: (220, 90, 20),
    "ping-pong": (30, 150, 70),
    "frozen frame": (190, 60, 160),
}
SHOWN = (REAL, DEFAULT, PLAIN, "ping-pong")
PANEL, MARGIN = 300, 50
LOWEST, HIGHEST = -40.0, 20.0


HEADER = (
    "PSNR dB", "SSIM", "FLIP", "spectra dB", "fine", "middle", "coarse", "level dB",
    "speed", "direction", "endpoint", "pace", "detail", "to field px", "to field deg",
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
        *(f"{s.bands[name]:.1f}" for name in BANDS),
        f"{s.level:+.1f}",
        f"{m.speed:.3f}",
        f"{m.direction:.2f}",
        f"{m.endpoint:.3f}",
        f"{row.pace:.2f}",
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


def write(path: Path, about: str, results: Sequence[Result]) -> None:
    """Put the tables into the document at ``path`` and its plot of spectra beside it, as <name>_spectra.png."""
    plot = path.with_name(f"{path.stem}_spectra.png")
    parts = [about, *map(markdown, results), f"![Spectra over time]({plot.name})"]
    rewrite(path, "\n\n".join(parts), BEGIN, END)
    first = results[0]
    plot_spectra({REAL: first.spectra, **{row.name: row.spectra for row in first.rows}}).save(plot, optimize=True)


def plot_spectra(spectra: Mapping[str, Mapping[str, np.ndarray]]) -> Image.Image:
    """One panel for each band: power (dB, re one grey level squared) over temporal frequency, in octaves."""
    chosen = {name: bands for name, bands in spectra.items() if name in COLOURS}
    width, height = len(BANDS) * (PANEL + MARGIN) + MARGIN, PANEL + 2 * MARGIN + 18 * (1 + len(chosen) // 3)
    image = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    for number, band in enumerate(BANDS):
        left, top = MARGIN + number * (PANEL + MARGIN), MARGIN
        draw.rectangle((left, top, left + PANEL, top + PANEL), outline=(120, 120, 120))
        draw.text((left, top - 20), f"{band} detail", "black", font)
        for level in range(int(LOWEST), int(HIGHEST) + 1, 20):
            y = _height(top, level)
            draw.line((left, y, left + PANEL, y), (225, 225, 225))
            draw.text((left - 44, y - 7), f"{level} dB", (90, 90, 90), font)
        for name, bands in reversed(chosen.items()):
            _curve(draw, bands[band], left, top, COLOURS[name])
        draw.text((left, top + PANEL + 6), "slowest change", (90, 90, 90), font)
        draw.text((left + PANEL, top + PANEL + 6), "from frame to frame", (90, 90, 90), font, anchor="ra")
    for number, name in enumerate(chosen):
        x, y = MARGIN + number % 3 * (PANEL + MARGIN), MARGIN + PANEL + 30 + 18 * (number // 3)
        draw.line((x, y + 7, x + 24, y + 7), COLOURS[name], 3)
        draw.text((x + 30, y), name, "black", font)
    return image


def _height(top: int, level: float) -> float:
    share = (HIGHEST - min(max(level, LOWEST), HIGHEST)) / (HIGHEST - LOWEST)
    return top + PANEL * share


def _curve(draw: ImageDraw.ImageDraw, power: np.ndarray, left: int, top: int, colour: tuple[int, int, int]) -> None:
    levels = 10 * np.log10(octaves(power) + ROUNDING / (len(power) - 1))
    step = PANEL / max(1, len(levels) - 1)
    draw.line([(left + i * step, _height(top, level)) for i, level in enumerate(levels)], colour, 2)


def figure(path: Path, result: Result) -> None:
    """Frames at four times, and one row of pixels over time, of the clip and three animations; holds the clip's own
    pixels, so it stays out of the repository."""
    path.parent.mkdir(parents=True, exist_ok=True)
    font = ImageFont.load_default(12)
    count, height, width = result.clips[REAL].shape[:3]
    # The row on which most happens, stretched to the whole range of grey.
    line = int(result.clips[REAL].std(axis=0, dtype=np.float32).mean(axis=(1, 2)).argmax())
    low, high = np.percentile(result.clips[REAL][:, line], (1, 99))
    small = (width // 2, height // 2)
    bands = []
    for name in SHOWN:
        clip = result.clips[name]
        parts = [Image.fromarray(clip[round(count * t / 4)]).resize(small, Image.Resampling.BOX) for t in range(1, 4)]
        over_time = (clip[:, line] - low) / max(high - low, 1.0)  # time goes down
        parts.append(Image.fromarray((255 * over_time.clip(0, 1)).astype(np.uint8)).resize(small))
        strip = Image.new("RGB", (small[0] * len(parts), small[1] + 16), "white")
        for number, part in enumerate(parts):
            strip.paste(part, (number * small[0], 16))
        label = f"{name}: frames {', '.join(str(round(count * t / 4)) for t in range(1, 4))}; row {line} over time"
        ImageDraw.Draw(strip).text((2, 1), label, "black", font)
        bands.append(strip)
    sheet = Image.new("RGB", (bands[0].width, sum(b.height for b in bands)))
    for number, strip in enumerate(bands):
        sheet.paste(strip, (0, number * strip.height))
    sheet.save(path, quality=80)
