from __future__ import annotations

import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.flow.convert import field_to_image, image_to_field
from t2c_core.types import MotionField


def field(speed: float = 3.0) -> MotionField:
    generator = torch.Generator().manual_seed(1)
    mask = (torch.rand(1, 9, 13, generator=generator) > 0.4).float() * 0.75
    velocity = (torch.rand(1, 2, 9, 13, generator=generator) * 2 - 1) * speed
    return MotionField(velocity * (mask > 0), mask)


def test_channels_mean_what_they_say():
    velocity = torch.tensor([[2.0, -4.0]]).reshape(1, 2, 1, 1)
    image = field_to_image(MotionField(velocity, torch.full((1, 1, 1), 0.25)), 8.0)
    assert torch.allclose(image, torch.tensor([0.625, 0.25, 0.25]).reshape(1, 1, 1, 3))


def test_there_and_back():
    original = field()
    again = image_to_field(field_to_image(original, 5.0), 5.0)
    assert torch.allclose(again.velocity, original.velocity, atol=1e-5)
    assert torch.equal(again.mask, original.mask)


def test_eight_bits_are_off_by_half_a_level_at_most():
    original = field()
    stored = (field_to_image(original, 5.0) * 255).round() / 255
    again = image_to_field(stored, 5.0)
    assert (again.velocity - original.velocity).abs().max() <= 5.0 / 255 + 1e-5
    assert (again.velocity[0][:, original.mask[0] == 0] == 0).all(), "8-bit grey must not make still parts creep"


@pytest.mark.parametrize("shape", [(1, 9, 13), (9, 13)])
def test_a_mask_replaces_the_blue_channel(shape):
    mask = torch.zeros(shape)
    mask[..., 2:4, 5:7] = 1.0
    again = image_to_field(field_to_image(field(), 3.0), 3.0, mask)
    assert torch.equal(again.mask, mask.reshape(1, 9, 13))
    assert (again.velocity[0][:, again.mask[0] == 0] == 0).all()


def test_half_precision_image():
    again = image_to_field(field_to_image(field(), 4.0).half(), 4.0)
    assert again.velocity.dtype == torch.float32
    assert (again.velocity - field().velocity).abs().max() < 0.01


def test_too_fast_a_field_is_refused_not_clamped():
    with pytest.raises(InputError) as caught:
        field_to_image(field(3.0), 1.0)
    assert caught.value.input == "max_speed" and "or more" in caught.value.remedy


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf")])
def test_max_speed_must_be_positive(speed):
    with pytest.raises(InputError):
        field_to_image(field(), speed)
    with pytest.raises(InputError):
        image_to_field(torch.zeros(1, 4, 4, 3), speed)


@pytest.mark.parametrize(
    ("image", "mask", "word"),
    [
        (torch.zeros(2, 4, 4, 3), None, "image"),
        (torch.zeros(1, 4, 4, 4), None, "image"),
        (torch.full((1, 4, 4, 3), 1.5), None, "image"),
        (torch.full((1, 4, 4, 3), float("nan")), None, "image"),
        (torch.zeros(1, 4, 4, 3), torch.zeros(1, 4, 5), "mask"),
        (torch.zeros(1, 4, 4, 3), torch.full((1, 4, 4), 2.0), "mask"),
    ],
)
def test_bad_images(image, mask, word):
    with pytest.raises(InputError) as caught:
        image_to_field(image, 1.0, mask)
    assert caught.value.input == word
