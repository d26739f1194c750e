"""Directions as people write them, beyond the paper's twelve phrases."""

from __future__ import annotations

import pytest

from t2c_core.prompt.directions import angle_from_text, find_directions, without_directions

SAID = [
    ("a river flowing down to the left", 225),
    ("smoke moving upwards and to the right", 45),
    ("water falling down", 270),
    ("clouds drifting slowly to the right", 0),
    ("a stream flowing from left to right", 0),
    ("fog moving rightwards", 0),
    ("clouds coming from the left", 0),
    ("waves rolling towards the left", 180),
    ("clouds moving to the upper right", 45),
    ("a creek running down and left", 225),
    ("lava flowing diagonally down-left", 225),
    ("smoke rising", 90),
    ("ascending smoke", 90),
    ("a cascading waterfall", 270),
    ("a river going left-to-right", 0),
    ("steam going up and to the left", 135),
    ("a waterfall from top to bottom", 270),
    ("clouds blown from the right", 180),
    ("a large waterfall falling from hills", 270),
    ("the sea flows right to left", 180),
    ("fire rises upwards", 90),
    ("water pouring down over rocks", 270),
    ("a river that flows rightward", 0),
    ("a river flows to the right, castle in front", 0),
    ("snow falling", 270),
    ("clouds moving left", 180),
    ("smoke blowing to the left", 180),
    ("a brook running to the lower left", 225),
    ("river flowing from top left to bottom right", 315),
    ("waterfall plunging over a cliff", 270),
    ("clouds drift leftwards over hills", 180),
    ("a river flowing to the lower right", 315),
    ("smoke drifting up and right", 45),
    ("flames shooting up", 90),
    ("waves moving toward the right", 0),
    ("water flowing in downwards direction", 270),
    ("river in right to left, downwards direction", 207.5),
    ("the river flows downwards, left to right", 297.5),
    ("mist rising slowly", 90),
    ("a geyser bursting upwards", 90),
    ("rain falling to the left", 225),
    ("a river winding down to the right", 315),
    ("water gushing down", 270),
    ("clouds racing from right to left", 180),
    ("river descending from the mountains", 270),
    ("dust swirling upward", 90),
    ("clouds float gently to the left", 180),
    ("waves rolling upwards and to the left", 135),
    ("a cloud slowly moving towards the right", 0),
    ("an ocean current sweeping leftwards", 180),
    ("the river runs from right to left", 180),
    ("a fountain shooting upwards", 90),
    ("water trickling down", 270),
    ("rapids rushing to the lower left", 225),
    ("lava creeping down and to the right", 315),
    ("clouds passing quickly to the left", 180),
    ("smoke curling up to the right", 45),
    ("bottom to top", 90),
    ("fog rolling in from the left", 0),
    ("snow drifting down to the right", 315),
    ("steam ascending to the left", 135),
]
NOT_SAID = [
    "a house on the left",
    "to the left of the river",
    "a man in a down jacket",
    "close up of water",
    "a river on the right bank",
    "a bright sunset",
    "an upright stone",
    "the right side of a lake",
    "Niagara Falls",
    "a hut down by the river",
    "a sunset down under",
    "a waterfall in a forest",
    "a tree standing to the right of a lake",
    "the lower left corner is dark",
    "a lake, mountain in the left background",
    "river bank, upper house",
    "a castle up on a hill",
    "left bank of the Seine",
    "the top of a mountain",
    "bottom of the sea",
    "a copyright notice",
    "a lake right in front of a castle",
    "autumn fall leaves by a river",
    "the moon above a lake",
    "rising sun over the sea",
    "a falling star above a lake",
    "a downtown river",
    "the upper falls",
    "a river upstream of the town",
    "a boat to the left, a house to the right",
    "running shoes on the left side",
    "an upside down house",
    "right angle",
    "a backdrop of hills",
    "a path on the right",
    "left alone by the sea",
    "a river with a bridge at the top",
    "a house at the bottom of the falls",
    "a updraft",
    "a town by the river, right of centre",
    "a view from above the sea",
    "leaves on the left of a path",
    "the river's left arm",
    "sit back and relax by the lake",
]


@pytest.mark.parametrize(("text", "angle"), SAID)
def test_a_direction_is_found(text, angle):
    found = angle_from_text(text)
    assert found is not None
    assert abs((found - angle + 180) % 360 - 180) < 1e-6


@pytest.mark.parametrize("text", NOT_SAID)
def test_a_place_is_no_direction(text):
    assert find_directions(text) == []
    assert angle_from_text(text) is None


def test_there_are_many_of_both():
    assert len(SAID) >= 60 and len(NOT_SAID) >= 40


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
    ],
)
def test_the_rest_of_the_text_stays_tidy(text, rest):
    assert without_directions(text) == rest
