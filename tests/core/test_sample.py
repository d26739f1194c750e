from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from t2c_core.warp import sample as sampling
from t2c_core.warp.integrate import pixel_grid
from t2c_core.warp.sample import inside, sample, sample_planes

# OpenCV rounds positions to 1/32 px, so a value may be off by the slope times 1/64 px in x and in y.
HALF_STEP = 1 / 64


def raster(height: int, width: int, channels: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.rand(height, width, channels, generator=torch.Generator().manual_seed(seed))


def scattered(count: int, height: int, width: int, around: float = 0.0) -> torch.Tensor:
    """Positions on multiples of 1/32 px, which OpenCV does not round."""
    u = torch.rand(count, 2, generator=torch.Generator().manual_seed(1))
    at = u * torch.tensor([width - 1 + 2 * around, height - 1 + 2 * around]) - around
    return torch.round(at * 32) / 32


def torchs(image: torch.Tensor, at: torch.Tensor, mode: str, padding: str) -> torch.Tensor:
    """grid_sample in double precision."""
    height, width = image.shape[:2]
    grid = at.double() * (2 / torch.tensor([max(width - 1, 1), max(height - 1, 1)], dtype=torch.float64)) - 1
    planes = image.double().permute(2, 0, 1)[None]
    seen = F.grid_sample(planes, grid[None, None], mode=mode, padding_mode=padding, align_corners=True)
    return seen[0, :, 0].T.float()


def keys(t: float, a: float = -0.75) -> float:
    """Keys' cubic convolution kernel."""
    t = abs(t)
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("outside", ["edge", "mirror"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (8, 1), (7, 13), (33, 5)])
def test_pixel_centres_are_exact(mode, outside, size):
    image = raster(*size)
    seen = sample(image, pixel_grid(*size), mode=mode, outside=outside)
    assert seen.shape == (size[0] * size[1], 3) and seen.dtype == torch.float32
    torch.testing.assert_close(seen, image.reshape(-1, 3), atol=1e-6, rtol=0)


def test_bilinear_by_hand():
    image = torch.tensor([[0.0, 10.0], [20.0, 70.0]])[..., None]
    at = torch.tensor([[0.5, 0.0], [0.0, 0.25], [0.5, 0.5], [0.75, 0.5]])
    assert sample(image, at).flatten().tolist() == pytest.approx([5, 5, 25, 32.5], abs=1e-5)


def test_nearest_pixel_in_a_mask(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    for height, width, count in ((30, 40, 3000), (9, 1, 500), (5, 5, 0)):
        mask = torch.rand(height, width, generator=generator) > 0.5
        at = torch.rand(count, 2, generator=generator) * 60 - 10
        at[::3] = (at[::3] * 2).round() / 2
        found = inside(mask, at)
        with monkeypatch.context() as patch:
            patch.setattr(sampling, "_by_opencv", lambda raster: False)
            assert torch.equal(inside(mask, at), found)
        assert found.dtype == torch.bool and found.any() == (height > 1 and count > 0)


def test_bicubic_by_hand():
    image = raster(9, 11, 1)
    for x, y in [(4.5, 4.0), (3.25, 5.75), (6.125, 2.03125), (5.0, 3.5)]:
        x0, y0 = math.floor(x), math.floor(y)
        expected = sum(
            float(image[j, i, 0]) * keys(x - i) * keys(y - j)
            for j in range(y0 - 1, y0 + 3)
            for i in range(x0 - 1, x0 + 3)
        )
        assert float(sample(image, torch.tensor([[x, y]]), mode="bicubic")) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("outside", "padding"), [("edge", "border"), ("mirror", "reflection")])
def test_agrees_with_grid_sample(mode, outside, padding):
    image = raster(17, 23)
    # For bicubic the border modes are the same thing only where all 16 pixels lie inside.
    around = 0.0 if mode == "bilinear" else -2.0
    at = scattered(3000, 17, 23, around)
    expected = torchs(image, at, mode, padding)
    torch.testing.assert_close(sample(image, at, mode=mode, outside=outside), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_any_position_to_a_64th_of_a_pixel(mode):
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij")
    image = (0.5 + 0.25 * torch.sin(x / 3) + 0.25 * torch.cos(y / 4))[..., None]
    at = torch.rand(2000, 2, generator=torch.Generator().manual_seed(3)) * torch.tensor([45.0, 35.0]) + 2
    slope = 0.25 / 3 + 0.25 / 4
    error = (sample(image, at, mode=mode) - torchs(image, at, mode, "border")).abs().max()
    assert error < 1.2 * HALF_STEP * slope


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_edge_repeats_the_border(mode):
    image = raster(5, 6)
    at = torch.tensor([[-8.0, 2.0], [40.0, 3.0], [3.0, -8.0], [2.0, 40.0], [-9.0, -9.0], [1e6, 1e6]])
    expected = torch.stack([image[2, 0], image[3, 5], image[0, 3], image[4, 2], image[0, 0], image[4, 5]])
    torch.testing.assert_close(sample(image, at, mode=mode, outside="edge"), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_mirror_reflects_about_the_border_pixel(mode):
    image = raster(5, 6)
    at = torch.tensor([[-1.0, 2.0], [-4.0, 2.0], [6.0, 3.0], [9.0, 3.0], [3.0, -2.0], [2.0, 7.0]])
    expected = torch.stack([image[2, 1], image[2, 4], image[3, 4], image[3, 1], image[2, 3], image[1, 2]])
    torch.testing.assert_close(sample(image, at, mode=mode, outside="mirror"), expected, atol=1e-6, rtol=0)


def test_mirror_between_pixels_agrees_with_grid_sample():
    image, at = raster(17, 23), scattered(2000, 17, 23, around=12.0)
    seen = sample(image, at, outside="mirror")
    torch.testing.assert_close(seen, torchs(image, at, "bilinear", "reflection"), atol=1e-5, rtol=0)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (8, 1), (2, 2)])
def test_mirror_of_the_smallest_images(mode, size):
    """OpenCV alone would never return from a mirror one pixel wide."""
    image, at = raster(*size), scattered(300, *size, around=5.0)
    at = torch.round(at)
    expected = torchs(image, at, "bilinear", "reflection")
    torch.testing.assert_close(sample(image, at, mode=mode, outside="mirror"), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("pictures", [1, 3, 10])
def test_mirror_some_pictures_away(mode, pictures):
    """OpenCV 5 folds a bicubic look-up back once."""
    raster = torch.rand(5, 40, 3)
    inside = torch.rand(500, 2) * torch.tensor([39.0, 4.0])
    far = inside + 2 * torch.tensor([39.0, 4.0]) * torch.randint(-pictures, pictures + 1, (500, 2))
    expected = sample(raster, inside, mode=mode, outside="mirror")
    torch.testing.assert_close(sample(raster, far, mode=mode, outside="mirror"), expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_mirror_far_away_costs_no_more(mode):
    image = raster(5, 7)
    near = torch.round(scattered(3000, 5, 7, around=3.0))
    away = near + torch.tensor([12.0, 8.0]) * 1e6
    began = time.perf_counter()
    seen = sample(image, away, mode=mode, outside="mirror")
    assert time.perf_counter() - began < 1.0
    torch.testing.assert_close(seen, sample(image, near, mode=mode, outside="mirror"), atol=1e-6, rtol=0)


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1025, 40_000])
def test_any_number_of_positions(count):
    image = raster(6, 7, 2)
    at = scattered(count, 6, 7)
    seen = sample(image, at)
    assert seen.shape == (count, 2)
    torch.testing.assert_close(seen, torchs(image, at, "bilinear", "border"), atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_channels_stay_apart(channels):
    image, at = raster(6, 7, channels), scattered(50, 6, 7)
    together = sample(image, at, mode="bicubic")
    for c in range(channels):
        alone = sample(image[..., c : c + 1].contiguous(), at, mode="bicubic")
        torch.testing.assert_close(together[:, c : c + 1], alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_a_raster_too_long_for_opencv(mode):
    image = raster(2, 40_000, 1)
    at = torch.tensor([[0.0, 0.0], [39_999.0, 1.0], [34_000.0, 1.0]])
    expected = torch.stack([image[0, 0], image[1, -1], image[1, 34_000]])
    # A float32 position in -1..1 over 40000 px is good to a few thousandths of a pixel.
    torch.testing.assert_close(sample(image, at, mode=mode), expected, atol=2e-2, rtol=0)


def test_planes_of_any_number():
    planes = torch.rand(9, 5, 6, generator=torch.Generator().manual_seed(0))
    at = scattered(30, 5, 6)
    seen = sample_planes(planes, at)
    assert seen.shape == (9, 30)
    expected = torchs(planes.permute(1, 2, 0), at, "bilinear", "border").T
    np.testing.assert_allclose(seen.numpy(), expected.numpy(), atol=1e-5)
