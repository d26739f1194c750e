"""The two layers of a frame: where their colours come from, what they cover, how holes are filled."""

from __future__ import annotations

import math

import pytest
import torch

from t2c_core.loop.blend import linear_blend
from t2c_core.types import MotionField
from t2c_core.warp import integrate
from t2c_core.warp import layers as module
from t2c_core.warp.layers import FluidWarp
from t2c_core.warp.plan import WarpPlan, WarpSettings

RENDERERS = ("gather", "splat")


def make_image(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(seed))


def box(height: int, width: int, top: int, bottom: int, left: int, right: int) -> torch.Tensor:
    mask = torch.zeros(1, height, width)
    mask[:, top:bottom, left:right] = 1
    return mask


def plan(mask: torch.Tensor, velocity: torch.Tensor | tuple[float, float], frames: int, renderer: str, **options):
    if isinstance(velocity, tuple):
        velocity = torch.tensor(velocity).reshape(1, 2, 1, 1).expand(1, 2, *mask.shape[-2:])
    image, metric = (options.pop(name, None) for name in ("image", "metric"))
    image = make_image(*mask.shape[-2:]) if image is None else image
    field = MotionField(velocity * (mask > 0)[:, None], mask)
    return WarpPlan(image, field, WarpSettings(frames, renderer=renderer, **options), metric)


def radial(size: int, rate: float) -> torch.Tensor:
    """Everything moves away from the middle (rate > 0) or towards it, by that share of its distance a frame."""
    at = torch.arange(size) - (size - 1) / 2
    y, x = torch.meshgrid(at, at, indexing="ij")
    return rate * torch.stack([x, y])[None]


def test_only_the_fluid_is_worked_on():
    mask = box(9, 14, 2, 5, 3, 8)
    mask[0, 7, 11] = 0.01
    warp = FluidWarp(plan(mask, (1.0, 0.0), 4, "gather"))
    assert len(warp.indices) == 3 * 5 + 1
    assert torch.equal(warp.positions[-1], torch.tensor([11.0, 7.0]))
    assert torch.equal(warp.indices, warp.positions[:, 1].long() * 14 + warp.positions[:, 0].long())
    for layers in warp.layers(warp.texture):
        assert layers.forward.shape == layers.backward.shape == (3, 16)


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("frames", [2, 3, 8])
def test_forward_by_i_and_backward_by_the_rest(renderer, frames):
    """Whole pixels: each layer is the picture, shifted, where the shift stays in the picture."""
    height, width = 12, 40
    made = plan(torch.ones(1, height, width), (1.0, -1.0), frames, renderer)
    warp = FluidWarp(made)
    rendered = list(warp.layers(warp.texture))
    assert len(rendered) == frames
    for i, layers in enumerate(rendered):
        for colours, steps in ((layers.forward, i), (layers.backward, i - frames)):
            found = colours.T.reshape(height, width, 3)
            expected = torch.roll(made.image[0], (-steps, steps), (0, 1))
            rows = slice(0, height - steps) if steps > 0 else slice(-steps, height)
            torch.testing.assert_close(found[rows, 9:-9], expected[rows, 9:-9], atol=1e-4, rtol=0)
        assert torch.as_tensor(layers.share).mean().item() == pytest.approx(1 - i / frames, abs=1e-5)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_the_first_frame_is_the_forward_layer_alone(renderer):
    made = plan(box(30, 30, 4, 26, 4, 26), (0.7, 0.3), 10, renderer)
    warp = FluidWarp(made)
    first = next(iter(warp.layers(warp.texture)))
    source = made.image.reshape(-1, 3)[warp.indices]
    torch.testing.assert_close(linear_blend(first).T, source, atol=1e-5, rtol=0)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_aux_channels_move_with_the_colours(renderer):
    made = plan(torch.ones(1, 16, 24), (1.0, 0.0), 6, renderer)
    warp = FluidWarp(made)
    # The channels that go along are read bilinearly, the colours bicubically: the same at whole pixels.
    for layers in warp.layers(warp.texture, warp.texture[..., :2].contiguous()):
        assert [part.shape for part in layers.aux] == [(2, 16 * 24)] * 2
        torch.testing.assert_close(layers.aux[0], layers.forward[:2], atol=1e-5, rtol=0)
        torch.testing.assert_close(layers.aux[1], layers.backward[:2], atol=1e-5, rtol=0)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_nothing_but_fluid_flows_in(renderer):
    """Rock beside the river never appears in it, however far the water moves."""
    mask = box(20, 50, 6, 14, 10, 40)
    image = torch.zeros(1, 20, 50, 3)
    image[mask > 0] = 0.8
    warp = FluidWarp(plan(mask, (3.0, 1.0), 20, renderer, image=image))
    for layers in warp.layers(warp.texture):
        assert (layers.forward - 0.8).abs().max() < 1e-4
        assert (layers.backward - 0.8).abs().max() < 1e-4


# --- coverage ---------------------------------------------------------------------------------------------------------


def least(made: WarpPlan) -> torch.Tensor:
    """[H, W]: the least coverage over the loop, 1 outside the mask."""
    warp = FluidWarp(made)
    out = torch.ones(warp.height * warp.width)
    count = 0
    for covered in warp.coverage():
        assert covered.shape == warp.indices.shape and covered.min() >= 0 and covered.max() <= 1
        out[warp.indices] = torch.minimum(out[warp.indices], covered)
        count += 1
    assert count == made.settings.frames
    return out.reshape(warp.height, warp.width)


@pytest.mark.parametrize("renderer", RENDERERS)
def test_standing_water_is_covered(renderer):
    assert (least(plan(box(15, 20, 3, 9, 2, 17), (0.0, 0.0), 5, renderer)) == 1).all()


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize(("frames", "covered"), [(20, 1.0), (30, 1.0), (60, 0.0)])
def test_a_river_longer_than_its_way_is_covered_from_either_side(renderer, frames, covered):
    """40 px of water, 1 px a frame: one layer always reaches a pixel, unless the way is longer than the water."""
    found = least(plan(box(9, 70, 3, 6, 15, 55), (1.0, 0.0), frames, renderer))
    assert (found[3:6, 15:55] == covered).all()
    found[3:6, 15:55] = 1
    assert (found == 1).all()


@pytest.mark.parametrize("renderer", RENDERERS)
def test_the_mirrored_image_beyond_its_edge_is_not_covered(renderer):
    # The whole picture flows 30 px through a picture 20 px wide.
    assert (least(plan(torch.ones(1, 5, 20), (1.0, 0.0), 30, renderer)) == 0).all()


def test_a_source_thins_the_splats_out_as_it_should():
    """Spread by e^(rate t) in x and in y, a pixel holds e^(-2 rate t) points; together they cover it."""
    rate, frames = 0.05, 10
    warp = FluidWarp(plan(torch.ones(1, 61, 61), radial(61, rate), frames, "splat"))
    middle = (warp.positions - 30).abs().amax(1) < 16
    sums = warp._splats(warp.texture[..., :1], coverage=True)
    for i, ((forward, backward), covered) in enumerate(zip(sums, warp.coverage(), strict=True)):
        assert forward[0, middle].mean().item() == pytest.approx(math.exp(-2 * rate * i), rel=0.08)
        assert backward[0, middle].mean().item() == pytest.approx(math.exp(2 * rate * (frames - i)), rel=0.08)
        assert torch.equal(covered, torch.maximum(forward[0], backward[0]).clamp(max=1))
        assert covered[middle].min() > 0.99


# --- holes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [-0.5, 0.5])
def test_holes_of_a_sink_and_a_source_show_neither_grey_nor_black(rate):
    image = torch.rand(1, 49, 49, 3, generator=torch.Generator().manual_seed(0)) * 0.1
    image[..., 0] += 0.85
    warp = FluidWarp(plan(torch.ones(1, 49, 49), radial(49, rate), 12, "splat", image=image))
    for layers in warp.layers(warp.texture):
        for colours in (layers.forward, layers.backward):
            assert torch.isfinite(colours).all()
            # The texture's own range, a little beyond it where detail is put on a filled mean.
            assert colours[0].min() > 0.78 and colours[0].max() < 1.02
            assert colours[1:].min() > -0.07 and colours[1:].max() < 0.17


def test_a_hole_shows_the_other_layer():
    """A pixel that only one layer reaches is that layer's colour in both, at any share."""
    made = plan(torch.ones(1, 1, 41), torch.zeros(1, 2, 1, 41), 4, "splat")
    made.flow.velocity[0, 0, 0, 21:] = 3.0  # the right half leaves the middle: forward a gap opens there
    warp = FluidWarp(made)
    for i, layers in enumerate(warp.layers(warp.texture)):
        gap = slice(22, 22 + 3 * i - 2) if i else slice(0, 0)
        torch.testing.assert_close(layers.forward[:, gap], layers.backward[:, gap], atol=1e-5, rtol=0)
        assert torch.isfinite(layers.forward).all() and torch.isfinite(layers.backward).all()


def test_filling_takes_the_mean_of_what_is_near_and_the_details_of_the_place():
    mask = torch.ones(1, 32, 32)
    warp = FluidWarp(plan(mask, (0.0, 0.0), 2, "splat"))
    known = torch.full((3, 32 * 32), 0.5)
    known[:, 512:] = 0.9
    holes = torch.zeros(32, 32, dtype=torch.bool)
    holes[4:7, 10:14] = True
    holes[24:30, 20:26] = True
    # A texture of ripples 2 px wide about 0.3: the fill keeps the ripples and leaves their mean behind.
    ripples = 0.3 + 0.05 * (-1.0) ** torch.arange(32.0).expand(32, 32)
    filled = warp._fill(known, holes.reshape(-1), ripples[..., None].expand(32, 32, 3)).reshape(3, 32, 32)
    torch.testing.assert_close(filled[:, ~holes], known.reshape(3, 32, 32)[:, ~holes])
    torch.testing.assert_close(filled[0, 4:7, 10:14], (0.2 + ripples)[4:7, 10:14], atol=0.01, rtol=0)
    torch.testing.assert_close(filled[0, 24:30, 20:26], (0.6 + ripples)[24:30, 20:26], atol=0.01, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 3)])
def test_filling_when_nothing_is_known_shows_the_place_itself(size):
    made = plan(torch.ones(1, *size), (0.0, 0.0), 2, "splat")
    warp = FluidWarp(made)
    count = size[0] * size[1]
    filled = warp._fill(torch.full((3, count), math.nan), torch.ones(count, dtype=torch.bool), warp.texture)
    torch.testing.assert_close(filled.T, made.image.reshape(-1, 3))


# --- softmax splatting in a plan --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("near", "expected"), [(-20.0, 0.2), (0.0, 0.5), (20.0, 0.8)])
def test_the_metric_says_which_of_two_is_in_front(near, expected):
    """One bright moving column passes over a dark standing picture."""
    image = torch.full((1, 3, 12, 3), 0.2)
    image[:, :, 3] = 0.8
    velocity, metric = torch.zeros(1, 2, 3, 12), torch.zeros(1, 1, 3, 12)
    velocity[:, 0, :, 3], metric[..., 3] = 1.0, near
    # Euler's step is one whole pixel; Runge-Kutta would slow the column down as it nears the still one.
    made = plan(torch.ones(1, 3, 12), velocity, 3, "splat", image=image, metric=metric, integration="bilinear")
    warp = FluidWarp(made)
    layers = list(warp.layers(warp.texture))[1]
    assert layers.forward.reshape(3, 3, 12)[0, 1, 4].item() == pytest.approx(expected, abs=1e-3)


def test_an_even_metric_changes_nothing():
    mask = box(15, 21, 3, 12, 4, 17)
    without, even = (
        FluidWarp(plan(mask, (0.6, -0.4), 5, "splat", metric=m)) for m in (None, torch.full((1, 1, 15, 21), 7.0))
    )
    for a, b in zip(without.layers(without.texture), even.layers(even.texture), strict=True):
        torch.testing.assert_close(a.forward, b.forward, atol=1e-5, rtol=0)
        torch.testing.assert_close(a.backward, b.backward, atol=1e-5, rtol=0)


# --- size, speed, cost ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 40), (40, 1)])
@pytest.mark.parametrize("speed", [0.0, 1.0, 100.0])
@pytest.mark.parametrize("frames", [2, 3])
def test_tiny_images_and_absurd_speeds(renderer, size, speed, frames):
    made = plan(torch.ones(1, *size), (5.0, -3.0), frames, renderer, speed=speed)
    warp = FluidWarp(made)
    for layers in warp.layers(warp.texture):
        assert layers.forward.shape == (3, size[0] * size[1])
        assert torch.isfinite(layers.forward).all() and torch.isfinite(layers.backward).all()
    assert torch.isfinite(least(made)).all()


@pytest.mark.parametrize("renderer", RENDERERS)
def test_half_precision_is_rendered_in_float32(renderer):
    full = plan(torch.ones(1, 11, 17), (0.5, 0.25), 4, renderer)
    field = MotionField(full.flow.velocity.half(), full.flow.mask.half())
    half = FluidWarp(WarpPlan(full.image.half(), field, WarpSettings(4, renderer=renderer)))
    whole = FluidWarp(full)
    for a, b in zip(half.layers(half.texture), whole.layers(whole.texture), strict=True):
        assert a.forward.dtype == torch.float32
        assert (a.forward - b.forward).abs().max() < 2e-3


@pytest.mark.parametrize("renderer", RENDERERS)
def test_look_ups_grow_linearly_with_the_frames(monkeypatch, renderer):
    calls = []
    for place, name in ((module, "sample"), (integrate, "_advance")):
        original = getattr(place, name)
        monkeypatch.setattr(place, name, lambda *a, _=original, **k: calls.append(1) or _(*a, **k))
    counts = []
    for frames in (50, 100, 200):
        calls.clear()
        warp = FluidWarp(plan(torch.ones(1, 6, 8), (0.02, 0.0), frames, renderer))
        assert sum(1 for _ in warp.layers(warp.texture)) == frames
        counts.append(len(calls))
    assert counts[0] > 50, "the look-ups are counted at all"
    assert counts[2] - counts[1] == pytest.approx(2 * (counts[1] - counts[0]), rel=0.05)
    assert counts[2] - counts[1] <= 4 * 100 * 1.05, "two traces and two pictures"
