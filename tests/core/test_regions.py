"""Several directions for several parts of the fluid."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.flow.regions import FlowRegion, angle_map, connected_components, split_by_direction
from t2c_core.flow.settings import FlowSettings
from t2c_core.flow.solver import solve_flow
from t2c_core.hints import parse_hints
from t2c_core.io.images import load_image
from t2c_core.prompt.directions import default_directions, find_directions
from t2c_core.prompt.parse import FAST, SLOW, parse_speed_factors
from t2c_core.segment.from_hints import mask_from_hints
from t2c_core.segment.refine import refine_mask
from t2c_core.types import Arrow, Attention, MotionHints

PICTURES = Path(os.environ.get("T2C_PICTURES") or Path(__file__).parents[2] / "assets")
DATA = Path(__file__).parents[1] / "data"
SKY_AND_SEA = "clouds drifting to the right above a river flowing to the left"


def direction_angles(mask, directions, attention=None):
    return angle_map(split_by_direction(mask, directions, attention))


def two_parts(height=60, width=80):
    mask = torch.zeros(1, height, width)
    mask[:, : height // 3] = 1
    mask[:, height * 2 // 3 :] = 1
    return mask


def test_one_direction_is_one_number():
    assert direction_angles(two_parts(), find_directions("a river flowing to the left")) == 180
    assert direction_angles(two_parts(), []) is None


def test_height_tells_sky_from_water():
    angles = direction_angles(two_parts(), find_directions(SKY_AND_SEA))
    assert angles.shape == (1, 60, 80)
    assert (angles[:, :20] == 0).all() and (angles[:, 40:] == 180).all()


def test_soft_edges_belong_to_what_they_are_the_edge_of():
    mask = two_parts()
    mask[:, 20:24] = 0.2
    mask[:, 36:40] = 0.4
    angles = direction_angles(mask, find_directions(SKY_AND_SEA))
    assert (angles[:, :24] == 0).all() and (angles[:, 36:] == 180).all()
    labels = connected_components(mask)
    assert labels.max() == 2 and (labels[:24] == labels[0, 0]).all() and (labels[36:] == labels[-1, 0]).all()
    assert not connected_components(torch.zeros(1, 5, 5)).any()


def test_specks_do_not_say_where_the_middle_is():
    mask = two_parts(120, 160)
    mask[:, 20:80] = 0
    mask[:, 0:20], mask[:, 28:36], mask[:, 118:] = 1, 1, 1
    mask[:, 80:117] = 0
    mask[:, 60, 5] = 1
    angles = direction_angles(mask, find_directions(SKY_AND_SEA))
    assert angles[0, 10, 80] == 0 and angles[0, 30, 80] == 0 and angles[0, 119, 80] == 180


def test_a_direction_of_nothing_is_for_the_rest():
    text = "everything moves to the left, smoke rising"
    angles = direction_angles(two_parts(), find_directions(text))
    assert (angles[:, :20] == 90).all() and (angles[:, 40:] == 180).all()
    heat = torch.zeros(1, 4, 6)
    heat[0, :, 4:] = 0.3
    places = torch.eye(24)
    attention = Attention(places, (4, 6), ("smoke",), heat)
    angles = direction_angles(torch.ones(1, 40, 60), find_directions(text), attention)
    assert (angles[:, :, :36] == 180).all() and (angles[:, :, 44:] == 90).all()


def test_one_part_takes_the_first_direction():
    assert direction_angles(torch.ones(1, 60, 80), find_directions(SKY_AND_SEA)) == 0


def test_attention_tells_left_from_right():
    heat = torch.zeros(3, 4, 6)
    heat[0, :, :3], heat[2, :, 3:] = 0.2, 0.6
    places = torch.eye(24)
    attention = Attention(places, (4, 6), ("river", "and", "waterfall"), heat)
    said = find_directions("a river flowing to the left and a waterfall falling down")
    angles = direction_angles(torch.ones(1, 40, 60), said, attention)
    assert (angles[:, :, :28] == 180).all() and (angles[:, :, 32:] == 270).all()
    # Without maps of two of the things it is as if there were no attention.
    unknown = Attention(places, (4, 6), ("lava",), heat[:1])
    assert direction_angles(two_parts(), find_directions(SKY_AND_SEA), unknown).shape == (1, 60, 80)


def test_a_part_that_is_nearly_all_of_one_thing_is_wholly_so():
    heat = torch.zeros(2, 20, 20)
    heat[0, :10], heat[1, 10:] = 0.5, 0.1
    heat[:, 3, 3] = heat[:, 3, 3].flip(0)
    heat[1, 3, 3] = 0.1
    places = torch.eye(400)
    attention = Attention(places, (20, 20), ("cloud", "river"), heat)
    angles = direction_angles(two_parts(), find_directions(SKY_AND_SEA), attention)
    assert (angles[:, :20] == 0).all() and (angles[:, 40:] == 180).all()
    # In one connected part each place is asked.
    angles = direction_angles(torch.ones(1, 60, 80), find_directions(SKY_AND_SEA), attention)
    assert angles[0, 10, 14] == 180 and angles[0, 10, 40] == 0 and angles[0, 50, 40] == 180


@pytest.mark.slow
def test_parts_are_solved_apart():
    image = torch.rand(1, 90, 120, 3, generator=torch.Generator().manual_seed(1))
    mask = two_parts(90, 120)
    mask[:, 30:57] = 1  # three rows between them
    regions = split_by_direction(mask, find_directions(SKY_AND_SEA))
    angles = angle_map(regions)
    drawn = MotionHints((Arrow(((0.2, 0.9), (0.8, 0.85)), 2.0),))
    for hints in (None, drawn):
        field = solve_flow(image, mask, hints, regions=regions)
        for part, angle in ((mask * (angles == 0), 0.0), (mask * (angles == 180), 180.0)):
            assert part.any()
            alone = solve_flow(image, part, hints, regions=[FlowRegion(part, angle)])
            assert torch.equal(field.velocity * part, alone.velocity * part)
    assert torch.equal(field.mask, mask)


def test_perspective_spans_all_parts():
    mask = two_parts(90, 120)
    regions, settings = split_by_direction(mask, find_directions(SKY_AND_SEA)), FlowSettings(perspective=0.5)
    assert len(regions) == 2
    field = solve_flow(torch.full((1, 90, 120, 3), 0.5), mask, regions=regions, settings=settings)
    speed = field.velocity[0].norm(dim=0)
    rows = speed.mean(1)
    assert rows[0] / rows[-1] == pytest.approx(0.5 + 0.05, rel=0.1)
    assert rows[29] < rows[62] < rows[-1]


def test_a_connected_part_is_not_divided():
    heat = torch.zeros(2, 4, 6)
    heat[0, :, :4], heat[1, :, 4:] = 1, 1
    attention = Attention(torch.eye(24), (4, 6), ("clouds", "river"), heat)
    mask = torch.ones(1, 60, 90)
    (region,) = split_by_direction(mask, find_directions(SKY_AND_SEA), attention)
    assert torch.equal(region.mask, mask)
    assert (region.angle[:, :, :55] == 0).all() and (region.angle[:, :, 65:] == 180).all()


@pytest.mark.slow
def test_sky_and_lake_of_a_photograph():
    if not (PICTURES / "evening_glow.jpg").is_file():
        pytest.skip("T2C_PICTURES is not set: run 'python3 scripts/test.py', which fetches the pictures")
    image = load_image(PICTURES / "evening_glow.jpg", longer_side=640)
    hints = parse_hints((DATA / "evening_glow.hints.json").read_text(encoding="utf-8"))
    mask = refine_mask(mask_from_hints(image, hints), fill_holes=0.001, min_area=0.0005, feather=3)
    regions = split_by_direction(mask, find_directions("clouds drifting to the right, lake flowing to the left"))
    angles = angle_map(regions)
    field = solve_flow(image, mask, regions=regions)
    x, y = field.velocity[0].numpy()
    off = np.abs((np.degrees(np.arctan2(-y, x)) - angles[0].numpy() + 180) % 360 - 180)
    moving = mask[0].numpy() > 0
    assert off[moving].max() < 90, "no place goes the other part's way"
    labels = connected_components(mask)
    for part, angle in ((1, 0.0), (2, 180.0)):
        here = moving & (labels == part)
        assert here.sum() > 10000 and set(angles[0].numpy()[here]) == {angle}
        assert np.median(off[here]) < 5


@pytest.mark.parametrize("name", ["evening_glow.jpg", "stream.jpg"])
def test_directions_do_not_bleed_between_parts(name):
    if not (PICTURES / name).is_file():
        pytest.skip("T2C_PICTURES is not set: run 'python3 scripts/test.py', which fetches the pictures")
    image = load_image(PICTURES / name, longer_side=400)
    mask = two_parts(*image.shape[1:3])
    regions = split_by_direction(mask, find_directions(SKY_AND_SEA))
    field = solve_flow(image, mask, regions=regions, settings=FlowSettings(follow_streaks=0.0))
    third = image.shape[1] // 3
    for part, angle in ((slice(0, third), 0.0), (slice(2 * third, None), 180.0)):
        x, y = field.velocity[0, :, part].flatten(1).mean(1)
        found = torch.rad2deg(torch.atan2(-y, x))
        assert abs((float(found) - angle + 180) % 360 - 180) < 5
        each = torch.rad2deg(torch.atan2(-field.velocity[0, 1, part], field.velocity[0, 0, part]))
        inside = mask[0, part] > 0
        assert (((each - angle + 180) % 360 - 180).abs()[inside] < 5).float().mean() > 0.95


def test_a_map_of_one_angle_is_that_angle():
    image, mask = torch.rand(1, 60, 80, 3), two_parts()
    whole = solve_flow(image, mask, regions=[FlowRegion(mask, 200.0)])
    mapped = solve_flow(image, mask, regions=[FlowRegion(mask, torch.full_like(mask, 200.0))])
    assert torch.allclose(whole.velocity, mapped.velocity, atol=1e-4)


@pytest.mark.parametrize("angle", [torch.zeros(1, 3, 3), torch.full((1, 60, 80), float("nan"))])
def test_a_map_that_cannot_be(angle):
    with pytest.raises(InputError) as caught:
        FlowRegion(two_parts(), angle)
    assert caught.value.input == "angle"


def test_usual_directions():
    found = {d.subject: d.angle for d in default_directions("a waterfall under clouds, smoke, a castle")}
    assert found == {"waterfall": 270, "clouds": 0, "smoke": 90}
    assert default_directions("a castle") == []


def test_a_river_without_a_direction_follows_its_banks_and_clouds_drift():
    regions = split_by_direction(two_parts(), default_directions("clouds over a river"))
    assert [region.angle for region in regions] == [0, 270], "out of the distance towards the viewer"
    down = torch.zeros(1, 80, 60)
    down[:, :, 20:40] = 1
    (region,) = split_by_direction(down, default_directions("rapids"))
    assert np.median(np.broadcast_to(angle_map([region]), down.shape)[down > 0]) == pytest.approx(270, abs=1)


def test_speeds_in_words_hold_without_regions():
    said = "clouds drifting slowly to the right above a rushing river flowing to the left"
    regions = split_by_direction(two_parts(), find_directions(said), None, parse_speed_factors(said))
    assert [(region.angle, region.speed_factor) for region in regions] == [(0, SLOW), (180, FAST)]
    (region,) = split_by_direction(two_parts(), find_directions("flowing left"), None, {"river": SLOW}, ["river"])
    assert region.speed_factor == SLOW, "the only fluid there is"
    field, slow = (
        solve_flow(torch.full((1, 60, 80, 3), 0.5), two_parts(), regions=[FlowRegion(two_parts(), 0.0, factor)])
        for factor in (1.0, SLOW)
    )
    assert torch.allclose(field.velocity * SLOW, slow.velocity, atol=1e-5)
