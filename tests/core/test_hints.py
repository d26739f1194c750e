"""Hints from and to JSON, and onto a pixel grid."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from t2c_core.errors import InputError
from t2c_core.hints import (
    MAX_ITEMS,
    MAX_POINTS,
    MAX_TEXT,
    arrow_samples,
    draw_polyline,
    format_hints,
    paint_strokes,
    parse_hints,
    rasterise_strokes,
    to_pixels,
)
from t2c_core.types import Arrow, MotionHints, Stroke

FULL = MotionHints(
    arrows=(Arrow(((0.1, 0.2), (0.3, 0.45), (1.0, 0.0)), 2.5), Arrow(((0.5, 0.5), (-0.25, 1.25)), 0.0)),
    pins=((0.0, 1.0), (1 / 3, 0.1)),
    strokes=(Stroke(((0.2, 0.2),), 0.05), Stroke(((0.1, 0.1), (0.9, 0.9)), 1.0, "freeze", 0.3)),
)


def arrow(**change) -> str:
    return json.dumps({"arrows": [{"points": [[0.1, 0.1], [0.2, 0.2]]}, {"points": [[0, 0], [1, 1]]} | change]})


def stroke(**change) -> str:
    return json.dumps({"strokes": [{"points": [[0.1, 0.1]], "radius": 0.1, "mode": "move"} | change]})


def test_round_trip_gives_an_equal_value():
    assert parse_hints(format_hints(FULL)) == FULL
    assert parse_hints(format_hints(MotionHints())) == MotionHints()


@pytest.mark.parametrize("text", ["", "  \n\t", "{}", '{"version": 1}', '{"arrows": [], "pins": [], "strokes": []}'])
def test_nothing_drawn_is_no_hints(text):
    assert parse_hints(text).empty


def test_missing_entries_have_the_documented_defaults():
    hints = parse_hints('{"arrows":[{"points":[[0,0],[1,1]]}], "strokes":[{"points":[[0.5,0.5]]}]}')
    assert hints.arrows[0].speed == 1.0
    assert (hints.strokes[0].radius, hints.strokes[0].mode) == (0.02, "move")


def test_the_limits_themselves_are_allowed():
    text = json.dumps({"pins": [[0.5, 0.5]] * MAX_ITEMS, "strokes": [{"points": [[-0.5, 1.5]] * MAX_POINTS}]})
    hints = parse_hints(text)
    assert (len(hints.pins), len(hints.strokes[0].points)) == (MAX_ITEMS, MAX_POINTS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        # The text as a whole.
        ('{"arrows": [', "not valid JSON"),
        ("arrows", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"pins": ' + "[" * 100_000 + "]" * 100_000 + "}", "not valid JSON"),
        (" " * MAX_TEXT + "{}", "4.0 MB long; at most 4 MB"),
        ("[]", "must be a JSON object"),
        ("null", "must be a JSON object"),
        ("3", "must be a JSON object"),
        ('"text"', "must be a JSON object"),
        ('{"version": 2}', "version 2"),
        ('{"version": "1"}', "version '1'"),
        ('{"version": null}', "version None"),
        ('{"version": true}', "version True"),
        ('{"arows": []}', "unknown entries: arows"),
        # Lists that are none, or too long.
        ('{"arrows": {}}', "'arrows' must be a list"),
        ('{"arrows": "abc"}', "'arrows' must be a list"),
        ('{"pins": null}', "'pins' must be a list"),
        ('{"strokes": 5}', "'strokes' must be a list"),
        (json.dumps({"arrows": [{"points": [[0, 0], [1, 1]]}] * 10_000}), "10000 arrows; at most 2000"),
        (json.dumps({"pins": [[0.5, 0.5]] * (MAX_ITEMS + 1)}), "2001 pins"),
        (stroke(points=[[0.5, 0.5]] * (MAX_POINTS + 1)), "20001 points; at most 20000"),
        # Arrows.
        ('{"arrows": [5]}', "arrow 1 must be an object"),
        ('{"arrows": [[[0, 0], [1, 1]]]}', "arrow 1 must be an object"),
        ('{"arrows": [{}]}', "arrow 1 needs a list of at least 2 points"),
        (arrow(points="ab"), "arrow 2 needs a list"),
        (arrow(points=[[0, 0]]), "arrow 2 needs a list of at least 2 points"),
        (arrow(points=[[0, 0], [1]]), "arrow 2 point 2 must be a pair"),
        (arrow(points=[[0, 0, 0], [1, 1, 1]]), "arrow 2 point 1 must be a pair"),
        (arrow(points=[[0, 0], "xy"]), "arrow 2 point 2 must be a pair"),
        (arrow(points=[[0, 0], ["0", "1"]]), 'arrow 2 point 2 x must be a number, not "0"'),
        (arrow(points=[[0, 0], [1, True]]), "arrow 2 point 2 y must be a number, not true"),
        (arrow(points=[[0, 0], [None, 1]]), "arrow 2 point 2 x must be a number, not null"),
        (arrow(points=[[0, 0], [math.nan, 1]]), "arrow 2 point 2 x must be a number, not NaN"),
        (arrow(points=[[0, 0], [1, math.inf]]), "arrow 2 point 2 y must be a number, not Infinity"),
        (arrow(points=[[0, 0], [1, -math.inf]]), "arrow 2 point 2 y must be a number, not -Infinity"),
        (arrow(points=[[0, 0], [1, 10**400]]), "arrow 2 point 2 y must be a number"),
        ('{"pins": [[0, ' + "1" * 5000 + "]]}", "not valid JSON"),
        (arrow(points=[[0, 0], [1.51, 1]]), "arrow 2 point 2 x is 1.51"),
        (arrow(points=[[0, -0.6], [1, 1]]), "arrow 2 point 1 y is -0.6"),
        (arrow(points=[[300, 200], [310, 200]]), "arrow 2 point 1 x is 300"),
        (arrow(points=[[0.3, 0.4]] * 5), "arrow 2 has no length"),
        (arrow(speed=-1), "arrow 2 speed is -1"),
        (arrow(speed=65), "arrow 2 speed is 65"),
        (arrow(speed=True), "arrow 2 speed must be a number, not true"),
        (arrow(speed="1"), 'arrow 2 speed must be a number, not "1"'),
        (arrow(speed=math.nan), "arrow 2 speed must be a number, not NaN"),
        ('{"arrows": [{"points": [[0, 0], [1, 1]], "speed": 1e999}]}', "arrow 1 speed must be a number"),
        # Pins.
        ('{"pins": [0.5, 0.5]}', "pin 1 must be a pair"),
        ('{"pins": [[0.5, 0.5], [0.5, false]]}', "pin 2 y must be a number"),
        ('{"pins": [[0.5, 2]]}', "pin 1 y is 2"),
        # Strokes.
        ('{"strokes": ["x"]}', "stroke 1 must be an object"),
        (stroke(points=[]), "stroke 1 needs a list of at least 1 points"),
        (stroke(points={"x": 1}), "stroke 1 needs a list"),
        (stroke(radius=-0.1), "stroke 1 radius is -0.1"),
        (stroke(radius=0), "stroke 1 radius is 0"),
        (stroke(radius=1.5), "stroke 1 radius is 1.5"),
        (stroke(radius=[1]), "stroke 1 radius must be a number"),
        (stroke(mode="smear"), 'stroke 1 mode is "smear"'),
        (stroke(feather=1.1), "stroke 1 feather is 1.1"),
        (stroke(feather="soft"), "stroke 1 feather must be a number"),
        (stroke(mode=["move"]), "stroke 1 mode is"),
        (stroke(mode=None), "stroke 1 mode is null"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else None,
)
def test_bad_hints_are_refused_with_the_name_of_the_item(text, says):
    with pytest.raises(InputError) as caught:
        parse_hints(text)
    assert caught.value.input == "hints"
    assert says in caught.value.problem
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("text", [json.dumps({"x" * 100_000: 1}), json.dumps({"version": "x" * 100_000})])
def test_the_message_stays_short_however_long_the_mistake_is(text):
    with pytest.raises(InputError) as caught:
        parse_hints(text)
    assert len(str(caught.value)) < 500


def test_pixels_have_their_centres_at_whole_numbers():
    pixels = to_pixels(((0.0, 0.0), (1.0, 1.0), (0.5, 0.5), (1.5 / 8, 2.5 / 5)), 5, 8)
    assert np.allclose(pixels, [[-0.5, -0.5], [7.5, 4.5], [3.5, 2.0], [1.0, 2.0]])


def test_a_line_has_the_width_asked_for():
    canvas = np.zeros((41, 61), np.uint8)
    draw_polyline(canvas, ((0.0, 0.5), (1.0, 0.5)), 4.0)
    assert (canvas[:, 10:-10].sum(0) == 9).all()
    assert canvas[16:25, 30].all() and not canvas[:16].any() and not canvas[25:].any()


@pytest.mark.parametrize("points", [((0.5, 0.5),), ((0.5, 0.5), (0.5, 0.5))])
def test_a_dot_is_a_disk(points):
    canvas = np.zeros((101, 101), np.uint8)
    draw_polyline(canvas, points, 20.0)
    assert canvas.sum() == pytest.approx(math.pi * 20**2, rel=0.1)
    assert canvas[50, 50] and canvas[50, 30] and not canvas[32, 32]


@pytest.mark.parametrize("radius", [0.0, 0.2, 0.5])
def test_a_stroke_leaves_at_least_one_pixel(radius):
    for points in (((0.5, 0.5),), ((0.4, 0.5), (0.6, 0.5))):
        canvas = np.zeros((9, 9), np.uint8)
        draw_polyline(canvas, points, radius)
        assert canvas[4, 4] == 1


@pytest.mark.parametrize(("height", "width"), [(64, 96), (151, 227), (601, 901), (1200, 1800)])
def test_strokes_cover_the_same_part_of_the_image_at_any_size(height, width):
    hints = MotionHints(
        strokes=(Stroke(((0.2, 0.3), (0.5, 0.7), (0.8, 0.3)), 0.04), Stroke(((0.5, 0.2),), 0.06, "freeze"))
    )
    reference = rasterise_strokes(hints, 2400, 3600)
    drawn = rasterise_strokes(hints, height, width)
    assert drawn.shape == (height, width)
    # A stroke's edge is right to a pixel: on a small picture that is a larger part of it.
    for value, border in ((1, 2 * 1.1 * height), (2, 2 * math.pi * 0.06 * width)):
        wrong = abs((drawn == value).mean() - (reference == value).mean()) * drawn.size
        assert wrong <= 0.75 * border
        assert wrong <= 0.2 * (drawn == value).sum()


def test_the_last_stroke_wins():
    dot, mask = ((0.5, 0.5),), []
    for order in (("move", "freeze"), ("freeze", "move"), ("move", "freeze", "move")):
        hints = MotionHints(strokes=tuple(Stroke(dot, 0.2, mode) for mode in order))
        mask.append(int(rasterise_strokes(hints, 15, 21)[7, 10]))
    assert mask == [2, 1, 1]


def test_erasing_takes_away_what_was_painted_before_only():
    strokes = [Stroke(((0.5, 0.5),), 0.4), Stroke(((0.5, 0.5),), 0.2, "erase"), Stroke(((0.5, 0.5),), 0.1, "freeze")]
    drawn = rasterise_strokes(MotionHints(strokes=tuple(strokes)), 101, 101)
    assert [drawn[50, x] for x in (50, 65, 75, 95)] == [2, 0, 1, 0]
    again = rasterise_strokes(MotionHints(strokes=(*strokes, Stroke(((0.5, 0.5),), 0.3, "move"))), 101, 101)
    assert set(again[50, 25:76]) == {1}


@pytest.mark.parametrize("feather", [0.25, 1.0])
def test_a_feathered_stroke_fades_in_a_straight_line(feather):
    stroke = Stroke(((0.25, 0.5), (0.75, 0.5)), 0.2, "freeze", feather)
    move, freeze = paint_strokes(MotionHints(strokes=(stroke,)), 200, 200)
    assert not move.any()
    away = np.abs(np.arange(200) - 99.5)
    expected = np.clip((40.0 - away) / (40.0 * feather), 0.0, 1.0)
    assert np.abs(freeze[:, 100] - expected).max() < 1e-5
    past_the_end = np.clip((40.0 - np.abs(np.arange(200) - 149.5)) / (40.0 * feather), 0.0, 1.0)[150:]
    assert np.abs(freeze[99, 150:] - past_the_end).max() < 0.02


def test_paint_never_adds_up_to_more_than_one():
    generator = np.random.default_rng(3)
    strokes = []
    for mode in ("move", "freeze", "erase", "move", "freeze", "move"):
        points = tuple(map(tuple, generator.uniform(0, 1, (3, 2))))
        strokes.append(Stroke(points, 0.2, mode, float(generator.uniform(0.1, 1))))
    move, freeze = paint_strokes(MotionHints(strokes=tuple(strokes)), 60, 90)
    assert move.min() >= 0 and freeze.min() >= 0 and (move + freeze).max() <= 1 + 1e-6
    assert move.max() > 0.9 and freeze.max() > 0.1


def test_a_feathered_stroke_far_outside_is_nothing():
    stroke = Stroke(((-0.5, 1.5), (-0.4, 1.5)), 0.05, "move", 0.5)
    assert not any(paint.any() for paint in paint_strokes(MotionHints(strokes=(stroke,)), 40, 30))


def test_strokes_outside_the_image_leave_it_empty():
    hints = MotionHints(strokes=(Stroke(((-0.4, -0.4), (-0.4, 1.4)), 0.05),))
    assert not rasterise_strokes(hints, 13, 7).any()
    assert rasterise_strokes(MotionHints(), 3, 2).shape == (3, 2)


def test_samples_are_evenly_spaced_and_hold_both_ends():
    hints = MotionHints(arrows=(Arrow(((0.1, 0.5), (0.9, 0.5)), 2.0),))
    at, v = arrow_samples(hints, 50, 100, spacing=3.0)
    steps = np.hypot(*np.diff(at, axis=0).T)
    assert np.allclose(steps, steps[0]) and 1.5 < steps[0] <= 3.0
    assert np.allclose(at[[0, -1]], [[9.5, 24.5], [89.5, 24.5]])
    assert np.allclose(v, [2.0, 0.0])


def test_directions_are_those_of_pixels_not_of_fractions():
    hints = MotionHints(arrows=(Arrow(((0.0, 0.0), (1.0, 1.0)), 5.0),))
    _, v = arrow_samples(hints, 30, 40, spacing=2.0)
    assert np.allclose(v, [4.0, 3.0])


def test_a_bend_turns_smoothly_and_keeps_its_speed():
    hints = MotionHints(arrows=(Arrow(((0.1, 0.1), (0.9, 0.1), (0.9, 0.9)), 3.0),))
    at, v = arrow_samples(hints, 100, 100, spacing=1.0)
    angles = np.degrees(np.arctan2(v[:, 1], v[:, 0]))
    assert np.allclose(np.hypot(*v.T), 3.0)
    assert angles[0] == pytest.approx(0) and angles[-1] == pytest.approx(90)
    assert angles[np.argmin(np.hypot(*(at - [89.5, 9.5]).T))] == pytest.approx(45, abs=2)
    assert (np.diff(angles) > -1e-9).all() and np.diff(angles).max() < 3


@pytest.mark.parametrize("back", [0.5, 0.501, 0.52])
def test_a_hairpin_goes_there_and_back_at_full_speed(back):
    hints = MotionHints(arrows=(Arrow(((0.2, 0.5), (0.8, 0.5), (0.2, back)), 2.0),))
    _, v = arrow_samples(hints, 100, 100, spacing=1.0)
    assert np.isfinite(v).all() and np.allclose(np.hypot(*v.T), 2.0)
    half = len(v) // 2
    assert (v[: half - 4, 0] > 1.9).all() and (v[half + 4 :, 0] < -1.9).all()


def test_repeated_points_and_lengthless_arrows_do_no_harm():
    doubled = MotionHints(arrows=(Arrow(((0.2, 0.5), (0.2, 0.5), (0.8, 0.5), (0.8, 0.5))),))
    at, v = arrow_samples(doubled, 20, 20, spacing=1.0)
    assert np.allclose(v, [1.0, 0.0]) and np.allclose(at[[0, -1], 0], [3.5, 15.5])
    at, v = arrow_samples(MotionHints(arrows=(Arrow(((0.5, 0.5), (0.5, 0.5))),)), 20, 20, spacing=1.0)
    assert at.shape == v.shape == (0, 2)
    assert arrow_samples(MotionHints(), 20, 20, spacing=1.0)[0].shape == (0, 2)


def test_a_byte_order_mark_is_no_part_of_the_hints():
    assert parse_hints('\ufeff{"pins": [[0.5, 0.25]]}').pins == ((0.5, 0.25),)
