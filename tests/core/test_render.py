"""Whole loops: still pixels, the seam, known motion, awkward sizes and fields, laziness."""

from __future__ import annotations

import dataclasses
import time
import weakref

import numpy as np
import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.kernels import dispatch
from t2c_core.loop.render import HALVINGS, LoopRenderer
from t2c_core.loop.settings import BlendSettings
from t2c_core.types import MotionField
from t2c_core.warp import layers, restarts, trajectory_splat
from t2c_core.warp import sample as sampling
from t2c_core.warp.layers import FluidWarp
from t2c_core.warp.plan import WarpPlan, WarpSettings
from tests.core.loops import HEIGHT, WIDTH, disk, plan, render, texture, uniform

KINDS = [(r, b) for r in ("gather", "splat") for b in ("contrast", "linear")]


@pytest.mark.parametrize(("renderer", "blend"), KINDS)
def test_frames_and_still_pixels(renderer, blend):
    made = plan(renderer=renderer)
    frames = list(render(made, blend))
    still = made.flow.mask[0] == 0
    assert len(frames) == 12
    assert torch.equal(frames[0], made.image[0])
    for frame in frames:
        assert frame.shape == (HEIGHT, WIDTH, 3) and frame.dtype == torch.float32
        assert torch.isfinite(frame).all() and frame.min() >= 0 and frame.max() <= 1
        assert torch.equal(frame[still], made.image[0][still])
    moving = made.flow.mask[0] > 0.9
    assert all((f - frames[0])[moving].abs().mean() > 0.005 for f in frames[1:])


@pytest.mark.parametrize(("renderer", "blend"), KINDS)
def test_every_pass_is_the_same(renderer, blend):
    loop = render(plan(renderer=renderer), blend)
    first, second = list(loop), list(loop)
    again = list(render(plan(renderer=renderer), blend))
    for frames in (second, again):
        assert all(torch.equal(a, b) for a, b in zip(first, frames, strict=True))
    assert len(loop) == len(first)


def test_a_pass_that_was_given_up_does_not_disturb_the_next():
    loop = render(plan())
    expected = list(loop)
    begun = iter(loop)
    next(begun), next(begun), next(begun)
    both = list(zip(loop, loop, strict=True))
    for (a, b), frame in zip(both, expected, strict=True):
        assert torch.equal(a, frame) and torch.equal(b, frame)


def test_changing_a_frame_changes_no_other():
    """Each frame is the caller's own: writing into it reaches neither the picture nor the next frame."""
    made = plan(frames=5)
    expected, image = [f.clone() for f in render(made)], made.image.clone()
    for frame, untouched in zip(render(made), expected, strict=True):
        assert torch.equal(frame, untouched)
        frame.fill_(0.123)
    assert torch.equal(made.image, image)


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize(("renderer", "blend"), KINDS)
def test_the_seam_is_a_step_like_the_others(renderer, blend, full):
    made = plan(frames=30, renderer=renderer, mask=torch.ones(1, 96, 96) if full else disk(), velocity=(1.0, 0.3))
    frames = torch.stack(list(render(made, blend)))[:, made.flow.mask[0] > 0.5]
    steps = [(frames[(i + 1) % 30] - frames[i]).abs().mean().item() for i in range(30)]
    assert 0.75 <= steps[-1] / np.median(steps) <= 1.25
    assert max(steps) / np.median(steps) <= 1.25, "no other step is a jerk"


@pytest.mark.parametrize("renderer", ["gather", "splat"])
def test_known_translation(renderer):
    """Both layers of a texture that repeats after N frames of motion are the same: the loop is that translation."""
    frames = 16
    mask = torch.ones(1, 64, 64)
    image = texture(64, 16).repeat(1, 1, 4, 1)
    made = WarpPlan(image, uniform(1.0, 0.0, mask), WarpSettings(frames, renderer=renderer, cycles="1"))
    for i, frame in enumerate(render(made, "linear")):
        expected = torch.roll(image[0], i, dims=1)
        # Near the left and right edge the picture is continued by a mirror, not by its period.
        assert (frame - expected)[:, 17:-17].abs().max() < 1e-3


def test_motion_goes_where_the_field_points():
    spot = torch.zeros(1, 41, 41, 3)
    spot[0, 18:23, 18:23] = 1.0
    made = WarpPlan(spot, uniform(0.0, 2.0, torch.ones(1, 41, 41)), WarpSettings(40, cycles="1"))
    frame = list(render(made, "linear"))[4].mean(-1)
    y = (frame[:34].sum(1) * torch.arange(34)).sum() / frame[:34].sum()
    assert y.item() == pytest.approx(28.0, abs=0.5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 3), (33, 17), (5, 301)])
@pytest.mark.parametrize("renderer", ["gather", "splat"])
@pytest.mark.parametrize("frames", [2, 3])
def test_awkward_sizes(shape, renderer, frames):
    made = plan(frames=frames, renderer=renderer, mask=torch.ones(1, *shape))
    rendered = list(render(made))
    assert len(rendered) == frames
    assert all(f.shape == (*shape, 3) and torch.isfinite(f).all() for f in rendered)
    assert torch.equal(rendered[0], made.image[0])


@pytest.mark.parametrize(("renderer", "blend"), KINDS)
def test_absurd_speed(renderer, blend):
    made = plan(frames=6, renderer=renderer, speed=100.0, velocity=(60.0, -40.0))
    for frame in render(made, blend):
        assert torch.isfinite(frame).all() and frame.min() >= 0 and frame.max() <= 1
        assert torch.equal(frame[made.flow.mask[0] == 0], made.image[0][made.flow.mask[0] == 0])


@pytest.mark.parametrize(("renderer", "blend"), KINDS)
@pytest.mark.parametrize("options", [{"speed": 0.0}, {"velocity": (0.0, 0.0)}])
def test_without_speed_it_is_the_image(renderer, blend, options):
    made = plan(frames=4, renderer=renderer, **options)
    frames = list(render(made, blend))
    assert len(frames) == 4 and len({f.data_ptr() for f in frames}) == 4
    assert all(torch.equal(f, made.image[0]) for f in frames)
    assert (render(made, blend).coverage == 1).all()


@pytest.mark.parametrize(("renderer", "blend"), KINDS)
def test_half_precision(renderer, blend):
    made = plan(frames=4, renderer=renderer)
    field = MotionField(made.flow.velocity.half(), made.flow.mask.half())
    half = WarpPlan(made.image.half(), field, WarpSettings(4, renderer=renderer))
    still = field.mask[0] == 0
    for i, (a, b) in enumerate(zip(render(half, blend), render(made, blend), strict=True)):
        assert a.dtype == torch.float32
        assert torch.equal(a[still], half.image[0].float()[still])
        assert i or torch.equal(a, half.image[0].float())
        assert (a - b).abs().max() < 0.01


def test_one_pixel_and_empty_masks():
    one = torch.zeros(1, HEIGHT, WIDTH)
    one[0, 30, 40] = 1
    for mask in (one, torch.zeros(1, HEIGHT, WIDTH)):
        made = plan(frames=4, mask=mask)
        for frame in render(made):
            assert torch.equal(frame[mask[0] == 0], made.image[0][mask[0] == 0])


@pytest.mark.parametrize("kind", ["source", "sink", "shear", "jump"])
@pytest.mark.parametrize("renderer", ["gather", "splat"])
def test_difficult_fields_leave_no_holes(kind, renderer):
    mask = torch.ones(1, 80, 80)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 80), torch.linspace(-1, 1, 80), indexing="ij")
    field = {
        "source": torch.stack([x, y]) * 2,
        "sink": -torch.stack([x, y]) * 2,
        "shear": torch.stack([3 * torch.tanh(8 * y), 0 * x]),
        "jump": torch.stack([2 * torch.sign(y), 0 * x]),
    }[kind]
    # Red between 0.7 and 0.9, blue between 0.1 and 0.3: an unfilled hole, black or grey, would stand out.
    image = torch.tensor([0.7, 0.4, 0.1]) + 0.2 * texture(80, 80)
    made = WarpPlan(image, MotionField(field[None].float(), mask), WarpSettings(30, renderer=renderer, cycles="1"))
    loop = render(made)
    for frame in loop:
        assert torch.isfinite(frame).all()
        assert frame[..., 0].min() > 0.6 and frame[..., 2].max() < 0.4
    assert loop.coverage.min() >= 0 and loop.coverage.max() <= 1


@pytest.mark.parametrize("renderer", ["gather", "splat"])
@pytest.mark.parametrize(("frames", "inside"), [(40, 1.0), (60, 0.0)])
def test_coverage(renderer, frames, inside):
    """80 px of water: over 60 px one of the layers always shows it, over 90 px neither does at some time."""
    mask = torch.zeros(1, 60, 120)
    mask[:, 20:40, 20:100] = 1
    loop = render(plan(frames=frames, renderer=renderer, mask=mask, velocity=(1.5, 0.0)))
    coverage = loop.coverage
    assert coverage.shape == (1, 60, 120) and coverage.dtype == torch.float32
    assert (coverage[mask == 0] == 1).all()
    assert (coverage[mask > 0] == inside).all()
    list(loop)
    assert torch.equal(loop.coverage, coverage), "the same before and after rendering"


@pytest.mark.parametrize("cycles", ["1", "3"])
@pytest.mark.parametrize(("renderer", "blend"), KINDS)
def test_coverage_gathered_while_rendering(monkeypatch, renderer, blend, cycles):
    made = plan(frames=20, renderer=renderer, velocity=(4.0, 0.0), cycles=cycles)
    afterwards, frames = render(made, blend).coverage, list(render(made, blend))
    assert 0 < afterwards.mean() < 1
    monkeypatch.setattr(sampling, "TILE_POINTS", 500)
    loop = LoopRenderer.from_plan(made, BlendSettings(blend), coverage=True)
    for frame, expected in zip(loop, frames, strict=True):
        torch.testing.assert_close(frame, expected, atol=1e-5, rtol=0)
    # Nothing is traced a second time.
    monkeypatch.setattr(FluidWarp, "coverage", None)
    torch.testing.assert_close(loop.coverage, afterwards, atol=1e-6, rtol=0)


def test_coverage_is_gathered_only_where_it_was_asked_for(monkeypatch):
    calls = []
    original = layers.inside
    monkeypatch.setattr(layers, "inside", lambda *args: calls.append(1) or original(*args))
    list(render(plan()))
    assert not calls
    list(LoopRenderer.from_plan(plan(), coverage=True))
    assert len(calls) == 2 * 11


def test_the_metric_does_not_change_what_is_covered():
    made = plan(renderer="splat", velocity=(4.0, 0.0))
    weighted = dataclasses.replace(made, metric=3 * texture()[..., 0][None])
    torch.testing.assert_close(render(weighted).coverage, render(made).coverage)


def test_gather_and_splat_agree_where_the_motion_is_smooth():
    y, x = torch.meshgrid(torch.linspace(-1, 1, 96), torch.linspace(-1, 1, 96), indexing="ij")
    rotation = torch.stack([-y, x])[None].float()
    image = texture(96, 96)
    both = [
        list(render(WarpPlan(image, MotionField(rotation, disk(96, 96)), WarpSettings(20, renderer=r)), "linear"))
        for r in ("gather", "splat")
    ]
    for a, b in zip(*both, strict=True):
        error = ((a - b) ** 2).mean().item()
        assert error < 10 ** (-35 / 10)


@pytest.mark.parametrize("renderer", ["gather", "splat"])
def test_frames_are_made_one_at_a_time(renderer):
    alive: list[weakref.ref] = []
    most = 0
    for frame in render(plan(frames=25, renderer=renderer)):
        alive.append(weakref.ref(frame))
        most = max(most, sum(r() is not None for r in alive))
    assert most <= 2


@pytest.mark.slow
@pytest.mark.parametrize("renderer", ["gather", "splat"])
def test_the_first_frames_do_not_wait_for_the_last(renderer):
    start = time.perf_counter()
    frames = iter(render(plan(frames=600, renderer=renderer, mask=torch.ones(1, 64, 64), velocity=(0.1, 0.05))))
    next(frames), next(frames)
    early = time.perf_counter() - start
    assert sum(1 for _ in frames) == 598
    assert early < 0.6 * (time.perf_counter() - start)


@pytest.mark.parametrize(
    ("options", "name"),
    [({"blend": "magic"}, "blend"), ({"anchor": 1.5}, "anchor"), ({"anchor": -0.1}, "anchor")],
)
def test_wrong_options(options, name):
    with pytest.raises(InputError) as caught:
        render(plan(), **options)
    assert caught.value.input == name


def test_anchor_keeps_brightness_in_place():
    """A bright half stays bright though dark texture flows in."""
    image = texture(64, 64) * 0.4
    image[:, :, 32:] += 0.5
    made = WarpPlan(image, uniform(1.0, 0.0, torch.ones(1, 64, 64)), WarpSettings(24, cycles="1"))
    drift = {a: (list(render(made, anchor=a))[12] - image[0])[:, 34:40].mean().abs().item() for a in (0.0, 1.0)}
    assert drift[1.0] < 0.35 * drift[0.0]


CYCLES = ("auto", "3")


@pytest.mark.parametrize("cycles", CYCLES)
@pytest.mark.parametrize(("renderer", "blend"), KINDS)
def test_restarts_start_at_the_image_and_keep_what_is_still(renderer, blend, cycles):
    made = plan(24, renderer, cycles=cycles)
    frames = list(render(made, blend))
    still = made.flow.mask[0] == 0
    assert len(frames) == 24 and torch.equal(frames[0], made.image[0])
    assert all(torch.isfinite(f).all() and torch.equal(f[still], made.image[0][still]) for f in frames)
    moving = made.flow.mask[0] > 0.9
    steps = torch.stack([(a - b)[moving].abs().mean() for a, b in zip(frames, frames[1:] + frames[:1], strict=True)])
    assert steps.min() > 0.5 * steps.max()


@pytest.mark.parametrize("renderer", ["gather", "splat"])
def test_one_cycle_is_the_long_cross_fade(renderer):
    loops = [list(render(plan(8, renderer, cycles=cycles))) for cycles in ("1", "auto")]
    # Eight frames are too short for a second cycle.
    assert all(torch.equal(a, b) for a, b in zip(*loops, strict=True))


def test_restarts_every_pass_is_the_same():
    loop = render(plan(24, cycles="4"))
    assert all(torch.equal(a, b) for a, b in zip(loop, loop, strict=True))


@pytest.mark.parametrize("renderer", ["gather", "splat"])
def test_with_restarts_places_keep_their_look(renderer):
    """Half smooth, half rough: one long cross-fade carries each far into the other."""
    mask = torch.ones(1, 96, 128)
    image = texture(96, 128)
    image[:, :, 64:] = 0.5 + 3 * (image[:, :, 64:] - 0.5)
    image = image.clamp(0, 1)
    spread = {}
    for cycles in ("1", "4"):
        made = WarpPlan(image, uniform(1.5, 0.0, mask), WarpSettings(40, renderer=renderer, cycles=cycles))
        # Smooth, and 10 to 24 px up the stream of what is rough.
        spread[cycles] = float(list(render(made, anchor=0.0))[20][:, 40:54].std() / image[0, :, 40:54].std())
    assert spread["1"] > 1.4 and spread["4"] < 1.15


def test_restarts_are_not_in_the_tile_borders(monkeypatch):
    made = plan(16, cycles="auto", mask=torch.ones(1, 65, 90))
    expected = list(render(made))
    monkeypatch.setattr(sampling, "TILE_POINTS", 700)
    assert all((a - b).abs().max() < 1e-5 for a, b in zip(render(made), expected, strict=True))


# --- out of memory ----------------------------------------------------------------------------------------------------


def fail(monkeypatch, owner, name: str, times: int, after: int) -> None:
    """Let a function run out of memory ``times`` times in a row, after as many calls as ``after``."""
    original, calls = getattr(owner, name), []

    def failing(*args, **options):
        calls.append(None)
        if after < len(calls) <= after + times:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nMore follows.")
        return original(*args, **options)

    monkeypatch.setattr(owner, name, failing)


@pytest.mark.parametrize(
    ("renderer", "blend", "cycles", "owner", "name"),
    [
        ("gather", "contrast", "1", layers, "sample_planar"),
        ("gather", "linear", "1", layers, "sample_planar"),
        ("gather", "contrast", "3", layers, "sample_planar"),
        ("splat", "contrast", "1", trajectory_splat, "splat_points"),
        ("splat", "linear", "3", restarts, "splat_points"),
    ],
)
@pytest.mark.parametrize("times", [1, HALVINGS + 1])
def test_out_of_memory_changes_no_frame(monkeypatch, caplog, renderer, blend, cycles, owner, name, times):
    monkeypatch.setenv(dispatch.VARIABLE, "torch")
    made = plan(frames=8, renderer=renderer, cycles=cycles)
    expected = list(render(made, blend))
    coverage = render(made, blend).coverage
    loop = LoopRenderer.from_plan(made, BlendSettings(blend), coverage=True)
    fail(monkeypatch, owner, name, times, after=9)
    count = 0
    for frame, other in zip(loop, expected, strict=True):
        torch.testing.assert_close(frame, other, atol=1e-5, rtol=0)
        count += 1
    assert count == 8
    assert torch.equal(loop.coverage, coverage)
    assert [record.message for record in caplog.records] == [
        "Out of memory (CUDA out of memory. Tried to allocate 2 GiB.): rendering goes on in smaller tiles, or else on "
        "the CPU."
    ]
    assert loop._level == times and loop._halvings == min(times, HALVINGS)


def test_tiles_are_halved(monkeypatch):
    monkeypatch.setattr(sampling, "TILE_POINTS", 120)
    monkeypatch.setattr(sampling, "LARGE_TILE_POINTS", 200)
    for device, whole in (("cpu", min(120 * torch.get_num_threads(), 200)), ("cuda", 200)):
        for halvings in range(4):
            parts = sampling.tiles(250, device, halvings)
            assert max(part.stop - part.start for part in parts) == whole >> halvings
            assert [p.stop for p in parts[:-1]] == [p.start for p in parts[1:]] and parts[-1].stop == 250


def test_the_cpu_s_own_lack_of_memory_is_an_error(monkeypatch):
    monkeypatch.setenv(dispatch.VARIABLE, "torch")
    fail(monkeypatch, layers, "sample_planar", HALVINGS + 2, after=9)
    with pytest.raises(InputError, match=r"rendering needs 2 GiB more memory than is free\. Make the"):
        list(render(plan()))
