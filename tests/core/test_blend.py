"""Cross-fading: contrast kept, equal layers untouched, shapes anchored."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch

from t2c_core.loop.blend import EASE, ContrastBlend, equal_power_weight, linear_blend
from t2c_core.loop.layer_weights import REAL, TRUST, LayerConfidence
from t2c_core.loop.statistics import ALL, LocalStatistics, SourceStatistics, luma
from t2c_core.warp.integrate import pixel_grid
from t2c_core.warp.layers import Layers

SIZE = 384


def noise(seed: int, scale: float = 0.1) -> torch.Tensor:
    """[3, M] grey-ish white noise about 0.5."""
    generator = torch.Generator().manual_seed(seed)
    grey = torch.randn(SIZE * SIZE, 1, generator=generator)
    return (0.5 + scale * (grey + 0.2 * torch.randn(SIZE * SIZE, 3, generator=generator))).T.contiguous()


@pytest.fixture
def statistics() -> LocalStatistics:
    return LocalStatistics(pixel_grid(SIZE, SIZE), SIZE, SIZE)


def layers_of(a: torch.Tensor, b: torch.Tensor, share: float | torch.Tensor, statistics: LocalStatistics) -> Layers:
    aux = []
    for colours in (a, b):
        bands = statistics(colours)
        aux.append(torch.cat([bands.variance, luma(bands.mean)[None], torch.ones(1, colours.shape[1])]))
    return Layers(a, b, share, tuple(aux))


def contrast_blend(layers: Layers, statistics: LocalStatistics, anchor: SourceStatistics | None = None) -> torch.Tensor:
    return ContrastBlend(statistics, anchor, layers.forward.shape[1])(layers.of)(ALL)


def spread(colours: torch.Tensor) -> float:
    """Standard deviation of luma, without the library's help."""
    return float((np.array([0.299, 0.587, 0.114]) @ colours.double().numpy()).std())


def high_pass_spread(colours: torch.Tensor) -> float:
    """The same of what is finer than 6 px, a 64th of the side."""
    plane = (np.array([0.299, 0.587, 0.114], np.float32) @ colours.numpy()).reshape(SIZE, SIZE)
    return float((plane - cv2.GaussianBlur(plane, (0, 0), SIZE / 64)).std())


def cloudy(seed: int) -> torch.Tensor:
    """[3, M] noise of several scales about 0.5, like water more than like snow."""
    rng = np.random.default_rng(seed)
    planes = [cv2.GaussianBlur(rng.normal(size=(SIZE, SIZE)).astype(np.float32), (0, 0), s) for s in (0.8, 3, 9)]
    grey = sum(p / p.std() for p in planes)
    return torch.from_numpy(0.5 + 0.06 * grey).reshape(1, -1).expand(3, -1).contiguous()


def test_the_bands_variances_add_up(statistics):
    colours = noise(0)
    bands = statistics(colours)
    assert bands.variance.shape == (2, SIZE * SIZE)
    assert float(bands.variance.sum(0).mean()) == pytest.approx(float(luma(colours).var()), rel=0.2)


def test_bands_of_a_flat_colour(statistics):
    bands = statistics(torch.full((3, SIZE * SIZE), 0.3))
    assert float((bands.mean - 0.3).abs().max()) < 1e-5
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
    expected = share * a + (1 - share) * b
    torch.testing.assert_close(linear_blend(Layers(a, b, share)), expected, atol=1e-6, rtol=0)


def test_anchor_keeps_the_places_mean_and_contrast(statistics):
    """Left half dark and calm, right half bright and rough; what is carried comes from the other half."""
    y_x = pixel_grid(SIZE, SIZE)
    right = (y_x[:, 0] >= SIZE / 2).float()
    source = torch.lerp(noise(7, 0.02) - 0.25, noise(8, 0.1) + 0.2, right)
    swapped = source.reshape(3, SIZE, SIZE).roll(SIZE // 2, 2).reshape(3, -1)
    layers = layers_of(swapped, swapped, 0.5, statistics)
    free = contrast_blend(layers, statistics)
    held = contrast_blend(layers, statistics, SourceStatistics(source, statistics, 1.0))
    inner = (y_x[:, 0] > 24) & (y_x[:, 0] < SIZE / 2 - 24)
    assert abs(float(free[:, inner].mean() - source[:, inner].mean())) > 0.3
    assert abs(float(held[:, inner].mean() - source[:, inner].mean())) < 0.02
    assert spread(free[:, inner]) > 3 * spread(source[:, inner])
    assert spread(held[:, inner]) == pytest.approx(spread(source[:, inner]), rel=0.3)


def test_scattered_pixels_alone_count():
    """Statistics over a mask know nothing of the rest of the picture."""
    positions = pixel_grid(SIZE, SIZE)
    chosen = (positions - SIZE / 2).norm(dim=1) < 120
    statistics = LocalStatistics(positions[chosen], SIZE, SIZE)
    bands = statistics(torch.full((3, int(chosen.sum())), 0.8))
    assert float((bands.mean - 0.8).abs().max()) < 1e-5


def test_equal_power_weight_begins_and_ends_where_the_share_does():
    shares = torch.linspace(0, 1, 101)
    eased = equal_power_weight(shares)
    assert float(eased[0]) == pytest.approx(0, abs=1e-6) and float(eased[-1]) == pytest.approx(1, abs=1e-6)
    assert (eased.diff() > 0).all()
    torch.testing.assert_close(eased + eased.flip(0), torch.ones(101))
    assert equal_power_weight(0.3) == pytest.approx(float(equal_power_weight(torch.tensor([0.3]))[0]))


@pytest.mark.slow
def test_unrelated_textures_change_as_the_angle_goes(statistics):
    """Two textures that stand still: all change is the cross-fade's, in proportion to the angle it goes on by."""
    a, b = noise(11), noise(12)
    frames = [contrast_blend(layers_of(a, b, 1 - i / 12, statistics), statistics) for i in range(13)]
    steps = np.array([float((y - x).abs().mean()) for x, y in pairwise(frames)])
    gone = np.arange(13) / 12
    angles = np.diff(gone + EASE * np.sin(2 * np.pi * gone) / (2 * np.pi))
    np.testing.assert_allclose(steps / steps.sum(), angles, rtol=0.12)


def carried(mean: float, variance: float = 0.01, real: float = 1.0, count: int = 4) -> torch.Tensor:
    return torch.tensor([variance, variance, mean, real])[:, None].repeat(1, count)


def test_share_leans_to_the_layer_that_looks_like_the_place():
    places = LayerConfidence(torch.tensor([0.2, 0.2, 0.8, 0.8]), torch.full((2, 4), 0.01), 1.0)
    calm, foam = carried(0.2), carried(0.8)
    share = places.share(0.5, (calm, foam), slice(None))
    # The two means lie two of the places' standard deviations apart: exp(TRUST * 2^2) to 1.
    expected = torch.tensor([TRUST * 4.0, TRUST * 4.0, -TRUST * 4.0, -TRUST * 4.0]).sigmoid()
    torch.testing.assert_close(share, expected)
    torch.testing.assert_close(places.share(0.5, (foam, foam), slice(None)), torch.full((4,), 0.5))
    rough = places.share(0.5, (carried(0.2, 0.0001, count=2), carried(0.2, count=2)), slice(0, 2))
    assert (rough < 0.2).all(), "contrast that the place does not have counts, too"


@pytest.mark.parametrize("strength", [0.0, 0.8])
def test_share_is_complete_at_the_seam(strength):
    places = LayerConfidence(torch.tensor([0.1, 0.5, 0.7, 0.9]), torch.full((2, 4), 0.01), strength)
    layers = carried(0.9, real=0.0), carried(0.1)
    assert (torch.as_tensor(places.share(1.0, layers, slice(None))) == 1).all()
    assert (torch.as_tensor(places.share(0.0, layers, slice(None))) == 0).all()


def test_layer_from_within_the_fluid_is_preferred():
    nowhere = LayerConfidence(None, None, 0.0)
    share = nowhere.share(0.5, (carried(0.1, real=0.0), carried(0.9)), slice(None))
    torch.testing.assert_close(share, torch.full((4,), -REAL).sigmoid())
