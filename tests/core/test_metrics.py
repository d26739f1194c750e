from __future__ import annotations

import json
import math
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch

from t2c_core.cli.main import parse_arguments
from t2c_core.errors import InputError
from t2c_core.loop.read import LoopFile
from t2c_core.loop.write import EncodeSettings, write_loop
from t2c_core.metrics.measure import measure_loop
from t2c_core.metrics.motion import MotionProbe, textured
from t2c_core.types import MotionField

SIZE = 128


def texture(seed: int = 0, size: int = SIZE, blur: float = 1.2) -> np.ndarray:
    """Noise that wraps around at the edges, about 0.5 +- 0.15, float32 [size, size, 3]."""
    noise = np.random.default_rng(seed).normal(size=(size, size)).astype(np.float32)
    wide = cv2.GaussianBlur(np.tile(noise, (3, 3)), (0, 0), blur)[size : 2 * size, size : 2 * size]
    plane = 0.5 + 0.15 * (wide - wide.mean()) / wide.std()
    return np.repeat(plane.clip(0, 1)[..., None], 3, axis=2)


def rolling(count: int = 32, step: int = 4, seed: int = 0) -> list[np.ndarray]:
    """A texture that moves right by ``step`` px/frame and is back where it began after ``count`` frames."""
    assert count * step % SIZE == 0
    return [np.roll(texture(seed), step * t, axis=1) for t in range(count)]


def constant_field(x: float, y: float, mask: np.ndarray | None = None) -> MotionField:
    velocity = torch.tensor([x, y]).reshape(1, 2, 1, 1).expand(1, 2, SIZE, SIZE).contiguous()
    plane = torch.ones(1, SIZE, SIZE) if mask is None else torch.from_numpy(mask.astype(np.float32))[None]
    return MotionField(velocity * plane[:, None], plane)


def test_a_perfect_loop():
    report = measure_loop(rolling(), flow=constant_field(4.0, 0.0))
    assert (report.frames, report.height, report.width) == (32, SIZE, SIZE)
    assert report.seam_ratio == pytest.approx(1.0, abs=1e-4)
    assert report.worst_step_ratio == pytest.approx(1.0, abs=1e-4)
    assert report.duplicate_frames == 0
    assert report.contrast_min == pytest.approx(1.0, abs=0.02)
    assert report.spread_min == pytest.approx(1.0, abs=1e-4)
    assert report.flicker == pytest.approx(0.0, abs=0.01)
    assert report.motion_amount == pytest.approx(4.0, abs=0.1)
    assert report.motion_error.endpoint < 0.1 and report.motion_error.angle < 1.0
    assert report.motion_error.pixels > 1000
    assert report.static_error_max is None and report.filled is None
    assert report.palindrome < 0.3


@pytest.mark.parametrize(
    ("asked", "endpoint", "angle"), [((4.0, 4.0), 4.0, 45.0), ((-4.0, 0.0), 8.0, 180.0), ((2.0, 0.0), 2.0, 0.0)]
)
def test_a_wrong_field_is_found_out(asked, endpoint, angle):
    error = measure_loop(rolling(), flow=constant_field(*asked)).motion_error
    assert error.endpoint == pytest.approx(endpoint, abs=0.15) and error.angle == pytest.approx(angle, abs=1.5)


def test_curved_motion_is_judged_along_its_path():
    """A rotation by 0.1 rad a frame: Euler's straight step would miss by r * 0.1**2 / 2 px."""
    big = texture(3, 2 * SIZE)
    centre = SIZE - 0.5
    frames = []
    for t in range(6):
        matrix = cv2.getRotationMatrix2D((centre, centre), -math.degrees(0.1 * t), 1.0)
        turned = cv2.warpAffine(big, matrix, (2 * SIZE, 2 * SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        frames.append(turned[SIZE // 2 : -SIZE // 2, SIZE // 2 : -SIZE // 2].clip(0, 1))
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) - (SIZE - 1) / 2
    velocity = torch.from_numpy(np.stack([-0.1 * y, 0.1 * x]))[None]
    # Only the steps inside: the last frame does not lead back to the first.
    probe = MotionProbe(x**2 + y**2 < 50**2, velocity[0].numpy())
    for a, b in pairwise(frames):
        probe.add(a[..., 1], b[..., 1])
    assert probe.error().endpoint < 0.1 and probe.error().angle < 1.5


def test_a_frozen_loop():
    report = measure_loop([texture()] * 10, flow=constant_field(4.0, 0.0))
    assert report.motion_amount == pytest.approx(0.0, abs=1e-3)
    assert report.duplicate_frames == 9
    assert report.seam_ratio is None and report.worst_step_ratio is None
    assert report.motion_error.endpoint == pytest.approx(4.0, abs=0.05)


def test_a_doubled_seam_frame():
    frames = rolling()
    report = measure_loop([*frames, frames[0]])
    assert report.duplicate_frames == 1 and report.seam_ratio == 0.0


def test_doubled_frames_inside():
    report = measure_loop([f for f in rolling() for _ in (0, 1)])
    assert report.duplicate_frames == 32 and report.worst_step_ratio == pytest.approx(1.0, abs=1e-4)


def test_a_jerk_at_the_seam():
    frames = [np.roll(texture(blur=4.0), t, axis=1) for t in range(16)]
    report = measure_loop(frames)
    assert report.seam_ratio > 5 and report.worst_step_ratio == report.seam_ratio


def test_a_jerk_inside():
    frames = [np.roll(texture(blur=4.0), t + (8 if t >= 60 else 0), axis=1) for t in range(120)]
    report = measure_loop(frames)
    assert report.seam_ratio == pytest.approx(1.0, abs=0.05) and report.worst_step_ratio > 3


def test_ping_pong_is_told_from_a_loop():
    there = rolling(32)[:16]
    bounce = measure_loop(there + there[-2:0:-1], flow=constant_field(4.0, 0.0))
    assert bounce.seam_ratio == pytest.approx(1.0, abs=0.05) and bounce.duplicate_frames == 0
    assert bounce.palindrome > 0.99
    # Half the pairs run backwards, so the direction cannot be right.
    assert bounce.motion_error.endpoint > 2.0


def crossfade(count: int = 21) -> list[np.ndarray]:
    a, b = texture(1), texture(2)
    weights = 1 - np.abs(np.linspace(-1, 1, count, endpoint=False))
    return [(0.5 + (1 - w) * (a - 0.5) + w * (b - 0.5)).astype(np.float32) for w in weights]


def test_contrast_of_a_linear_cross_fade():
    report = measure_loop(crossfade(40))
    assert report.contrast_min == pytest.approx(math.sqrt(0.5), abs=0.03)
    assert report.spread_min == pytest.approx(math.sqrt(0.5), abs=0.03)
    assert report.sharpness_min == pytest.approx(0.5, abs=0.04)
    assert len(report.contrast_curve) == len(report.sharpness_curve) == 40
    assert report.contrast_curve[0] == 1.0 and report.flicker > 0.05
    weight = 10 / 20
    assert report.contrast_curve[10] == pytest.approx(math.hypot(weight, 1 - weight), abs=0.03)


def test_high_pass_contrast_ignores_brightness_but_spread_does_not():
    x = np.linspace(-0.3, 0.3, SIZE, dtype=np.float32)[None, :, None]
    frames = [(0.5 + 0.3 * (texture() - 0.5) + x * k).astype(np.float32) for k in (1.0, 0.2, 1.0, 0.2)]
    report = measure_loop(frames)
    assert report.contrast_min > 0.95 and report.spread_min < 0.5


def test_sharpness_falls_with_blur_while_the_spread_stays():
    frames = [cv2.GaussianBlur(texture(blur=2.0), (0, 0), s) if s else texture(blur=2.0) for s in (0, 1.0, 0, 1.0)]
    report = measure_loop(frames)
    assert report.sharpness_min < 0.6 and report.spread_min > 0.8


def masked_loop() -> tuple[list[np.ndarray], np.ndarray]:
    mask = np.zeros((SIZE, SIZE), np.float32)
    mask[32:96] = 1.0
    still = texture(5)
    return [np.where(mask[..., None] > 0, f, still) for f in rolling()], mask


def test_static_error_is_exact():
    frames, mask = masked_loop()
    report = measure_loop(frames, mask)
    assert report.static_error_max == 0.0 and report.static_error_mean == 0.0
    frames = [f.copy() for f in frames]
    frames[3][0, 0] += 0.25
    report = measure_loop(frames, mask)
    assert report.static_error_max == pytest.approx(0.25, abs=1e-6)
    assert report.static_error_mean == pytest.approx(0.25 / 64 / SIZE / 32, rel=1e-3)


def test_static_error_against_the_source():
    frames, mask = masked_loop()
    source = (frames[0] + 0.125).astype(np.float32)
    report = measure_loop(frames, mask, source=torch.from_numpy(source.clip(0, 1))[None])
    assert report.static_error_mean == pytest.approx(0.125, abs=0.01)


def test_everything_else_is_measured_inside_the_mask_only():
    frames, mask = masked_loop()
    noisy = [
        np.where(mask[..., None] > 0, f, np.random.default_rng(t).random(f.shape, np.float32))
        for t, f in enumerate(frames)
    ]
    a, b = measure_loop(frames, mask), measure_loop(noisy, mask)
    assert a.seam_ratio == b.seam_ratio and a.spread_min == b.spread_min
    assert b.motion_amount == pytest.approx(a.motion_amount, abs=0.2)


def test_the_fields_own_mask_is_the_default():
    frames, mask = masked_loop()
    report = measure_loop(frames, flow=constant_field(4.0, 0.0, mask))
    assert report.static_error_max == 0.0 and report.motion_error.endpoint < 0.15


def test_uncovered_fraction():
    frames, mask = masked_loop()
    assert measure_loop(frames, mask).uncovered == 0
    torn = [torch.as_tensor(f).float().clone() for f in frames]
    torn[3][32:48, :64] = torch.nan
    torn[5][32:48, :64] = torch.nan
    report = measure_loop(torn, mask)
    assert report.uncovered == pytest.approx(0.125) and np.isfinite(report.seam_ratio)


def test_filled_fraction():
    frames, mask = masked_loop()
    coverage = torch.ones(1, SIZE, SIZE)
    coverage[:, 32:48, :64] = 0.0
    coverage[:, :32] = 0.0
    assert measure_loop(frames, mask, coverage=coverage).filled == pytest.approx(0.125)


def test_bytes_tensors_and_floats_agree():
    frames = [np.roll((texture() * 255).round().astype(np.uint8), 4 * t, axis=1) for t in range(32)]
    as_bytes = measure_loop(frames)
    as_floats = measure_loop([torch.from_numpy(f).float() / 255 for f in frames])
    assert as_bytes == as_floats


def test_an_iterator_without_a_length_will_do():
    report = measure_loop(iter(rolling()), flow=constant_field(4.0, 0.0))
    assert report.frames == 32 and report.motion_error.endpoint < 0.1


def test_flat_frames_have_no_contrast_to_compare():
    report = measure_loop([np.full((40, 40, 3), 0.5, np.float32)] * 3)
    assert report.contrast_min is None and report.sharpness_min is None and report.contrast_curve == ()
    json.dumps(report.as_dict(), allow_nan=False)
    assert "contrast, least" in report.as_table()


def test_texture_threshold_is_the_slope_in_the_weakest_direction():
    y, x = np.mgrid[0:96, 0:96].astype(np.float32)
    for amplitude, expected in ((40.0, True), (8.0, False)):
        # Slopes of amplitude * 0.2 cos: root mean square amplitude * 0.2 / sqrt 2 along x and along y.
        both = 128 + amplitude * (np.sin(0.2 * x) + np.sin(0.2 * y))
        one = 128 + 2 * amplitude * np.sin(0.2 * x)
        assert textured(both.round().astype(np.uint8))[48:80, 48:80].mean() == pytest.approx(float(expected), abs=0.45)
        assert not textured(one.round().astype(np.uint8)).any()


@pytest.mark.parametrize(
    ("frames", "arguments", "word"),
    [
        ([], {}, "frames"),
        ([texture()], {}, "frames"),
        ([texture(), texture()[:64]], {}, "frames"),
        ([texture()] * 2, {"mask": np.zeros((SIZE, SIZE))}, "mask"),
        ([texture()] * 2, {"mask": np.ones((9, 9))}, "mask"),
        ([texture()] * 2, {"source": np.ones((9, 9, 3))}, "source"),
        ([texture()[:64]] * 2, {"flow": constant_field(1, 0)}, "flow"),
    ],
)
def test_bad_input(frames, arguments, word):
    with pytest.raises(InputError) as caught:
        measure_loop(frames, **arguments)
    assert caught.value.input == word


def run_cli(*arguments: str) -> int:
    args = parse_arguments(["measure", *arguments])
    return args.run(args)


def test_command_line(tmp_path, capsys):
    frames, mask = masked_loop()
    path = write_loop([torch.from_numpy(f) for f in frames], tmp_path / "a.png", EncodeSettings(format="apng"))
    cv2.imwrite(str(tmp_path / "mask.png"), (mask * 255).astype(np.uint8))
    assert run_cli(str(path), "--mask", str(tmp_path / "mask.png"), "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["frames"] == 32 and found["static_error_max"] == 0 and found["duplicate_frames"] == 0
    assert found["motion_amount"] == pytest.approx(4.0, abs=0.2) and len(found["contrast_curve"]) == 32
    assert run_cli(str(path)) == 0
    assert "seam ratio" in capsys.readouterr().out


def test_command_line_mask_of_another_size(tmp_path, capsys):
    path = write_loop([torch.from_numpy(f) for f in rolling()], tmp_path / "a.mp4")
    half = np.zeros((64, 64), np.uint8)
    half[:, :32] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), half)
    cv2.imwrite(str(tmp_path / "large.png"), cv2.resize(half, (SIZE, SIZE), interpolation=cv2.INTER_NEAREST))
    found = []
    for options in (("--mask", str(tmp_path / "mask.png")), ("--mask", str(tmp_path / "large.png")), ()):
        assert run_cli(str(path), *options, "--json") == 0
        found.append(json.loads(capsys.readouterr().out))
    scaled, exact, everything = found
    # Scaled as animate does it: smoothly, so that the edge may lie half a pixel off.
    for figure in ("drift_mean", "static_error_mean"):
        assert scaled[figure] == pytest.approx(exact[figure], rel=0.01)
    assert not everything["static_error_mean"], "nothing is still without a mask"
    with pytest.raises(InputError, match="does not exist"):
        run_cli(str(path), "--mask", str(tmp_path / "none.png"))
    with pytest.raises(InputError, match="does not exist"):
        run_cli(str(tmp_path / "none.mp4"))


def test_a_good_loop_stays_good_through_mp4(tmp_path):
    frames, mask = masked_loop()
    path = write_loop([torch.from_numpy(f) for f in frames], tmp_path / "a.mp4")
    report = measure_loop(LoopFile(path), mask, constant_field(4.0, 0.0, mask), frames[0])
    assert 0.8 < report.seam_ratio < 1.2 and report.duplicate_frames == 0
    assert report.static_error_mean < 2 / 255 and report.contrast_min > 0.95
    assert report.motion_error.endpoint < 0.2
