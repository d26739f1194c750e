from __future__ import annotations

import numpy as np
import pytest
import torch

from t2c_core.warp.extend import extend_image, extend_velocity


def make_image(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Every pixel has a colour of its own."""
    return torch.rand(height, width, 3, generator=torch.Generator().manual_seed(seed))


def colours(pixels: torch.Tensor) -> set[tuple[float, ...]]:
    return {tuple(c) for c in pixels.reshape(-1, 3).tolist()}


def disc(height: int, width: int, radius: float) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height) - height / 2, torch.arange(width) - width / 2, indexing="ij")
    return (torch.hypot(x, y) < radius).float()


MASKS = {
    "disc": disc(37, 50, 12),
    "band": torch.zeros(37, 50).index_fill_(0, torch.arange(10, 20), 1.0),
    "pixel": torch.zeros(37, 50).index_put_((torch.tensor(20), torch.tensor(7)), torch.tensor(1.0)),
    "two": torch.maximum(torch.zeros(37, 50).index_fill_(1, torch.arange(3), 1.0), torch.roll(disc(37, 50, 6), 15, 1)),
    "line": torch.zeros(37, 50).index_fill_(1, torch.tensor([25]), 1.0),
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("reach", [2.0, 5.0, 200.0])
def test_only_the_fluids_colours_within_reach(name, reach):
    image, mask = make_image(37, 50), MASKS[name]
    out = extend_image(image, mask, reach)
    fluid = mask > 0.5
    assert out.shape == image.shape and out.dtype == torch.float32
    assert torch.equal(out[fluid], image[fluid]), "the fluid itself stays"
    ys, xs = np.nonzero(fluid.numpy())
    yy, xx = np.mgrid[:37, :50]
    distance = torch.from_numpy(np.hypot(yy[..., None] - ys, xx[..., None] - xs).min(-1))
    changed = (out != image).any(-1)
    # The distance transform is an approximation, good to a few per cent.
    near, far = ~fluid & (distance < 0.95 * reach), distance > 1.05 * reach + 0.5
    assert near.any()
    assert changed[near].all() and not changed[far].any()
    assert colours(out[near]) <= colours(image[fluid])


def test_the_image_is_not_written_to():
    image = make_image(20, 20)
    kept = image.clone()
    extend_image(image, disc(20, 20, 5), 9.0)
    assert torch.equal(image, kept)


def test_a_straight_border_is_a_mirror():
    image, mask = make_image(12, 30), torch.zeros(12, 30)
    mask[:, :10] = 1
    out = extend_image(image, mask, 8.0)
    for d in range(1, 9):
        assert torch.equal(out[:, 9 + d], image[:, 10 - d]), f"{d} px outside shows {d - 1} px inside"


def test_a_thin_band_is_folded_again_and_again():
    image, mask = make_image(8, 30), torch.zeros(8, 30)
    mask[:, 10:13] = 1
    out = extend_image(image, mask, 12.0)
    # From column 13 on: 12, 11, 10, 11, 12, 11, ...
    for column, source in zip(range(13, 20), (12, 11, 10, 11, 12, 11, 10), strict=True):
        assert torch.equal(out[:, column], image[:, source])


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("size", [(1, 1), (5, 9)])
def test_nothing_to_extend(value, size):
    image = make_image(*size)
    out = extend_image(image, torch.full(size, value), 10.0)
    assert torch.equal(out, image)
    velocity = torch.rand(1, 2, *size)
    assert torch.equal(extend_velocity(velocity, torch.full((1, *size), value)), velocity)


def test_a_mask_that_is_soft_everywhere():
    image, mask = make_image(15, 20), torch.zeros(15, 20)
    mask[5:9, 5:9] = 0.3
    out = extend_image(image, mask, 50.0)
    assert torch.equal(out[5:9, 5:9], image[5:9, 5:9])
    assert colours(out) <= colours(image[5:9, 5:9])


def test_the_faintest_rim_is_taken_from_the_rest():
    """Pixels that are hardly fluid show rock: they must not be carried along."""
    image, mask = make_image(10, 20), torch.zeros(10, 20)
    mask[:, :8], mask[:, 8:10] = 1.0, 0.05
    out = extend_image(image, mask, 30.0)
    assert torch.equal(out[:, :8], image[:, :8])
    assert colours(out[:, 8:]) <= colours(image[:, :8])


def test_half_precision():
    out = extend_image(make_image(9, 12).half(), disc(9, 12, 3).half(), 4.0)
    assert out.dtype == torch.float32 and torch.isfinite(out).all()
    assert extend_velocity(torch.rand(1, 2, 9, 12).half(), disc(9, 12, 3)[None].half()).dtype == torch.float32


@pytest.mark.parametrize("name", MASKS)
def test_uniform_velocity_is_continued(name):
    mask = MASKS[name][None]
    velocity = torch.tensor([2.0, -0.5]).reshape(1, 2, 1, 1) * mask[:, None]
    out = extend_velocity(velocity, mask)
    torch.testing.assert_close(out, torch.tensor([2.0, -0.5]).reshape(1, 2, 1, 1).expand_as(out), atol=1e-5, rtol=0)


def test_velocity_inside_is_unchanged_even_where_the_mask_is_soft():
    mask = torch.zeros(1, 31, 23)
    mask[:, 8:20, 5:15] = 0.1
    velocity = torch.randn(1, 2, 31, 23, generator=torch.Generator().manual_seed(0)) * mask[:, None]
    out = extend_velocity(velocity, mask)
    inside = (mask > 0)[:, None].expand_as(velocity)
    assert torch.equal(out[inside], velocity[inside])
    assert torch.isfinite(out).all()
    # Outside never faster than the fastest inside.
    assert out.abs().max() <= velocity.abs().max() + 1e-6


def test_velocity_comes_from_the_nearest_fluid():
    mask = torch.zeros(1, 20, 60)
    mask[..., :5], mask[..., -5:] = 1, 1
    velocity = torch.zeros(1, 2, 20, 60)
    velocity[:, 0, :, :5], velocity[:, 0, :, -5:] = 1.0, -3.0
    out = extend_velocity(velocity, mask)[0, 0]
    torch.testing.assert_close(out[:, 5:20], torch.full((20, 15), 1.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(out[:, 40:55], torch.full((20, 15), -3.0), atol=1e-4, rtol=0)
