"""The loop as people judge it, in numbers, on real photographs and a painting, before any encoding."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from t2c_core.flow.solver import solve_flow
from t2c_core.hints import arrow_samples, parse_hints
from t2c_core.loop.render import LoopRenderer
from t2c_core.metrics import measure_loop
from t2c_core.pictures import load_picture
from t2c_core.segment.from_hints import mask_from_hints
from t2c_core.segment.refine import refine_mask
from t2c_core.types import MotionField, WarpPlan

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 60
# name: (anchor, speed); clouds drift, a stream's cascades stay.
CASES = {
    "stream": (1.0, 0.7),
    "evening_glow": (0.0, 1.0),
    "ocean_waves": (0.5, 1.0),
    "after_rain": (0.0, 1.0),
    "starry_night": (0.4, 1.0),
}


def _files(name: str) -> tuple[Path, Path]:
    if name == "stream":
        return ROOT / "assets" / "stream.jpg", ROOT / "assets" / "stream.hints.json"
    folder = os.environ.get("T2C_PICTURES")
    if not folder:
        if os.environ.get("CI"):
            pytest.fail("T2C_PICTURES is not set; run 'python3 scripts/test.py'")
        pytest.skip("T2C_PICTURES is not set: run 'python3 scripts/test.py', which fetches the pictures")
    return Path(folder) / f"{name}.jpg", ROOT / "tests" / "data" / f"{name}.hints.json"


def _angle_at_arrows(field: MotionField, wanted_at: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Angles (degrees) between the field and the arrows at their samples on the fluid."""
    velocity = field.velocity[0].permute(1, 2, 0).numpy()
    limits = np.array(velocity.shape[1::-1]) - 1
    x, y = np.clip(np.rint(wanted_at), 0, limits).astype(int).T
    found = velocity[y, x]
    moving = np.hypot(*found.T) > 0
    assert moving.mean() > 0.95, "the mask misses the arrows"
    cosine = (found * wanted).sum(1)[moving] / (np.hypot(*found.T) * np.hypot(*wanted.T))[moving]
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_loop(name: str) -> None:
    anchor, speed = CASES[name]
    picture_file, hints_file = _files(name)
    picture = load_picture(picture_file, longer_side=1024)
    hints = parse_hints(hints_file.read_text(encoding="utf-8"))
    mask = refine_mask(mask_from_hints(picture, hints), fill_holes=0.001, min_area=0.0005, feather=3)
    field = solve_flow(picture, mask, hints)
    at, wanted = arrow_samples(hints, *field.size, spacing=4.0)
    assert np.median(_angle_at_arrows(field, at, wanted)) <= 5.0

    plan = WarpPlan(picture, field, FRAMES, speed)
    played = MotionField(field.velocity * speed, field.mask)
    report = measure_loop(LoopRenderer(plan, anchor=anchor), mask, played, picture[0])
    # Every third frame of the same loop, for a third of the time.
    linear = measure_loop(LoopRenderer(WarpPlan(picture, field, FRAMES // 3, 3 * speed), "linear"), mask)
    # Splatting leaves holes that have to be filled; until then they are NaN.
    splat = measure_loop(LoopRenderer(WarpPlan(picture, field, FRAMES // 10, 10 * speed, "splat")), mask)
    shown = f"\ncontrast:\n{report.as_table()}\nlinear:\n{linear.as_table()}"
    assert report.static_error_max == 0, shown
    assert 0.9 <= report.seam_ratio <= 1.1, shown
    assert report.duplicate_frames == 0, shown
    assert report.palindrome < 0.1, shown
    assert splat.uncovered == 0 and splat.static_error_max == 0, shown
    assert report.contrast_min >= 0.95, shown
    assert linear.contrast_min < report.contrast_min - 0.04, shown
    assert report.sharpness_min > linear.sharpness_min, shown
    assert report.motion_error.endpoint <= 0.3, shown
    assert report.motion_error.angle <= 10.0, shown
    assert report.motion_amount > 0.1, shown
