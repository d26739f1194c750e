"""Cross-fading: contrast kept, equal layers untouched, shapes anchored."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from t2c_core.loop.blend import Anchor, LocalStatistics, contrast_blend, linear_blend, luma
from t2c_core.warp.integrate import pixel_grid
from t2c_core.warp.layers import Layers

SIZE = 384


def noise(seed: int, scale: float = 0.1) -> torch.Tensor:
    """[M, 3] grey-ish white noise about 0.5."""
    generator = torch.Generator().manual_seed(seed)
    grey = torch.randn(SIZE * SIZE, 1, generator=generator)
    return 0.5 + scale * (grey + 0.2 * torch.randn(SIZE * SIZE, 3, generator=generator))


@pytest.fixture
def statistics() -> LocalStatistics:
    return LocalStatistics(pixel_grid(SIZE, SIZE), SIZE, SIZE)


def layers_of(a: torch.Tensor, b: torch.Tensor, share: float | torch.Tensor, statistics: LocalStatistics) -> Layers:
    return Layers(a, b, share, (statistics(a).variance, statistics(b).variance))


def spread(colours: torch.Tensor) -> float:
    """Standard deviation of luma, without the library's help."""
    return float((colours[:, :3].double().numpy() @ np.array([0.299, 0.587, 0.114])).std())


def high_pass_spread(colours: torch.Tensor) -> float:
    """The same of what is finer than 6 px, a 64th of the side."""
    plane = (colours[:, :3].numpy() @ np.array([0.299, 0.587, 0.114], np.float32)).reshape(SIZE, SIZE)
    return float((plane - cv2.GaussianBlur(plane, (0, 0), SIZE / 64)).std())


def cloudy(seed: int) -> torch.Tensor:
    """[M, 3] noise of several scales about 0.5, like water more than like snow."""
    rng = np.random.default_rng(seed)
    planes = [cv2.GaussianBlur(rng.normal(size=(SIZE, SIZE)).astype(np.float32), (0, 0), s) for s in (0.8, 3, 9)]
    grey = sum(p / p.std() for p in planes)
    return torch.from_numpy(0.5 + 0.06 * grey).reshape(-1, 1).expand(-1, 3).contiguous()


def test_bands_add_up(statistics):
    colours = noise(0)
    bands = statistics(colours)
    torch.testing.assert_close(bands.mean + bands.middle + bands.fine, colours, atol=1e-6, rtol=0)
    assert bands.variance.shape == (SIZE * SIZE, 2)
    assert float(bands.variance.sum(1).mean()) == pytest.approx(float(luma(colours).var()), rel=0.2)


def test_bands_of_a_flat_colour(statistics):
    bands = statistics(torch.full((SIZE * SIZE, 3), 0.3))
    assert float((bands.mean - 0.3).abs().max()) < 1e-5
    assert float(bands.fine.abs().max()) < 1e-5
    assert float(bands.variance.max()) < 1e-9


def test_linear_loses_what_contrast_keeps(statistics):
    a, b = noise(1), noise(2)
    layers = layers_of(a, b, 0.5, statistics)
    assert spread(linear_blend(layers)) / spread(a) == pytest.approx(0.71, abs=0.02)
    assert 0.97 <= spread(contrast_blend(layers, statistics)) / spread(a) <= 1.03


@pytest.mark.parametrize("share", [0.15, 0.5, 0.8])
def test_textures_of_several_scales_keep_their_contrast(statistics, share):
    a, b = cloudy(1), cloudy(2)
    layers = layers_of(a, b, share, statistics)
    lost = (share**2 + (1 - share) ** 2) ** 0.5
    assert high_pass_spread(linear_blend(layers)) / high_pass_spread(a) == pytest.approx(lost, abs=0.03)
    # The largest of these scales lies halfway in the mean, which is cross-faded as it is.
    assert 0.95 <= high_pass_spread(contrast_blend(layers, statistics)) / high_pass_spread(a) <= 1.04


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7, 1.0])
def test_equal_layers_come_back(statistics, share):
    colours = noise(3)
    layers = layers_of(colours, colours, share, statistics)
    torch.testing.assert_close(contrast_blend(layers, statistics), colours, atol=2e-3, rtol=0)


def test_share_for_every_pixel(statistics):
    a, b = noise(4), noise(5)
    share = torch.rand(SIZE * SIZE, generator=torch.Generator().manual_seed(6))
    expected = share[:, None] * a + (1 - share[:, None]) * b
    torch.testing.assert_close(linear_blend(Layers(a, b, share)), expected, atol=1e-6, rtol=0)


def test_anchor_keeps_the_places_mean_and_contrast(statistics):
    """Left half dark and calm, right half bright and rough; what is carried comes from the other half."""
    y_x = pixel_grid(SIZE, SIZE)
    right = (y_x[:, :1] >= SIZE / 2).float()
    source = torch.lerp(noise(7, 0.02) - 0.25, noise(8, 0.1) + 0.2, right)
    swapped = source.reshape(SIZE, SIZE, 3).roll(SIZE // 2, 1).reshape(-1, 3)
    layers = layers_of(swapped, swapped, 0.5, statistics)
    free = contrast_blend(layers, statistics)
    held = contrast_blend(layers, statistics, Anchor(source, statistics, 1.0))
    inner = (y_x[:, 0] > 24) & (y_x[:, 0] < SIZE / 2 - 24)
    assert abs(float(free[inner].mean() - source[inner].mean())) > 0.3
    assert abs(float(held[inner].mean() - source[inner].mean())) < 0.02
    assert spread(free[inner]) > 3 * spread(source[inner])
    assert spread(held[inner]) == pytest.approx(spread(source[inner]), rel=0.3)


def test_scattered_pixels_alone_count():
    """Statistics over a mask know nothing of the rest of the picture."""
    positions = pixel_grid(SIZE, SIZE)
    chosen = (positions - SIZE / 2).norm(dim=1) < 120
    statistics = LocalStatistics(positions[chosen], SIZE, SIZE)
    bands = statistics(torch.full((int(chosen.sum()), 3), 0.8))
    assert float((bands.mean - 0.8).abs().max()) < 1e-5
