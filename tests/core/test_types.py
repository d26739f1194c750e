"""The values between the stages refuse what cannot be used."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.loop.settings import LoopSettings
from t2c_core.types import Arrow, MotionField, MotionHints, Stroke, speed_scale
from t2c_core.warp.plan import WarpPlan, WarpSettings


def field(height: int = 5, width: int = 7) -> MotionField:
    return MotionField(torch.zeros(1, 2, height, width), torch.ones(1, height, width))


def image(height: int = 5, width: int = 7, count: int = 1) -> torch.Tensor:
    return torch.zeros(count, height, width, 3)


@pytest.mark.parametrize(
    ("height", "width", "scale"), [(512, 512, 1.0), (288, 512, 1.0), (1024, 300, 2.0), (1, 256, 0.5)]
)
def test_speed_scale_follows_the_longer_side(height, width, scale):
    assert speed_scale(height, width) == scale


def test_hints_are_empty_only_without_any_item():
    assert MotionHints().empty
    assert not MotionHints(arrows=(Arrow(((0, 0), (1, 1))),)).empty
    assert not MotionHints(pins=((0.5, 0.5),)).empty
    assert not MotionHints(strokes=(Stroke(((0.5, 0.5),), 0.1),)).empty


def test_values_cannot_be_changed_after_they_were_made():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MotionHints().pins = ()
    with pytest.raises(dataclasses.FrozenInstanceError):
        field().mask = torch.zeros(1, 5, 7)


def test_input_error_says_input_problem_and_remedy():
    error = InputError("mask", "is empty.", "Paint something.")
    assert isinstance(error, ValueError)
    assert (error.input, error.problem, error.remedy) == ("mask", "is empty.", "Paint something.")
    assert str(error) == "mask: is empty. Paint something."
    assert str(InputError("mask", "is empty.")) == "mask: is empty."


def test_field_knows_its_size_as_height_then_width():
    assert field(9, 4).size == (9, 4)


@pytest.mark.parametrize("shape", [(2, 5, 7), (1, 3, 5, 7), (2, 2, 5, 7), (1, 5, 7, 2)])
def test_field_refuses_velocities_of_another_shape(shape):
    with pytest.raises(InputError, match=r"velocity must have shape \[1, 2, H, W\]") as caught:
        MotionField(torch.zeros(shape), torch.ones(1, 5, 7))
    assert caught.value.input == "flow"


@pytest.mark.parametrize("shape", [(5, 7), (2, 5, 7), (1, 7, 5), (1, 1, 5, 7)])
def test_field_refuses_a_mask_that_does_not_fit(shape):
    with pytest.raises(InputError, match="does not fit the velocity") as caught:
        MotionField(torch.zeros(1, 2, 5, 7), torch.ones(shape))
    assert caught.value.input == "flow"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_field_refuses_velocities_that_are_not_finite(value):
    velocity = torch.zeros(1, 2, 5, 7)
    velocity[0, 1, 2, 3] = value
    with pytest.raises(InputError, match="NaN or infinite") as caught:
        MotionField(velocity, torch.ones(1, 5, 7))
    assert caught.value.input == "flow"


def test_plan_keeps_what_it_was_given():
    settings = WarpSettings(frames=2, speed=0.0, renderer="splat", integration="nearest")
    plan = WarpPlan(image(), field(), settings)
    assert plan.settings is settings and plan.metric is None and plan.network is None


@pytest.mark.parametrize(
    ("change", "name", "says"),
    [
        ({"image": image()[0]}, "image", "needs shape"),
        ({"image": torch.zeros(1, 5, 7, 4)}, "image", "needs shape"),
        ({"image": image(count=3)}, "image", "holds 3 pictures"),
        ({"image": image(count=0)}, "image", "holds 0 pictures"),
        ({"image": image(7, 5)}, "flow", "7x5 picture, the image is 5x7"),
        ({"metric": torch.zeros(1, 1, 7, 5)}, "metric", r"\[1, 1, 7, 5\]"),
    ],
)
def test_plan_refuses_what_cannot_be_rendered(change, name, says):
    with pytest.raises(InputError, match=says) as caught:
        WarpPlan(**({"image": image(), "flow": field()} | change))
    assert caught.value.input == name


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"frames": 1}, "is 1"),
        ({"speed": -0.1}, "is -0.1"),
        ({"speed": 101.0}, "is 101"),
        ({"speed": float("nan")}, "is nan"),
        ({"renderer": "fast"}, "'fast'.*gather, splat"),
        ({"integration": "euler"}, "'euler'.*rk4, bilinear, nearest"),
        ({"blend": "magic"}, "'magic'.*contrast, linear"),
        ({"anchor": 1.5}, "is 1.5"),
    ],
)
def test_loop_settings_refuse_what_cannot_be_rendered(change, says):
    with pytest.raises(InputError, match=says) as caught:
        LoopSettings(**change)
    assert caught.value.input == next(iter(change))
