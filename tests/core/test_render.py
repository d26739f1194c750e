"""Whole loops: still pixels, the seam, known motion, awkward sizes and fields, laziness."""

from __future__ import annotations

import time
import weakref

import numpy as np
import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.loop.render import LoopRenderer
from t2c_core.types import MotionField, WarpPlan

HEIGHT, WIDTH = 65, 90


def texture(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> torch.Tensor:
    """[1, H, W, 3] smooth random texture in 0..1, periodic in both directions."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.fft2(torch.randn(3, height, width, generator=generator))
    fy, fx = torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None]
    spectrum = spectrum * torch.exp(-((fy**2 + fx**2) / 0.02))
    image = torch.fft.ifft2(spectrum).real
    return (0.5 + 0.15 * image / image.std()).clamp(0, 1).permute(1, 2, 0)[None].contiguous()


def disk(height: int = HEIGHT, width: int = WIDTH, soft: float = 4.0) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = torch.hypot(y - height / 2, x - width / 2)
    return ((0.4 * min(height, width) - distance) / soft).clamp(0, 1)[None]


def uniform(vx: float, vy: float, mask: torch.Tensor) -> MotionField:
    velocity = torch.tensor([vx, vy]).reshape(1, 2, 1, 1) * (mask > 0)[:, None]
    return MotionField(velocity.float(), mask)


def plan(frames: int = 12, renderer: str = "gather", mask: torch.Tensor | None = None, **options) -> WarpPlan:
    mask = disk() if mask is None else mask
    velocity = options.pop("velocity", (0.8, 0.5))
    picture = texture(*mask.shape[-2:])
    return WarpPlan(picture, uniform(*velocity, mask), frames, renderer=renderer, **options)


KINDS = [(r, b) for r in ("gather", "splat") for b in ("contrast", "linear")]


@pytest.mark.parametrize(("renderer", "blend"), KINDS)
def test_frames_and_still_pixels(renderer, blend):
    made = plan(renderer=renderer)
    frames = list(LoopRenderer(made, blend))
    still = made.flow.mask[0] == 0
    assert len(frames) == 12
    assert torch.equal(frames[0], made.picture[0])
    for frame in frames:
        assert frame.shape == (HEIGHT, WIDTH, 3) and frame.dtype == torch.float32
        assert torch.isfinite(frame).all() and frame.min() >= 0 and frame.max() <= 1
        assert torch.equal(frame[still], made.picture[0][still])
    moving = made.flow.mask[0] > 0.9
    assert all((f - frames[0])[moving].abs().mean() > 0.005 for f in frames[1:])


@pytest.mark.parametrize(("renderer", "blend"), KINDS)
def test_every_pass_is_the_same(renderer, blend):
    loop = LoopRenderer(plan(renderer=renderer), blend)
    first, second = list(loop), list(loop)
    again = list(LoopRenderer(plan(renderer=renderer), blend))
    for frames in (second, again):
        assert all(torch.equal(a, b) for a, b in zip(first, frames, strict=True))
    assert len(loop) == len(first)


def test_a_pass_that_was_given_up_does_not_disturb_the_next():
    loop = LoopRenderer(plan())
    expected = list(loop)
    begun = iter(loop)
    next(begun), next(begun), next(begun)
    both = list(zip(loop, loop, strict=True))
    for (a, b), frame in zip(both, expected, strict=True):
        assert torch.equal(a, frame) and torch.equal(b, frame)


def test_changing_a_frame_changes_no_other():
    """Each frame is the caller's own: writing into it reaches neither the picture nor the next frame."""
    made = plan(frames=5)
    expected, picture = [f.clone() for f in LoopRenderer(made)], made.picture.clone()
    for frame, untouched in zip(LoopRenderer(made), expected, strict=True):
        assert torch.equal(frame, untouched)
        frame.fill_(0.123)
    assert torch.equal(made.picture, picture)


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize(("renderer", "blend"), KINDS)
def test_the_seam_is_a_step_like_the_others(renderer, blend, full):
    made = plan(frames=30, renderer=renderer, mask=torch.ones(1, 96, 96) if full else disk(), velocity=(1.0, 0.3))
    frames = torch.stack(list(LoopRenderer(made, blend)))[:, made.flow.mask[0] > 0.5]
    steps = [(frames[(i + 1) % 30] - frames[i]).abs().mean().item() for i in range(30)]
    assert 0.75 <= steps[-1] / np.median(steps) <= 1.25
    assert max(steps) / np.median(steps) <= 1.25, "no other step is a jerk"


@pytest.mark.parametrize("renderer", ["gather", "splat"])
def test_known_translation(renderer):
    """Both layers of a texture that repeats after N frames of motion are the same: the loop is that translation."""
    frames = 16
    mask = torch.ones(1, 64, 64)
    picture = texture(64, 16).repeat(1, 1, 4, 1)
    made = WarpPlan(picture, uniform(1.0, 0.0, mask), frames, renderer=renderer)
    for i, frame in enumerate(LoopRenderer(made, "linear")):
        expected = torch.roll(picture[0], i, dims=1)
        # Near the left and right edge the picture is continued by a mirror, not by its period.
        assert (frame - expected)[:, 17:-17].abs().max() < 1e-3


def test_motion_goes_where_the_field_points():
    spot = torch.zeros(1, 41, 41, 3)
    spot[0, 18:23, 18:23] = 1.0
    made = WarpPlan(spot, uniform(0.0, 2.0, torch.ones(1, 41, 41)), 40)
    frame = list(LoopRenderer(made, "linear"))[4].mean(-1)
    y = (frame[:34].sum(1) * torch.arange(34)).sum() / frame[:34].sum()
    assert y.item() == pytest.approx(28.0, abs=0.5)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 3), (33, 17), (5, 301)])
@pytest.mark.parametrize("renderer", ["gather", "splat"])
@pytest.mark.parametrize("frames", [2, 3])
def test_awkward_sizes(shape, renderer, frames):
    made = plan(frames=frames, renderer=renderer, mask=torch.ones(1, *shape))
    rendered = list(LoopRenderer(made))
    assert len(rendered) == frames
    assert all(f.shape == (*shape, 3) and torch.isfinite(f).all() for f in rendered)
    assert torch.equal(rendered[0], made.picture[0])


@pytest.mark.parametrize(("renderer", "blend"), KINDS)
def test_absurd_speed(renderer, blend):
    made = plan(frames=6, renderer=renderer, speed=100.0, velocity=(60.0, -40.0))
    for frame in LoopRenderer(made, blend):
        assert torch.isfinite(frame).all() and frame.min() >= 0 and frame.max() <= 1
        assert torch.equal(frame[made.flow.mask[0] == 0], made.picture[0][made.flow.mask[0] == 0])


@pytest.mark.parametrize(("renderer", "blend"), KINDS)
@pytest.mark.parametrize("options", [{"speed": 0.0}, {"velocity": (0.0, 0.0)}])
def test_without_speed_it_is_the_picture(renderer, blend, options):
    made = plan(frames=4, renderer=renderer, **options)
    frames = list(LoopRenderer(made, blend))
    assert len(frames) == 4 and len({f.data_ptr() for f in frames}) == 4
    assert all(torch.equal(f, made.picture[0]) for f in frames)
    assert (LoopRenderer(made, blend).coverage == 1).all()


@pytest.mark.parametrize(("renderer", "blend"), KINDS)
def test_half_precision(renderer, blend):
    made = plan(frames=4, renderer=renderer)
    field = MotionField(made.flow.velocity.half(), made.flow.mask.half())
    half = WarpPlan(made.picture.half(), field, 4, renderer=renderer)
    still = field.mask[0] == 0
    for i, (a, b) in enumerate(zip(LoopRenderer(half, blend), LoopRenderer(made, blend), strict=True)):
        assert a.dtype == torch.float32
        assert torch.equal(a[still], half.picture[0].float()[still])
        assert i or torch.equal(a, half.picture[0].float())
        assert (a - b).abs().max() < 0.01


def test_one_pixel_and_empty_masks():
    one = torch.zeros(1, HEIGHT, WIDTH)
    one[0, 30, 40] = 1
    for mask in (one, torch.zeros(1, HEIGHT, WIDTH)):
        made = plan(frames=4, mask=mask)
        for frame in LoopRenderer(made):
            assert torch.equal(frame[mask[0] == 0], made.picture[0][mask[0] == 0])


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
    picture = torch.tensor([0.7, 0.4, 0.1]) + 0.2 * texture(80, 80)
    made = WarpPlan(picture, MotionField(field[None].float(), mask), 30, renderer=renderer)
    loop = LoopRenderer(made)
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
    loop = LoopRenderer(plan(frames=frames, renderer=renderer, mask=mask, velocity=(1.5, 0.0)))
    coverage = loop.coverage
    assert coverage.shape == (1, 60, 120) and coverage.dtype == torch.float32
    assert (coverage[mask == 0] == 1).all()
    assert (coverage[mask > 0] == inside).all()
    list(loop)
    assert torch.equal(loop.coverage, coverage), "the same before and after rendering"


def test_gather_and_splat_agree_where_the_motion_is_smooth():
    y, x = torch.meshgrid(torch.linspace(-1, 1, 96), torch.linspace(-1, 1, 96), indexing="ij")
    rotation = torch.stack([-y, x])[None].float()
    picture = texture(96, 96)
    both = [
        list(LoopRenderer(WarpPlan(picture, MotionField(rotation, disk(96, 96)), 20, renderer=r), "linear"))
        for r in ("gather", "splat")
    ]
    for a, b in zip(*both, strict=True):
        error = ((a - b) ** 2).mean().item()
        assert error < 10 ** (-35 / 10)


@pytest.mark.parametrize("renderer", ["gather", "splat"])
def test_frames_are_made_one_at_a_time(renderer):
    alive: list[weakref.ref] = []
    most = 0
    for frame in LoopRenderer(plan(frames=25, renderer=renderer)):
        alive.append(weakref.ref(frame))
        most = max(most, sum(r() is not None for r in alive))
    assert most <= 2


@pytest.mark.parametrize("renderer", ["gather", "splat"])
def test_the_first_frames_do_not_wait_for_the_last(renderer):
    start = time.perf_counter()
    frames = iter(LoopRenderer(plan(frames=600, renderer=renderer, mask=torch.ones(1, 64, 64), velocity=(0.1, 0.05))))
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
        LoopRenderer(plan(), **options)
    assert caught.value.input == name


def test_anchor_keeps_brightness_in_place():
    """A bright half stays bright though dark texture flows in."""
    picture = texture(64, 64) * 0.4
    picture[:, :, 32:] += 0.5
    made = WarpPlan(picture, uniform(1.0, 0.0, torch.ones(1, 64, 64)), 24)
    drift = {a: (list(LoopRenderer(made, anchor=a))[12] - picture[0])[:, 34:40].mean().abs().item() for a in (0.0, 1.0)}
    assert drift[1.0] < 0.35 * drift[0.0]
