"""Several directions for several parts of the fluid."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.flow.regions import region_angles
from t2c_core.flow.solver import solve_flow
from t2c_core.pictures import load_picture
from t2c_core.prompt.directions import find_directions, usual_directions
from t2c_core.types import Attention

PICTURES = Path(os.environ.get("T2C_PICTURES") or Path(__file__).parents[2] / "assets")
SKY_AND_SEA = "clouds drifting to the right above a river flowing to the left"


def two_parts(height=60, width=80):
    mask = torch.zeros(1, height, width)
    mask[:, : height // 3] = 1
    mask[:, height * 2 // 3 :] = 1
    return mask


def test_one_direction_is_one_number():
    assert region_angles(two_parts(), find_directions("a river flowing to the left")) == 180
    assert region_angles(two_parts(), []) is None


def test_height_tells_sky_from_water():
    angles = region_angles(two_parts(), find_directions(SKY_AND_SEA))
    assert angles.shape == (1, 60, 80)
    assert (angles[:, :20] == 0).all() and (angles[:, 40:] == 180).all()


def test_one_part_takes_the_first_direction():
    assert region_angles(torch.ones(1, 60, 80), find_directions(SKY_AND_SEA)) == 0


def test_attention_tells_left_from_right():
    heat = torch.zeros(3, 4, 6)
    heat[0, :, :3], heat[2, :, 3:] = 0.2, 0.6
    places = torch.eye(24)
    attention = Attention(places, (4, 6), places, ("river", "and", "waterfall"), heat)
    said = find_directions("a river flowing to the left and a waterfall falling down")
    angles = region_angles(torch.ones(1, 40, 60), said, attention)
    assert (angles[:, :, :28] == 180).all() and (angles[:, :, 32:] == 270).all()
    # Without maps of two of the things it is as if there were no attention.
    unknown = Attention(places, (4, 6), places, ("lava",), heat[:1])
    assert region_angles(two_parts(), find_directions(SKY_AND_SEA), unknown).shape == (1, 60, 80)


@pytest.mark.parametrize("name", ["evening_glow.jpg", "stream.jpg"])
def test_directions_do_not_bleed_between_parts(name):
    if not (PICTURES / name).is_file():
        pytest.skip("T2C_PICTURES is not set: run 'python3 scripts/test.py', which fetches the pictures")
    picture = load_picture(PICTURES / name, longer_side=400)
    mask = two_parts(*picture.shape[1:3])
    field = solve_flow(picture, mask, angle=region_angles(mask, find_directions(SKY_AND_SEA)), follow_streaks=0.0)
    third = picture.shape[1] // 3
    for part, angle in ((slice(0, third), 0.0), (slice(2 * third, None), 180.0)):
        x, y = field.velocity[0, :, part].flatten(1).mean(1)
        found = torch.rad2deg(torch.atan2(-y, x))
        assert abs((float(found) - angle + 180) % 360 - 180) < 5
        each = torch.rad2deg(torch.atan2(-field.velocity[0, 1, part], field.velocity[0, 0, part]))
        inside = mask[0, part] > 0
        assert (((each - angle + 180) % 360 - 180).abs()[inside] < 5).float().mean() > 0.95


def test_a_map_of_one_angle_is_that_angle():
    picture, mask = torch.rand(1, 60, 80, 3), two_parts()
    whole = solve_flow(picture, mask, angle=200.0)
    mapped = solve_flow(picture, mask, angle=torch.full_like(mask, 200.0))
    assert torch.allclose(whole.velocity, mapped.velocity, atol=1e-4)


@pytest.mark.parametrize("angle", [torch.zeros(1, 3, 3), torch.full((1, 60, 80), float("nan"))])
def test_a_map_that_cannot_be(angle):
    with pytest.raises(InputError) as caught:
        solve_flow(torch.rand(1, 60, 80, 3), two_parts(), angle=angle)
    assert caught.value.input == "angle"


def test_usual_directions():
    found = {d.subject: d.angle for d in usual_directions("a waterfall under clouds, smoke, a castle")}
    assert found == {"waterfall": 270, "clouds": 0, "smoke": 90}
    assert usual_directions("a castle") == []
