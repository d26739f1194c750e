from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.warp import splat as module
from t2c_core.warp.integrate import pixel_grid
from t2c_core.warp.splat import splat, splat_points


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def slow_splat(values: np.ndarray, positions: np.ndarray, height: int, width: int) -> np.ndarray:
    """Point by point, pixel by pixel, in double precision: [C, height, width]."""
    out = np.zeros((len(values), height, width))
    for value, (px, py) in zip(values.T.astype(np.float64), positions.astype(np.float64), strict=True):
        for y in (math.floor(py), math.floor(py) + 1):
            for x in (math.floor(px), math.floor(px) + 1):
                if 0 <= x < width and 0 <= y < height:
                    out[:, y, x] += value * (1 - abs(px - x)) * (1 - abs(py - y))
    return out


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (9, 1), (7, 11), (16, 5)])
def test_against_a_slow_loop(height, width):
    values = random(3, 200, seed=1)
    # Two thirds inside, the rest around it, some far away.
    positions = torch.rand(200, 2, generator=torch.Generator().manual_seed(2)) * torch.tensor(
        [width + 6.0, height + 6.0]
    )
    positions -= 3
    positions[:10] = torch.round(positions[:10])
    positions[10:14] *= 1000
    found = splat_points(values, positions, height, width)
    assert found.shape == (3, height * width) and found.dtype == torch.float32
    expected = slow_splat(values.numpy(), positions.numpy(), height, width)
    np.testing.assert_allclose(found.numpy().reshape(expected.shape), expected, atol=2e-5)


def test_no_points():
    assert not splat_points(torch.zeros(2, 0), torch.zeros(0, 2), 3, 4).any()


@pytest.mark.parametrize("mode", ["sum", "average", "softmax"])
@pytest.mark.parametrize("size", [(1, 1), (7, 12), (13, 4)])
def test_standing_still_is_exact(mode, size):
    image = random(2, 3, *size)
    result, weight = splat(image, torch.zeros(2, 2, *size), mode=mode)
    assert torch.equal(result, image)
    assert torch.equal(weight, torch.ones(2, 1, *size))


def test_whole_pixels_shift_exactly():
    image = random(1, 3, 6, 9)
    moved = torch.tensor([2.0, -1.0]).reshape(1, 2, 1, 1).expand(1, 2, 6, 9)
    result, weight = splat(image, moved)
    assert torch.equal(result[..., :-1, 2:], image[..., 1:, :-2])
    assert not weight[..., -1, :].any() and not weight[..., :2].any()
    assert not result[..., -1, :].any(), "nothing arrived: zero"


def test_half_a_pixel_is_shared_out():
    image = torch.zeros(1, 1, 3, 4)
    image[..., 1, 1] = 8.0
    moved = torch.zeros(1, 2, 3, 4)
    moved[:, 0, 1, 1], moved[:, 1, 1, 1] = 0.75, 0.5
    result, _ = splat(image, moved, mode="sum")
    assert result[0, 0, 1].tolist() == [0, 1, 3, 0] and result[0, 0, 2].tolist() == [0, 1, 3, 0]


def test_mass_is_conserved_inside():
    image, moved = random(1, 2, 20, 24, seed=3), torch.zeros(1, 2, 20, 24)
    image[..., :4, :], image[..., -4:, :], image[..., :4], image[..., -4:] = 0, 0, 0, 0
    moved[..., 4:-4, 4:-4] = random(1, 2, 12, 16, seed=4).clamp(-3, 3)
    result, weight = splat(image, moved, mode="sum")
    torch.testing.assert_close(result.sum((2, 3)), image.sum((2, 3)), atol=1e-4, rtol=1e-5)
    assert float(weight.sum()) == pytest.approx(20 * 24, rel=1e-5)


def test_average_divides_what_piles_up():
    image = torch.tensor([2.0, 6.0, 0.0]).reshape(1, 1, 1, 3)
    moved = torch.zeros(1, 2, 1, 3)
    moved[0, 0, 0, :2] = torch.tensor([1.0, 0.0])
    summed, weight = splat(image, moved, mode="sum")
    averaged, _ = splat(image, moved, mode="average")
    assert summed.flatten().tolist() == [0, 8, 0] and weight.flatten().tolist() == [0, 2, 1]
    assert averaged.flatten().tolist() == [0, 4, 0]


def test_softmax_is_the_formula():
    image, moved, metric = random(2, 3, 5, 6), random(2, 2, 5, 6, seed=5), random(2, 1, 5, 6, seed=6)
    result, weight = splat(image, moved, metric)
    for b in range(2):
        z = metric[b].double().reshape(-1)
        w = torch.exp(z - z.max())
        values = torch.cat([image[b].double().reshape(3, -1) * w, w[None]])
        total = slow_splat(values.numpy(), (pixel_grid(5, 6) + moved[b].reshape(2, -1).T).numpy(), 5, 6)
        arrived = total[-1] > 1e-4
        expected = total[:-1, arrived] / total[-1, arrived]
        np.testing.assert_allclose(result[b].numpy()[:, arrived], expected, atol=1e-3)
        np.testing.assert_allclose(weight[b, 0].numpy(), total[-1], atol=1e-5)


def test_softmax_prefers_the_large_metric():
    image = torch.tensor([1.0, 0.0]).reshape(1, 1, 1, 2)
    moved = torch.tensor([1.0, 0.0]).reshape(1, 1, 1, 2)
    moved = torch.cat([moved, torch.zeros_like(moved)], 1)
    seen = []
    for difference in (-50.0, -1.0, 0.0, 1.0, 50.0):
        metric = torch.tensor([difference, 0.0]).reshape(1, 1, 1, 2)
        seen.append(float(splat(image, moved, metric)[0][0, 0, 0, 1]))
    assert seen == pytest.approx([1 / (1 + math.exp(-d)) for d in (-50.0, -1.0, 0.0, 1.0, 50.0)], abs=1e-6)


def test_softmax_does_not_mind_a_shift_or_huge_metrics():
    image, moved, metric = random(1, 2, 6, 5), random(1, 2, 6, 5, seed=1), random(1, 1, 6, 5, seed=2)
    plain = splat(image, moved, metric)
    torch.testing.assert_close(splat(image, moved, metric + 1000), plain, atol=1e-3, rtol=1e-3)
    result, weight = splat(image, moved, metric * 1e4)
    assert torch.isfinite(result).all() and torch.isfinite(weight).all()


def test_softmax_without_metric_is_average():
    image, moved = random(1, 2, 6, 5), random(1, 2, 6, 5, seed=1)
    for ours, theirs in zip(splat(image, moved), splat(image, moved, mode="average"), strict=True):
        assert torch.equal(ours, theirs)


def test_gradients_through_the_values():
    values = random(2, 12).requires_grad_()
    positions = torch.rand(12, 2, generator=torch.Generator().manual_seed(1)) * 3.9
    target = random(2, 20, seed=7)
    (splat_points(values, positions, 5, 4) * target).sum().backward()
    # The adjoint of splatting is bilinear look-up.
    plane = target.reshape(2, 5, 4).double().numpy()
    for k, (x, y) in enumerate(positions.double().numpy()):
        x0, y0 = math.floor(x), math.floor(y)
        expected = sum(
            plane[:, yy, xx] * (1 - abs(x - xx)) * (1 - abs(y - yy))
            for yy in (y0, y0 + 1)
            for xx in (x0, x0 + 1)
            if yy < 5 and xx < 4
        )
        np.testing.assert_allclose(values.grad[:, k].numpy(), expected, atol=1e-5)


def test_gradients_through_splat_and_metric():
    image, metric = random(1, 2, 4, 5).requires_grad_(), random(1, 1, 4, 5, seed=1).requires_grad_()
    result, _ = splat(image, 0.3 * random(1, 2, 4, 5, seed=2), metric)
    result.square().sum().backward()
    for grad in (image.grad, metric.grad):
        assert torch.isfinite(grad).all() and grad.abs().max() > 0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e30, -1e30])
def test_wild_positions_are_harmless(bad):
    positions = pixel_grid(4, 5)
    expected = splat_points(torch.ones(1, 20), positions, 4, 5)
    expected[0, [3, 11]] = 0
    positions[3, 0], positions[11, 1] = bad, bad
    assert torch.equal(splat_points(torch.ones(1, 20), positions, 4, 5), expected)


@pytest.mark.parametrize("chunk", [1, 7, 64, 10**6])
def test_chunks_make_no_difference(monkeypatch, chunk):
    values, positions = random(3, 130), random(130, 2, seed=1) * 4 + 4
    whole = splat_points(values, positions, 9, 10)
    monkeypatch.setattr(module, "CHUNK_POINTS", chunk)
    torch.testing.assert_close(splat_points(values, positions, 9, 10), whole, atol=1e-5, rtol=1e-5)


def test_half_precision_is_summed_in_float32():
    # 4096 ones on one pixel: float16 could not even count beyond 2048.
    values, positions = torch.ones(1, 4096, dtype=torch.float16), torch.ones(4096, 2, dtype=torch.float16)
    total = splat_points(values, positions, 3, 3)
    assert total.dtype == torch.float32 and float(total[0, 4]) == 4096.0
    result, weight = splat(random(1, 3, 5, 7).half(), torch.zeros(1, 2, 5, 7).half(), random(1, 1, 5, 7).half())
    assert result.dtype == weight.dtype == torch.float32


def test_batch_is_worked_off_one_by_one():
    image, moved, metric = random(3, 2, 5, 8), random(3, 2, 5, 8, seed=1), random(3, 1, 5, 8, seed=2)
    together = splat(image, moved, metric)
    for b in range(3):
        alone = splat(image[b : b + 1], moved[b : b + 1], metric[b : b + 1])
        for ours, theirs in zip(alone, together, strict=True):
            torch.testing.assert_close(ours[0], theirs[b])


@pytest.mark.parametrize(
    ("input", "arguments", "options"),
    [
        ("mode", (torch.zeros(1, 3, 4, 5), torch.zeros(1, 2, 4, 5)), {"mode": "max"}),
        ("displacement", (torch.zeros(1, 3, 4, 5), torch.zeros(1, 2, 5, 4)), {}),
        ("displacement", (torch.zeros(2, 3, 4, 5), torch.zeros(1, 2, 4, 5)), {}),
        ("displacement", (torch.zeros(1, 3, 4, 5), torch.zeros(1, 3, 4, 5)), {}),
        ("metric", (torch.zeros(1, 3, 4, 5), torch.zeros(1, 2, 4, 5), torch.zeros(1, 3, 4, 5)), {}),
        ("metric", (torch.zeros(1, 3, 4, 5), torch.zeros(1, 2, 4, 5), torch.zeros(1, 1, 4, 4)), {}),
    ],
)
def test_errors(input, arguments, options):
    with pytest.raises(InputError) as caught:
        splat(*arguments, **options)
    assert caught.value.input == input
