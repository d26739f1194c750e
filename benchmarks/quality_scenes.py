"""What the loops are compared on: photographs, a painting, and drawn textures whose motion is known exactly."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from t2c_core.flow.predict import predict_flow
from t2c_core.hints import parse_hints
from t2c_core.io.images import load_image
from t2c_core.segment.fluid import segment_fluid
from t2c_core.types import MotionField, MotionHints

from .loops import render

ROOT = Path(__file__).resolve().parents[1]
TUNED = {
    "stream": "cascades and pools",
    "ocean_waves": "breaking waves",
    "evening_glow": "a lake",
    "after_rain": "storm clouds",
    "kite": "thin clouds",
    "mountain_sky": "clouds behind a ridge",
    "starry_night": "a painting",
}
"""Name -> what moves in it: the half that constants are chosen on."""
JUDGED = {
    "brook": "cascades, small and far",
    "by_the_water": "a lake, out of focus, and lights",
    "darkest_hour": "a misty lake and its sky",
    "safe_landing": "painted ponds",
    "volna": "drawn surf",
    "summer_1am": "a lake at dusk, with reeds",
    "fog": "fog on a hill",
    "sun_behind_clouds": "one cloud",
    "storm": "a storm's clouds",
}
"""The half that is only judged."""
PICTURES = TUNED | JUDGED
SPEEDS = {"stream": 0.7}
LONGER_SIDE = 1024


@dataclass(frozen=True)
class Scene:
    """picture: [1, H, W, 3] in 0..1; field: its mask and velocity (px/frame); speed: factor on it; hints: or None."""

    image: torch.Tensor
    field: MotionField
    speed: float = 1.0
    hints: MotionHints | None = None

    @property
    def played(self) -> MotionField:
        """The field as played, speed included."""
        return MotionField(self.field.velocity * self.speed, self.field.mask)

    def loop(self, frames: int, **options: Any) -> list[torch.Tensor]:
        """Frames [H, W, 3] in 0..1, with options of LoopSettings."""
        return render(self.image, self.field, frames, **{"speed": self.speed, **options})


def files(name: str) -> tuple[Path, Path]:
    """The picture's and its hints' file; the picture's may be missing if it was not fetched."""
    if name == "stream":
        return ROOT / "assets" / "stream.jpg", ROOT / "assets" / "stream.hints.json"
    folder = ROOT / "assets" if name == "mountain_sky" else Path(os.environ.get("T2C_PICTURES", ROOT / ".run/pictures"))
    return folder / f"{name}.jpg", ROOT / "tests" / "data" / f"{name}.hints.json"


def photograph(name: str, longer_side: int = LONGER_SIDE) -> Scene:
    """A picture of PICTURES with the motion that is drawn on it. Raises InputError if its file is missing."""
    image_file, hints_file = files(name)
    image = load_image(image_file, longer_side=longer_side)
    hints = parse_hints(hints_file.read_text(encoding="utf-8"))
    fluid = segment_fluid(image, hints=hints)
    field = predict_flow(image, fluid.mask, hints=hints, regions=fluid.regions)
    return Scene(image, field, SPEEDS.get(name, 1.0), hints)


def _noise(size: int, slope: float, seed: int) -> np.ndarray:
    """[size, size] noise of standard deviation 1 whose amplitude falls with frequency^-slope, periodic."""
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None]
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = 1.0
    white = np.fft.fft2(np.random.default_rng(seed).standard_normal((size, size)))
    # Nothing finer than three pixels: no renderer could carry it.
    values = np.fft.ifft2(white * frequency**-slope * (frequency < 0.33) * (frequency > 2 / size)).real
    return (values - values.mean()) / values.std()


def _coloured(values: np.ndarray) -> torch.Tensor:
    grey = torch.from_numpy(np.clip(0.5 + 0.13 * values, 0, 1)).float()
    return torch.stack([0.85 * grey, 0.95 * grey, grey], -1)[None]


def _drawn(values: np.ndarray, vx: np.ndarray, vy: np.ndarray, inside: np.ndarray) -> Scene:
    mask = torch.from_numpy(inside).float()[None]
    velocity = torch.from_numpy(np.stack([vx, vy])).float()[None]
    return Scene(_coloured(values), MotionField(velocity * mask[:, None], mask))


def _river(size: int = 384) -> Scene:
    """Foam (thresholded noise) in a straight river, fastest in the middle."""
    y, x = np.mgrid[:size, :size] / (size - 1) - 0.5
    foam = np.tanh(2 * _noise(size, 1.0, 1)) + 0.3 * _noise(size, 0.3, 2)
    return _drawn(foam, 1.2 * np.clip(1 - (y / 0.42) ** 2, 0, None), 0 * x, np.abs(y) < 0.4)


def _whirl(size: int = 384) -> Scene:
    """Fractal noise that turns as a whole: 0.004 radians a frame."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return _drawn(_noise(size, 1.2, 3), -0.004 * y, 0.004 * x, np.hypot(x, y) < 0.46 * size)


def _spring(size: int = 384) -> Scene:
    """Fine noise that wells up in the middle and flows out on all sides."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    r = np.hypot(x, y)
    speed = 0.8 * r / (r + 30.0)
    return _drawn(_noise(size, 0.7, 4), speed * x / np.maximum(r, 1), speed * y / np.maximum(r, 1), r < 0.46 * size)


DRAWN: dict[str, Callable[[], Scene]] = {"river": _river, "whirl": _whirl, "spring": _spring}
"""Name -> what makes the scene: its motion is known at every pixel."""
