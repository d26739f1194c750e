from __future__ import annotations

import math

import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.flow.visualise import flow_preview, velocity_to_colour
from t2c_core.types import MotionField


def constant(x: float, y: float, height: int = 4, width: int = 5) -> torch.Tensor:
    return torch.tensor([x, y]).reshape(1, 2, 1, 1).expand(1, 2, height, width).contiguous()


def hue(colour: torch.Tensor) -> float:
    """Degrees, 0 red, 120 green, 240 blue."""
    r, g, b = colour.tolist()
    return math.degrees(math.atan2(math.sqrt(3) * (g - b), 2 * r - g - b)) % 360


@pytest.mark.parametrize(("x", "y", "expected"), [(1, 0, 0), (0, 1, 60), (-1, 0, 178), (0, -1, 265)])
def test_wheel_directions(x, y, expected):
    """Right red, down yellow, left cyan, up blue to violet: the Middlebury wheel."""
    found = hue(velocity_to_colour(constant(x, y))[0, 0, 0])
    assert abs((found - expected + 180) % 360 - 180) < 20


def test_still_is_white_and_saturation_grows_with_speed():
    assert torch.equal(velocity_to_colour(constant(0, 0)), torch.ones(1, 4, 5, 3))
    least = [velocity_to_colour(constant(s, 0), 4.0)[0, 0, 0].min().item() for s in (0, 1, 2, 4)]
    assert least == pytest.approx([1.0, 0.75, 0.5, 0.0], abs=0.03)


def test_faster_than_the_wheel_is_darkened():
    assert velocity_to_colour(constant(9, 0), 4.0).max() <= 0.751


def test_opposite_directions_differ_and_the_hue_has_no_jump():
    angles = torch.linspace(0, 2 * math.pi, 361)
    wheel = velocity_to_colour(torch.stack([angles.cos(), angles.sin()])[None, :, None])[0, 0]
    assert (wheel[1:] - wheel[:-1]).abs().max() < 0.1
    assert (wheel[:180] - wheel[180:360]).abs().sum(-1).min() > 0.8


def field(height: int = 120, width: int = 160) -> MotionField:
    mask = torch.zeros(1, height, width)
    mask[:, 20:90, 10:70] = 1.0
    return MotionField(constant(3.0, 0.0, height, width) * mask[:, None], mask)


def test_preview_keeps_the_image_where_nothing_moves():
    image = torch.rand(1, 120, 160, 3, generator=torch.Generator().manual_seed(0))
    preview = flow_preview(image, field())
    assert preview.shape == image.shape and preview.dtype == torch.float32
    assert torch.equal(preview[:, :100, 90:130], image[:, :100, 90:130])
    assert preview.min() >= 0 and preview.max() <= 1


def test_preview_colours_arrows_and_legend():
    image = torch.full((1, 120, 160, 3), 0.5)
    plain = flow_preview(image, field(), opacity=1.0, arrows=False)
    assert torch.allclose(plain[0, 50, 40], velocity_to_colour(field().velocity)[0, 50, 40])
    drawn = flow_preview(image, field(), opacity=1.0)
    changed = (drawn != plain).any(-1)[0]
    assert 0.02 < changed[20:90, 10:70].float().mean() < 0.9 and not changed[:10].any()
    assert (plain[0, 100:, 140:] != 0.5).any(), "the wheel stands in the lower right corner"


def test_arrows_point_along_the_motion():
    """The head is heavier than the tail, so the drawn pixels' weight lies towards the tip."""
    image, mask = torch.zeros(1, 32, 32, 3), torch.ones(1, 32, 32)
    places = torch.arange(16.0) - 7.5
    rows, columns = torch.meshgrid(places, places, indexing="ij")
    for x, y in ((2.0, 0.0), (-2.0, 0.0), (0.0, 2.0), (0.0, -2.0)):
        moving = MotionField(constant(x, y, 32, 32), mask)
        drawn = (flow_preview(image, moving, opacity=0.0)[0, :16, :16]).mean(-1)
        assert ((rows * y + columns * x) * drawn).sum() > 0


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (31, 16)])
def test_tiny_images(size):
    moving = MotionField(constant(1.0, 1.0, *size), torch.ones(1, *size))
    assert flow_preview(torch.zeros(1, *size, 3), moving).shape == (1, *size, 3)


def test_the_input_is_not_changed():
    image = torch.zeros(1, 120, 160, 3)
    flow_preview(image, field())
    assert (image == 0).all()


def test_bad_input():
    with pytest.raises(InputError):
        flow_preview(torch.zeros(1, 9, 9, 3), field())
