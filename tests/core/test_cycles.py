"""Restarts of every place at times of its own: schedule, displacements, and how often a place restarts."""

from __future__ import annotations

import pytest
import torch

from t2c_core.loop.cycles import LEVELS, suitable_cycles
from t2c_core.types import MotionField
from t2c_core.warp.cycles import (
    JITTER,
    RestartClock,
    displacement_table,
    longest_cycle,
    most_cycles,
    restart_noise,
)
from t2c_core.warp.integrate import flow_map, pixel_grid, trajectory
from t2c_core.warp.plan import WarpPlan, WarpSettings


def clock(cycles: int, frames: int, size: tuple[int, int] = (40, 60)) -> RestartClock:
    positions = pixel_grid(*size)
    return RestartClock(positions, torch.full((len(positions),), cycles), frames, *size)


@pytest.mark.parametrize(("cycles", "frames"), [(1, 7), (2, 12), (4, 60), (6, 61), (8, 60), (12, 30)])
def test_every_place_restarts_as_often_as_asked_and_closes(cycles, frames):
    made, restarts, previous = clock(cycles, frames), 0, None
    for frame in range(frames):
        age, left, _ = made.at(frame)
        assert (age >= 0).all() and (left > 0).all()
        length = age + left
        assert (length >= (1 - 2 * JITTER) * frames / cycles - 1e-3).all() and (
            length <= longest_cycle(frames, cycles)
        ).all()
        if frame == 0:
            assert (age == 0).all()
        else:
            again = age < previous + 0.999
            restarts = restarts + again
            assert torch.allclose(age[~again], previous[~again] + 1, atol=1e-3) and (age[again] <= 1).all()
        previous = age
    assert (restarts == cycles - 1).all()
    assert torch.allclose(left, torch.ones_like(left), atol=1e-3)


def test_no_moment_between_the_first_and_last_cycle_is_mid_cycle_everywhere():
    made, frames = clock(4, 60), 60
    shares = torch.stack([(lambda a, b, _: a / (a + b))(*made.at(frame)) for frame in range(frames)])
    away = (shares[15:46] - 0.5).abs()
    assert away.mean(1).min() > 0.1
    assert (shares[0] == 0).all()


def test_noise_is_even_smooth_and_the_same_again():
    before = torch.random.get_rng_state()
    noise = restart_noise(600, 800, 3)
    assert torch.equal(noise, restart_noise(600, 800, 3)) and torch.equal(before, torch.random.get_rng_state())
    assert torch.allclose(noise.flatten(1).sort().values[:, ::1000], torch.linspace(0, 1, 12288)[::1000], atol=1e-4)
    assert noise.diff(dim=-1).abs().max() < 0.12
    assert (noise[0] - noise[1]).abs().mean() > 0.2


@pytest.mark.parametrize("table_bytes", [2**28, 60_000, 20_000])
def test_displacements_are_those_of_the_trajectory(table_bytes):
    height, width, steps = 64, 96, 9
    x, y = pixel_grid(height, width).T.reshape(2, height, width)
    velocity = torch.stack([1.5 + torch.sin(y / 15), torch.cos(x / 20)])[None]
    step = flow_map(velocity)
    points = pixel_grid(height, width)[width * 5 + 7 :: 3]
    table = displacement_table(step, points, steps, "rk4", table_bytes)
    assert (table.stride == 1) == (table_bytes == 2**28)
    every = list(trajectory(step, points, steps, "rk4"))
    for age in (0.0, 1.0, 3.5, 9.0):
        low, part = int(age), age % 1
        expected = every[low] if not part else every[low] * (1 - part) + every[low + 1] * part
        error = (
            (table.positions(points, torch.full((len(points),), age), torch.arange(len(points))) - expected).abs().max()
        )
        assert error < (1 / 64 if table.stride == 1 else 0.35), (table.stride, age)


def test_ages_of_their_own():
    step = torch.zeros(20, 30, 2) + torch.tensor([0.5, -0.25])
    points = pixel_grid(20, 30)
    age = torch.arange(len(points)) % 7 * 0.5
    moved = displacement_table(step, points, 4, "bilinear").positions(points, age, torch.arange(len(points))) - points
    assert torch.allclose(moved, age[:, None] * torch.tensor([0.5, -0.25]), atol=2e-3)


@pytest.mark.parametrize("frames", [2, 3, 10, 60])
def test_no_cycle_is_shorter_than_a_frame(frames):
    most = most_cycles(frames)
    made = clock(most, frames)
    assert most >= 1 and all(float(sum(made.at(frame)[:2]).min()) >= 1 - 1e-3 or most == 1 for frame in range(frames))


def scene_plan(frames: int = 60) -> WarpPlan:
    """Left half: rough and smooth stripes across the flow; right half: even texture. All flows down, 1 px/frame."""
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand(128, 128, generator=generator)
    stripes = (torch.arange(128) // 12 % 2).float()[:, None]
    image = 0.5 + 0.2 * (rough - 0.5)
    image[:, :64] = (0.3 + 0.6 * stripes * rough)[:, :64]
    mask = torch.ones(1, 128, 128)
    velocity = torch.zeros(1, 2, 128, 128)
    velocity[:, 1] = 0.06
    return WarpPlan(
        image[None, ..., None].expand(1, 128, 128, 3).contiguous(), MotionField(velocity, mask), WarpSettings(frames)
    )


def test_places_that_change_along_the_flow_restart_more_often():
    made = scene_plan()
    made.flow.velocity[:, 1] = 1.0
    with_stripes = suitable_cycles(made).number.reshape(128, 128)[:, 10:45].float().mean()
    made.flow.velocity[:, 1] = 0.06
    slowly = suitable_cycles(made).number.reshape(128, 128)
    assert with_stripes > 5 and slowly[:, 85:].float().mean() < 3
    cycles = suitable_cycles(made)
    assert ((cycles.weight > 0) & (cycles.weight < 1)).all() and (cycles.both.diff() > 0).all()
    assert set(cycles.number.tolist()) <= set(LEVELS) and (cycles.second > cycles.number[cycles.both]).all()


def test_short_loops_and_empty_masks_have_the_published_cross_fade():
    made = scene_plan(9)
    assert suitable_cycles(made) is None
    made = scene_plan()
    made.flow.mask.zero_()
    assert suitable_cycles(made) is None


@pytest.mark.parametrize(("cycles", "frames", "both"), [(1, 60, 0.42), (2, 96, 0.55), (6, 60, 1.0)])
def test_long_cycles_change_over_quickly_place_by_place(cycles, frames, both):
    made = clock(cycles, frames, (200, 300))
    shares = torch.stack([made.at(frame)[2] for frame in range(frames)])
    assert shares[0].min() > 0.9999 and shares[-1].max() < 0.3
    showing_two = ((shares > 0) & (shares < 1)).float().mean(1)
    assert showing_two.mean() <= both
    pace = (shares.diff(dim=0).clamp(max=0)).mean(1)
    if cycles == 1:  # all have one cycle, from 0 to the end: nearly as many change over at every moment
        assert pace.max() < -0.5 / frames and pace.min() > -1.4 / frames
