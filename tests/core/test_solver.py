"""The solved motion field does what was drawn and flows like a fluid."""

from __future__ import annotations

import math
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.geometry import direction_vector
from t2c_core.hints import parse_hints, to_pixels
from t2c_core.io.images import load_image
from t2c_core.prompt.patterns import PHRASES, phrase_angle
from t2c_core.segment.from_hints import mask_from_hints
from t2c_core.types import Arrow, MotionHints, speed_scale
from tests.core.drawn_fields import (
    along_arrows,
    assert_arrows_are_met,
    box,
    full,
    grey,
    hints,
    solve_flow,
    speeds,
    vectors,
)

ASSETS = Path(__file__).resolve().parents[2] / "assets"


# --- what was drawn ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(97, 131), (150, 61), (33, 40), (300, 400)])
def test_arrows_are_met_exactly_on_open_water(height, width):
    drawn = MotionHints(
        (Arrow(((0.2, 0.3), (0.8, 0.3)), 1.5), Arrow(((0.2, 0.8), (0.5, 0.7), (0.8, 0.8)), 0.7)), ((0.5, 0.5),)
    )
    field = solve_flow(grey(height, width), full(height, width), drawn)
    assert field.size == (height, width) and field.velocity.dtype == torch.float32
    angle, speed = along_arrows(field, drawn)
    assert np.quantile(angle, 0.95) <= 5 and np.quantile(speed, 0.95) <= 0.05


@pytest.mark.parametrize("speed", [0.25, 1.0, 4.0])
def test_speed_multiplies_the_arrows(speed):
    drawn = hints((0.2, 0.5), (0.8, 0.5), speed=1.5)
    assert_arrows_are_met(solve_flow(grey(60, 80), full(60, 80), drawn, speed=speed), drawn, speed)


def test_opposed_arrows_make_a_whirl():
    drawn = MotionHints((Arrow(((0.3, 0.3), (0.7, 0.3)), 2.0), Arrow(((0.7, 0.7), (0.3, 0.7)), 2.0)))
    field = solve_flow(grey(80, 80), full(80, 80), drawn)
    assert_arrows_are_met(field, drawn)
    assert speeds(field)[40, 40] < 0.2 * 2 * speed_scale(80, 80)


def test_a_lively_image_does_not_bend_the_arrows():
    image = torch.rand(1, 90, 120, 3, generator=torch.Generator().manual_seed(1))
    image[:, :, ::4] = 0
    drawn = hints((0.2, 0.6), (0.8, 0.4), speed=1.2)
    assert_arrows_are_met(solve_flow(image, full(90, 120), drawn, follow_streaks=1.0), drawn)


def test_the_water_stands_still_at_pins():
    drawn = hints((0.2, 0.3), (0.8, 0.3), speed=2.0, pins=((0.5, 0.7), (0.2, 0.8)))
    field = solve_flow(grey(100, 120), full(100, 120), drawn)
    arrow = 2.0 * speed_scale(100, 120)
    for x, y in np.rint(to_pixels(drawn.pins, 100, 120)).astype(int):
        assert speeds(field)[y, x] < 0.05 * arrow
    assert speeds(field).mean() > 0.2 * arrow
    assert_arrows_are_met(field, drawn)


def test_pins_and_arrows_off_the_mask_do_nothing():
    mask = box(60, 80, np.s_[10:30])
    inside = hints((0.2, 0.33), (0.8, 0.33))
    more = MotionHints((*inside.arrows, Arrow(((0.2, 0.9), (0.8, 0.9)), 9.0)), ((0.5, 0.8),))
    a, b = (solve_flow(grey(60, 80), mask, h) for h in (inside, more))
    assert torch.allclose(a.velocity, b.velocity, atol=1e-5)


# --- the knobs --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_divergence_falls_as_incompressibility_rises():
    drawn = hints((0.2, 0.5), (0.4, 0.5), speed=2.0, pins=((0.8, 0.5),))
    divergences = []
    for amount in (0.0, 0.25, 0.5, 1.0):
        v = vectors(solve_flow(grey(96, 96), full(96, 96), drawn, incompressibility=amount, follow_streaks=0.0)).astype(
            float
        )
        divergence = np.gradient(v[..., 0], axis=1) + np.gradient(v[..., 1], axis=0)
        divergences.append(np.sqrt((divergence**2).mean()) / np.hypot(*np.moveaxis(v, -1, 0)).mean())
    assert divergences == sorted(divergences, reverse=True)
    assert divergences[-1] < 0.3 * divergences[0]


def test_smoothness_evens_out_the_field():
    drawn = MotionHints((Arrow(((0.2, 0.3), (0.8, 0.3)), 2.0), Arrow(((0.2, 0.7), (0.8, 0.7)), 0.2)))
    roughness = []
    for amount in (0.0, 0.5, 1.0):
        v = vectors(solve_flow(grey(80, 80), full(80, 80), drawn, smoothness=amount, angle=0.0))
        roughness.append(sum(float((np.diff(v, axis=a) ** 2).sum()) for a in (0, 1)))
    assert roughness[0] > roughness[1] > roughness[2]


@pytest.mark.slow
def test_streaks_turn_a_drifting_field_their_way():
    y, x = np.mgrid[:120, :120].astype(float)
    tilt = math.radians(20)
    stripes = 0.5 + 0.5 * np.sin((y * math.cos(tilt) - x * math.sin(tilt)) * 2 * math.pi / 8)
    image = torch.from_numpy(stripes).float()[None, ..., None].expand(1, 120, 120, 3)
    turned = []
    for amount in (0.0, 0.5, 1.0):
        v = vectors(solve_flow(image, full(120, 120), angle=0.0, follow_streaks=amount))[20:-20, 20:-20]
        turned.append(math.degrees(math.atan2(v[..., 1].mean(), v[..., 0].mean())))
    assert turned[0] == pytest.approx(0, abs=0.1)
    assert turned[0] < turned[1] < turned[2] and turned[1] > 10 and turned[2] < 21


def test_ripples_across_the_flow_do_not_turn_it():
    image = grey(100, 100)
    image[:, :, ::8], image[:, :, 1::8] = 0.9, 0.9
    v = vectors(solve_flow(image, full(100, 100), angle=0.0, follow_streaks=1.0))
    wanted = speed_scale(100, 100)
    assert v[..., 0].mean() == pytest.approx(wanted, rel=0.05) and np.abs(v[..., 1]).mean() < 0.05 * wanted


@pytest.mark.parametrize("phrase", PHRASES)
def test_a_direction_alone_moves_everything_that_way(phrase):
    start, end = PHRASES[phrase]
    field = solve_flow(grey(61, 83), full(61, 83), angle=phrase_angle(phrase), speed=3.0)
    x, y = vectors(field).reshape(-1, 2).mean(0)
    angle = math.degrees(math.atan2(-y, x))
    assert abs((angle - (start + end) / 2 + 180) % 360 - 180) < (end - start) / 2
    assert math.hypot(x, y) == pytest.approx(3.0 * speed_scale(61, 83), rel=0.02)
    assert np.allclose(np.array([x, y]) / math.hypot(x, y), direction_vector(phrase_angle(phrase)), atol=0.02)


def test_arrows_win_over_the_direction_and_the_direction_fills_the_rest():
    drawn = hints((0.1, 0.2), (0.3, 0.2), speed=1.0)
    mask = box(60, 160, np.s_[:], np.s_[:60]) + box(60, 160, np.s_[:], np.s_[100:])
    field = solve_flow(grey(60, 160), mask, drawn, angle=270.0)
    assert_arrows_are_met(field, drawn)
    far = vectors(field)[10:50, 115:145].mean((0, 1))
    assert far[1] > 0.5 * speed_scale(60, 160) and abs(far[0]) < 0.1 * far[1]


@pytest.mark.parametrize(("amount", "slow", "fast"), [(0.5, 0, -1), (1.0, 0, -1), (-0.5, -1, 0)])
def test_perspective_slows_what_is_far(amount, slow, fast):
    field = solve_flow(grey(100, 100), full(100, 100), angle=0.0, perspective=amount)
    rows = vectors(field)[..., 0].mean(1)
    assert rows[slow] == pytest.approx(rows[fast] * (1 - 0.9 * abs(amount)), rel=0.05)
    assert rows[fast] == pytest.approx(speed_scale(100, 100), rel=0.02)
    steps = np.diff(rows) * math.copysign(1, amount)
    assert (steps > -1e-6).all()


def test_arrows_are_met_with_perspective_too():
    drawn = hints((0.3, 0.3), (0.7, 0.4), speed=2.0)
    field = solve_flow(grey(100, 100), full(100, 100), drawn, perspective=0.8)
    assert_arrows_are_met(field, drawn)
    assert vectors(field)[-1, :, 0].mean() > 1.5 * vectors(field)[5, :, 0].mean()


# --- sizes and masks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [2, 5])
def test_the_same_hints_on_a_larger_image_move_as_many_times_faster(scale):
    drawn = hints((0.2, 0.45), (0.8, 0.6), speed=1.0)
    small = vectors(solve_flow(grey(100, 140), box(100, 140, np.s_[30:80]), drawn))
    height, width = 100 * scale, 140 * scale
    large = vectors(solve_flow(grey(height, width), box(height, width, np.s_[30 * scale : 80 * scale]), drawn))
    down = cv2.resize(large, (140, 100), interpolation=cv2.INTER_AREA) / scale
    assert np.abs(down - small)[33:77].mean() < 0.03 * np.hypot(*np.moveaxis(small, -1, 0))[33:77].mean()


def test_nothing_moves_outside_the_mask_and_the_mask_is_kept():
    mask = torch.rand(1, 45, 71, generator=torch.Generator().manual_seed(7)).mul(2).sub(1).clamp(0, 1)
    before = mask.clone()
    field = solve_flow(grey(45, 71), mask, angle=30.0)
    assert (field.velocity[0][:, mask[0] == 0] == 0).all()
    assert speeds(field)[mask[0].numpy() > 0].min() > 0
    assert torch.equal(field.mask, before) and torch.equal(mask, before)
    assert field.mask.data_ptr() != mask.data_ptr()


def test_a_soft_edge_moves_like_the_rest():
    soft = box(60, 80, np.s_[20:40])
    soft[:, 15:20], soft[:, 40:45] = 0.3, 0.01
    hard = (soft > 0).float()
    drawn = hints((0.2, 0.5), (0.8, 0.5))
    assert torch.equal(solve_flow(grey(60, 80), soft, drawn).velocity, solve_flow(grey(60, 80), hard, drawn).velocity)


def test_half_precision_gives_the_same_field():
    image = torch.rand(1, 50, 40, 3, generator=torch.Generator().manual_seed(1)).half()
    mask = box(50, 40, np.s_[10:40])
    drawn = hints((0.2, 0.5), (0.8, 0.5))
    a = solve_flow(image, mask.half(), drawn)
    b = solve_flow(image.float(), mask, drawn)
    assert a.velocity.dtype == a.mask.dtype == torch.float32
    assert torch.allclose(a.velocity, b.velocity, atol=1e-5)


def test_the_field_is_the_same_every_time():
    image = torch.rand(1, 90, 130, 3, generator=torch.Generator().manual_seed(1))
    drawn = hints((0.2, 0.5), (0.8, 0.4), pins=((0.5, 0.8),))
    a, b = (solve_flow(image, full(90, 130), drawn, angle=10.0).velocity for _ in range(2))
    assert torch.equal(a, b)


@pytest.mark.parametrize("angle", [None, 90.0])
def test_a_region_without_an_arrow_of_its_own_is_finite(angle):
    mask = box(60, 100, np.s_[10:50], np.s_[5:40]) + box(60, 100, np.s_[10:50], np.s_[60:95])
    drawn = hints((0.1, 0.5), (0.3, 0.5), speed=2.0)
    field = solve_flow(grey(60, 100), mask, drawn, angle=angle)
    assert torch.isfinite(field.velocity).all()
    assert_arrows_are_met(field, drawn)
    alone = vectors(field)[10:50, 60:95]
    if angle is None:
        assert np.abs(alone).max() < 1e-3, "nobody said that it moves"
    else:
        assert alone[..., 1].mean() < -0.3 * speed_scale(60, 100)


@pytest.mark.parametrize(("height", "width"), [(50, 70), (700, 500)])
@pytest.mark.parametrize("by", ["direction", "arrow"])
def test_a_mask_of_one_pixel(height, width, by):
    y, x = height // 2, width // 2
    mask = torch.zeros(1, height, width)
    mask[0, y, x] = 1
    at = (x + 0.5) / width, (y + 0.5) / height
    drawn = hints((at[0] - 0.2, at[1]), (at[0] + 0.2, at[1])) if by == "arrow" else None
    field = solve_flow(grey(height, width), mask, drawn, angle=0.0 if by == "direction" else None)
    assert np.allclose(vectors(field)[y, x], [speed_scale(height, width), 0], rtol=0.02, atol=1e-3)
    assert np.count_nonzero(speeds(field)) == 1


def test_a_channel_three_pixels_wide():
    mask = box(200, 512, np.s_[99:102])
    field = solve_flow(grey(200, 512), mask, hints((0.1, 0.5025), (0.9, 0.5025)))
    v = vectors(field)[99:102]
    assert np.allclose(v[..., 0], 1.0, atol=0.02) and np.abs(v[..., 1]).max() < 0.02


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (1, 40), (40, 1), (5, 4), (3, 300)])
def test_tiny_and_narrow_images(height, width):
    field = solve_flow(grey(height, width), full(height, width), angle=0.0, speed=2.0)
    assert field.size == (height, width)
    assert vectors(field)[..., 0].mean() == pytest.approx(2 * speed_scale(height, width), rel=0.05)
    along = hints((0.0, 0.5), (1.0, 0.5), speed=2.0)
    assert torch.isfinite(solve_flow(grey(height, width), full(height, width), along).velocity).all()


def test_no_speed_is_no_motion():
    assert not solve_flow(grey(20, 30), full(20, 30), angle=45.0, speed=0.0).velocity.any()


@pytest.mark.parametrize(
    ("change", "name", "says"),
    [
        ({"mask": torch.zeros(1, 20, 30)}, "mask", "is empty"),
        ({"mask": torch.ones(1, 30, 20)}, "mask", "is 20x30, the image 30x20"),
        ({"angle": None}, "hints", "no arrow and no direction"),
        ({"angle": None, "hints": MotionHints(pins=((0.5, 0.5),))}, "hints", "no arrow and no direction"),
        (
            {"angle": None, "mask": box(20, 30, np.s_[:4]), "hints": hints((0.1, 0.9), (0.9, 0.9))},
            "hints",
            "no arrow on",
        ),
        ({"angle": None, "hints": hints((1.2, 0.1), (1.4, 0.9))}, "hints", "no arrow on"),
        ({"angle": math.nan}, "angle", "is nan"),
        ({"angle": math.inf}, "angle", "is inf"),
        ({"speed": -1.0}, "speed", "is -1.0; it must lie between 0 and 16"),
        ({"speed": 65.0}, "speed", "is 65"),
        ({"speed": math.nan}, "speed", "is nan"),
        ({"smoothness": -0.01}, "smoothness", "is -0.01; it must lie between 0 and 1"),
        ({"smoothness": 1.01}, "smoothness", "is 1.01"),
        ({"incompressibility": 2.0}, "incompressibility", "is 2.0"),
        ({"follow_streaks": math.nan}, "follow_streaks", "is nan"),
        ({"perspective": -1.5}, "perspective", "is -1.5; it must lie between -1 and 1"),
    ],
)
def test_what_cannot_be_solved_is_refused(change, name, says):
    given = {"image": grey(20, 30), "mask": full(20, 30), "angle": 0.0} | change
    with pytest.raises(InputError) as caught:
        solve_flow(given.pop("image"), given.pop("mask"), **given)
    assert caught.value.input == name
    assert says in caught.value.problem


# --- the example and the time -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_example_stream():
    image = load_image(ASSETS / "stream.jpg", longer_side=512)
    drawn = parse_hints((ASSETS / "stream.hints.json").read_text(encoding="utf-8"))
    mask = mask_from_hints(image, drawn)
    field = solve_flow(image, mask, drawn)
    assert_arrows_are_met(field, drawn)
    angle, _ = along_arrows(field, drawn)
    assert np.quantile(angle, 0.9) < 25
    assert speeds(field).max() < 2 * max(a.speed for a in drawn.arrows)
    assert (speeds(field)[mask[0].numpy() == 0] == 0).all()


def river(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    y, x = np.mgrid[:size, :size] / size
    solid = np.abs(y - 0.5 - 0.2 * np.sin(6 * x)) < 0.2
    image = torch.rand(1, size, size, 3, generator=torch.Generator().manual_seed(1))
    return image, torch.from_numpy(solid).float()[None]


@pytest.mark.slow
@pytest.mark.parametrize(("size", "seconds"), [(512, 3.0), (2048, 9.0)])
def test_solving_takes_seconds_of_processor_time(size, seconds):
    image, mask = river(size)
    start = time.process_time()
    field = solve_flow(image, mask, hints((0.1, 0.6), (0.4, 0.6)))
    assert time.process_time() - start < seconds
    assert field.size == (size, size)
