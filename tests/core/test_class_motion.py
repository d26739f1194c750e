"""Every kind moves its own way: usual directions and speeds, rivers along their banks, what a prompt says instead."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.flow.per_class import split_by_class
from t2c_core.flow.potential import potential_flow_angles
from t2c_core.flow.predict import suggest_frame_count
from t2c_core.flow.regions import angle_map
from t2c_core.flow.settings import FlowSettings
from t2c_core.flow.solver import solve_flow
from t2c_core.fluids import FLUIDS, motion_prior
from t2c_core.prompt.directions import find_directions
from t2c_core.prompt.parse import FAST, SLOW, lookup_override, parse_speed_factors
from t2c_core.types import Arrow, FluidRegion, FluidRegions, MotionHints

H, W = 120, 160


def regions(**where: tuple[slice, slice]) -> FluidRegions:
    made = []
    for label, place in where.items():
        mask = torch.zeros(H, W)
        mask[place] = 1
        made.append(FluidRegion(label.replace("_", " "), label, 0.9, mask))
    return FluidRegions(tuple(made))


def mask_of(of: FluidRegions) -> torch.Tensor:
    return torch.stack([region.mask for region in of.regions]).amax(0, keepdim=True)


def moved(of: FluidRegions, prompt: str = "", hints: MotionHints | None = None, **how: float) -> dict[str, np.ndarray]:
    """Mean velocity (x, y) in px/frame at the reference size of every region, well inside it."""
    mask = mask_of(of)
    parts = split_by_class(mask, of, find_directions(prompt), parse_speed_factors(prompt), hints)
    image = torch.full((1, H, W, 3), 0.5)
    field = solve_flow(image, mask, hints, regions=parts, settings=FlowSettings(follow_streaks=0.0, **how))
    assert torch.isfinite(field.velocity).all() and not field.velocity[:, :, mask[0] == 0].any()
    return {r.label: field.velocity[0][:, r.mask > 0].mean(1).numpy() * 512 / max(H, W) for r in of.regions}


SKY_SEA = {"sky": np.s_[:50, :], "sea": np.s_[50:, :]}


def test_every_kind_has_a_usual_way() -> None:
    assert all(motion_prior(name) == fluid.prior for name, fluid in FLUIDS.items())
    assert motion_prior("brook") == motion_prior("river") and motion_prior("windmill").angle == 0


@pytest.mark.parametrize(
    ("label", "way"),
    [
        ("waterfall", (0, 1)),
        ("smoke", (0, -1)),
        ("fire", (0, -1)),
        ("sea", (1, 0)),
        ("cloud", (1, 0)),
        ("river", (0, 1)),
    ],
)
def test_usual_ways(label: str, way: tuple[int, int]) -> None:
    found = moved(regions(**{label: np.s_[20:, 50:110]}))[label]
    speed = motion_prior(label).speed
    assert found / np.hypot(*found) == pytest.approx(way, abs=0.1)
    assert 0.7 * speed < np.hypot(*found) < 1.1 * speed


def test_sky_and_sea_do_not_drag_each_other() -> None:
    found = moved(regions(**SKY_SEA), "clouds drifting to the left")
    assert found["sky"] == pytest.approx([-motion_prior("sky").speed, 0], abs=0.05)
    assert found["sea"] == pytest.approx([motion_prior("sea").speed, 0], abs=0.05)


def test_a_prompt_says_speed_of_one_and_speed_multiplies_all() -> None:
    found = moved(regions(**SKY_SEA), "a calm sea", speed=2.0)
    assert found["sky"] == pytest.approx([2 * motion_prior("sky").speed, 0], abs=0.1)
    assert found["sea"] == pytest.approx([motion_prior("sea").speed, 0], abs=0.1)


def test_what_is_said_of_nothing_is_for_the_rest() -> None:
    found = moved(regions(**SKY_SEA), "everything flows to the left, clouds drifting upwards")
    assert found["sea"][0] < -0.5
    assert abs(found["sky"][0]) < 0.1


@pytest.mark.parametrize(
    ("text", "grass", "river"),
    [
        ("grass swaying to the left, a river flowing down", 180.0, 270.0),
        ("the river flows to the left, the grass sways right", 0.0, 180.0),
        ("a river through tall grass flowing left", None, 180.0),
        ("flags waving left over a river", None, None),
    ],
)
def test_what_sways_can_be_told_apart_from_what_flows(text: str, grass: float | None, river: float | None) -> None:
    said = {direction.subject: direction.angle for direction in find_directions(text)}
    assert (lookup_override("grass", said), lookup_override("river", said)) == (grass, river)


def test_a_pace_said_of_what_sways_slows_nothing_else() -> None:
    assert parse_speed_factors("the wheat sways slowly, a rushing river") == {"wheat": SLOW, "river": FAST}
    assert parse_speed_factors("the flag waves quickly") == {"flag": FAST}
    assert parse_speed_factors("a river flowing quickly through the grass") == {"river": FAST}


def test_a_fall_runs_into_its_river_as_one() -> None:
    """Both are water: the flow goes on across the border, and no bank is put between them."""
    of = regions(waterfall=np.s_[:60, 60:100], river=np.s_[60:, 60:100])
    mask = mask_of(of)
    (part,) = split_by_class(mask, of)
    field = solve_flow(torch.full((1, H, W, 3), 0.5), mask, regions=[part], settings=FlowSettings(follow_streaks=0.0))
    down = field.velocity[0, 1, :, 80]
    assert (down[5:-5] > 0).all()
    assert down[20] > 1.2 * down[100]


def test_what_is_said_of_water_holds_for_its_kinds() -> None:
    said = {"water": 180.0, "clouds": 90.0, None: 5.0}
    assert [lookup_override(label, said) for label in ("river", "sky", "smoke")] == [180.0, 90.0, 5.0]
    assert lookup_override("river", {"water": 1.0, "brook": 2.0}) == 2.0
    assert lookup_override("sky", {"clouds": 1.0, "skies": 2.0}) == 2.0
    assert lookup_override("water", {"river": 1.0}) is None


def test_what_is_said_of_a_kind_by_another_name() -> None:
    """Models call many a river a lake or just water; whoever writes 'the river' means it all the same."""
    said = {"river": 180.0, "steam": 0.0, None: 45.0}
    assert lookup_override("lake", said, ("lake", "sky")) == 180.0
    assert lookup_override("lake", said, ("lake", "river")) == 45.0, "there is a river"
    assert lookup_override("waterfall", said, ("waterfall",)) == 45.0
    assert lookup_override("smoke", said, ("smoke",)) == 0.0
    assert lookup_override("lake", {"falls": 180.0}, ("lake",)) is None
    found = moved(regions(lake=np.s_[60:, :], sky=np.s_[:50, :]), "a river flowing to the left, rushing")
    assert found["lake"] == pytest.approx([-2 * motion_prior("lake").speed, 0], abs=0.1)
    assert found["sky"] == pytest.approx([motion_prior("sky").speed, 0], abs=0.05)


@pytest.mark.slow
def test_arrows_lead_where_they_lie_and_only_there() -> None:
    up = MotionHints(arrows=(Arrow(((0.5, 0.9), (0.5, 0.6)), 1.0),))
    found = moved(regions(**SKY_SEA), hints=up)
    assert found["sea"][1] < -0.5 and abs(found["sea"][0]) < 0.1
    assert found["sky"] == pytest.approx([motion_prior("sky").speed, 0], abs=0.05)
    outside = MotionHints(arrows=(Arrow(((0.5, 1.9), (0.5, 1.6)), 1.0),))
    assert moved(regions(**SKY_SEA), hints=outside)["sea"][0] > 0.4


def test_angles_as_one_map() -> None:
    of = regions(**SKY_SEA)
    angles = angle_map(split_by_class(mask_of(of), of, find_directions("clouds drifting to the left")))
    assert angles.shape == (1, H, W)
    assert (angles[0, :50] == 180).all() and (angles[0, 50:] == 0).all()


def test_loop_lengths() -> None:
    assert suggest_frame_count("", regions(sky=np.s_[:90], waterfall=np.s_[90:])) == 120
    assert suggest_frame_count("", regions(sky=np.s_[:20], waterfall=np.s_[20:])) == 60
    assert suggest_frame_count("ocean, clouds", FluidRegions()) == 120
    assert suggest_frame_count() == 60


def test_regions_of_another_image_are_refused() -> None:
    with pytest.raises(InputError, match="regions: are 160x120, the image 50x40"):
        split_by_class(torch.ones(1, 40, 50), regions(**SKY_SEA))


# Along the banks


def s_shaped(height: int = 300, width: int = 400) -> tuple[np.ndarray, np.ndarray]:
    """A river with two bends from the top to the bottom, wider below, and its true angles."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    middle = width / 2 + 0.22 * width * np.sin(2 * np.pi * y / height)
    inside = np.abs(x - middle) < 12 + 0.1 * y
    return inside, np.degrees(np.arctan2(-1.0, np.gradient(middle, axis=0))) % 360


def test_a_winding_river_runs_along_its_banks_to_the_viewer() -> None:
    inside, wanted = s_shaped()
    found = potential_flow_angles(inside)
    error = np.abs((found - wanted + 180) % 360 - 180)[inside]
    assert error.mean() < 9 and np.percentile(error, 90) < 22
    assert found.shape == inside.shape and not found[~inside].any()


@pytest.mark.parametrize(
    ("where", "angle"),
    [
        (lambda x, y: np.abs(y - 150) < 20, 0.0),  # from the left border to the right one at the same height
        (lambda x, y: np.abs(y - 150 - (200 - x) / 3) < 20, 198.4),  # lower at the left: there is near
        (lambda x, y: y > 150, 270.0),
        (lambda x, y: y < 150, 270.0),
        (lambda x, y: (np.abs(x - 200) < 20) & (y < 200), 270.0),
        (lambda x, y: (np.abs(x - 200) < 20) & (y > 50) & (y < 250), 270.0),
        (
            lambda x, y: (np.abs(y - 150) < 15) & (x < 300),
            180.0,
        ),  # one end, below the middle of nothing: it leaves there
    ],
    ids=["across", "slanted", "to the bottom", "from the top", "ends inside", "a pool", "leaves"],
)
def test_ends_are_where_the_image_cuts_the_river(where: object, angle: float) -> None:
    y, x = np.mgrid[0:300, 0:400]
    inside = where(x, y)
    found = np.exp(1j * np.radians(potential_flow_angles(inside)[inside])).mean()
    assert abs((np.degrees(np.angle(found)) - angle + 180) % 360 - 180) < 6
    assert abs(found) > 0.85


def test_two_rivers_and_tiny_ones() -> None:
    inside = np.zeros((100, 200), bool)
    inside[:, 20:40] = True
    inside[48:60, 100:] = True
    found = potential_flow_angles(inside)
    assert np.allclose(found[20:80, 25:35], 270, atol=1)
    assert np.allclose(np.cos(np.radians(found[50:58, 120:180])), 1, atol=0.1)
    assert not potential_flow_angles(np.zeros((30, 30), bool)).any()
    dot = np.zeros((400, 400), bool)
    dot[200, 200] = True
    assert np.isfinite(potential_flow_angles(dot)).all()
    assert np.isfinite(potential_flow_angles(np.ones((3, 3), bool))).all()


@pytest.mark.slow
def test_arrows_on_a_sky_are_as_fast_as_clouds_and_everywhere_the_same() -> None:
    """Edges of clouds say nothing of where the wind blows, and an arrow's speed is that of a river."""
    rng = np.random.default_rng(0)
    image = torch.from_numpy(rng.random((1, H // 8, W // 8, 3)).repeat(8, 1).repeat(8, 2)).float()
    hints = MotionHints(arrows=(Arrow(((0.4, 0.5), (0.6, 0.5)), 1.0),))
    everywhere = np.s_[:, :]
    speeds = {}
    for label in ("sky", "river"):
        of = regions(**{label: everywhere})
        parts = split_by_class(mask_of(of), of, hints=hints)
        velocity = solve_flow(image, mask_of(of), hints, regions=parts).velocity[0] * 512 / max(H, W)
        speeds[label] = torch.hypot(*velocity)
    assert speeds["sky"].min() > 0.9 * motion_prior("sky").speed
    assert speeds["sky"].max() < 1.1 * motion_prior("sky").speed
    assert speeds["river"].max() == pytest.approx(1.0, abs=0.1)
