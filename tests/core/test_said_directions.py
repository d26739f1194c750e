"""Directions as people write them, beyond the paper's twelve phrases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from t2c_core.prompt.directions import find_directions, without_directions


def first_angle(text: str) -> float | None:
    directions = find_directions(text)
    return directions[0].angle if directions else None


PHRASES = json.loads(Path(__file__).parents[1].joinpath("data", "said_directions.json").read_text(encoding="utf-8"))
"""said: texts and the angle of the direction in them, in degrees; not_said: texts without a direction."""


@pytest.mark.parametrize(("text", "angle"), PHRASES["said"])
def test_a_direction_is_found(text, angle):
    found = first_angle(text)
    assert found is not None
    assert abs((found - angle + 180) % 360 - 180) < 1e-6


@pytest.mark.parametrize("text", PHRASES["not_said"])
def test_a_place_is_no_direction(text):
    assert find_directions(text) == []
    assert first_angle(text) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a waterfall flowing downwards and clouds drifting to the right", {"waterfall": 270, "clouds": 0}),
        ("clouds drifting to the right, river flowing down to the left", {"clouds": 0, "river": 225}),
        ("smoke rising from a volcano, the sea in right to left direction", {"smoke": 90, "sea": 180}),
        ("falling snow over a river flowing to the left", {"snow": 270, "river": 180}),
        # What is said outright wins over what a verb means by itself.
        ("a large waterfall falling from hills during sunset in upwards direction", {"waterfall": 90}),
        ("everything flows to the left", {None: 180}),
        ("snow falling on a river flowing to the right", {"snow": 270, "river": 0}),
        ("the river flows left while the clouds move right", {"river": 180, "clouds": 0}),
        ("a rightward flowing river below leftward drifting clouds", {"river": 0, "clouds": 180}),
        ("river in left to right direction and clouds in right to left direction", {"river": 0, "clouds": 180}),
        ("upwards smoke, downwards waterfall", {"smoke": 90, "waterfall": 270}),
        # Clouds drift and waterfalls fall, even if the sea or the lake is named last.
        ("clouds above the sea drifting to the right", {"clouds": 0}),
        ("a waterfall next to a lake flowing down", {"waterfall": 270}),
        ("a boat on the river flowing to the right", {"river": 0}),
        ("a river, flowing to the left, and smoke going up", {"river": 180, "smoke": 90}),
        (
            "clouds going left, sea waves coming in from the left, smoke rising",
            {"clouds": 180, "waves": 0, "smoke": 90},
        ),
        ("a bird flying to the left over a waterfall falling down", {"waterfall": 270}),
        ("a road running up the hill beside a creek running down to the right", {"creek": 315}),
        ("(clouds drifting to the right:1.2), (river flowing left)", {"clouds": 0, "river": 180}),
        ("a castle", {}),
    ],
)
def test_what_moves_where(text, found):
    assert {d.subject: d.angle for d in find_directions(text)} == found
    for direction in find_directions(text):
        assert text[slice(*direction.span)] == direction.phrase


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("a waterfall flowing downwards and clouds drifting to the right", "a waterfall and clouds"),
        ("a large river flowing in left to right, upwards direction, 4k", "a large river, 4k"),
        ("a river is flowing slowly to the left, castle", "a river, castle"),
        ("a large waterfall falling from hills", "a large waterfall falling from hills"),
        ("a house on the left", "a house on the left"),
        ("in downwards direction", ""),
        ("a river flowing through a forest to the left", "a river flowing through a forest"),
        ("a road running up the hill, clouds drifting slowly rightwards", "a road running up the hill, clouds"),
        ("a rightward flowing river below leftward drifting clouds", "a river below clouds"),
        ("clouds that are moving to the right, sea", "clouds, sea"),
        ("smoke rising and drifting to the left, a hut", "smoke, a hut"),
        ("a waterfall, in downwards direction, fantasy", "a waterfall, fantasy"),
        ("the sea moves to the right while smoke goes up", "the sea while smoke"),
    ],
)
def test_the_rest_of_the_text_stays_tidy(text, rest):
    assert without_directions(text) == rest
