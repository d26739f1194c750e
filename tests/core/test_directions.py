"""Directions in words."""

from __future__ import annotations

import pytest

from t2c_core.geometry import direction_vector
from t2c_core.prompt.directions import find_directions
from t2c_core.prompt.patterns import PHRASES, find_phrase, phrase_angle

# Written down here a second time on purpose: the published ranges.
PUBLISHED = [
    ("left to right", -10, 10),
    ("left to right, upwards", 10, 45),
    ("upwards, left to right", 45, 80),
    ("upwards", 80, 100),
    ("upwards, right to left", 100, 135),
    ("right to left, upwards", 135, 170),
    ("right to left", 170, 190),
    ("right to left, downwards", 190, 225),
    ("downwards, right to left", 225, 260),
    ("downwards", 260, 280),
    ("downwards, left to right", 280, 315),
    ("left to right, downwards", 315, 350),
]


def apart(a: float, b: float) -> float:
    """The angle between two directions, degrees."""
    return abs((a - b + 180) % 360 - 180)


def test_there_are_the_twelve_published_phrases():
    assert set(PHRASES) == {p for p, _, _ in PUBLISHED}


@pytest.mark.parametrize(("phrase", "start", "end"), PUBLISHED)
@pytest.mark.parametrize(
    "sentence",
    [
        "{}",
        "a large waterfall falling from hills during sunset in {} direction",
        "a waterfall in {} direction, fantasy, 4k",
        "River, flowing In A {} Direction.",
        "the water goes {}",
    ],
)
def test_a_phrase_in_a_sentence_is_the_middle_of_its_range(phrase, start, end, sentence):
    for text in (sentence.format(phrase), sentence.format(phrase).upper()):
        assert find_phrase(text) == phrase
        (direction,) = find_directions(text)
        angle = direction.angle
        assert angle == phrase_angle(text)
        assert 0 <= angle < 360
        assert apart(angle, (start + end) / 2) < 1e-9


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a river in the mountains",
        "the left bank",
        "uprights",
        "in no direction",
        "upwardly mobile",
    ],
)
def test_no_phrase_no_angle(text):
    assert find_phrase(text) is None
    assert phrase_angle(text) is None and find_directions(text) == []


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("smoke rising upward", "upwards"),
        ("in downward,left to right direction", "downwards, left to right"),
        ("in left to right , upwards direction", "left to right, upwards"),
        # The marked phrase counts, not the first words that look like one.
        ("looking upwards at a fall in downwards direction", "downwards"),
        ("in upwards, downwards direction", "upwards"),
        ("in left to right, right to left direction", "left to right"),
    ],
)
def test_spellings_and_contradictions(text, phrase):
    assert find_phrase(text) == phrase


@pytest.mark.parametrize(
    ("angle", "x", "y"),
    [(0, 1, 0), (90, 0, -1), (180, -1, 0), (270, 0, 1), (45, 0.5**0.5, -(0.5**0.5)), (-30, 0.75**0.5, 0.5)],
)
def test_vectors_have_y_downwards(angle, x, y):
    assert direction_vector(angle) == pytest.approx((x, y), abs=1e-12)
