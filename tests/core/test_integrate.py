from __future__ import annotations

import math
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from t2c_core.errors import InputError
from t2c_core.warp import integrate
from t2c_core.warp.integrate import displacement, flow_map, pixel_grid, reverse_trajectory, trajectory
from t2c_core.warp.plan import INTEGRATIONS
from tests.vectors import matching, vectors


def uniform(x: float, y: float, height: int = 9, width: int = 13) -> torch.Tensor:
    return torch.tensor([x, y]).reshape(1, 2, 1, 1).expand(1, 2, height, width).contiguous()


def rotation(size: int, turns_per_frame: float) -> torch.Tensor:
    """Rigid rotation about the middle pixel, [1, 2, size, size]; turns clockwise on the screen."""
    x, y = (pixel_grid(size, size) - (size - 1) / 2).T.reshape(2, size, size)
    return (2 * math.pi * turns_per_frame * torch.stack([-y, x]))[None]


def noise_field(height: int, width: int, seed: int = 0, speed: float = 1.5) -> torch.Tensor:
    small = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(seed))
    return speed * F.interpolate(small, size=(height, width), mode="bilinear", align_corners=False)


def every_position(field: torch.Tensor, steps: int, integration: str, **options) -> tuple[list, list]:
    step, start = flow_map(field, integration), pixel_grid(*field.shape[-2:])
    onward = list(trajectory(step, start, steps, integration))
    return onward, list(reverse_trajectory(step, start, steps, integration, **options))


def test_the_published_integration():
    """The reference code's own displacements after so many steps."""
    stored, (steps,) = vectors("video"), matching("video", r"displacement_(\d+)")
    seed, size, expected = int(stored["seed"]), int(stored["size"]), stored[f"displacement_{steps}"]
    small = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(seed + 22))
    flow = F.interpolate(small, size=(size, size), mode="bilinear", align_corners=False) * 1.5
    flow[..., : size // 3] = 0
    ours = displacement(flow, int(steps), "nearest")[:, :, ::2, ::2].numpy()
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() < 1e-4
    # The vectors must exercise both rules: pixels that leave and are marked, and pixels that never move.
    assert (expected == size + 1).any() and (expected == 0).any()


def test_pixel_grid_runs_row_by_row():
    assert pixel_grid(2, 3).tolist() == [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]
    assert pixel_grid(1, 1).tolist() == [[0, 0]]


@pytest.mark.parametrize("integration", INTEGRATIONS)
@pytest.mark.parametrize("size", [(9, 13), (31, 5), (1, 1), (1, 7)])
def test_uniform_motion(integration, size):
    step = flow_map(uniform(0.5, -0.25, *size), integration)
    assert step.shape == (*size, 2) and step.dtype == torch.float32
    torch.testing.assert_close(step, torch.tensor([0.5, -0.25]).expand(*size, 2), atol=1e-5, rtol=0)
    if integration != "nearest":
        moved = displacement(uniform(0.5, -0.25, *size), 7, integration)
        torch.testing.assert_close(moved, uniform(3.5, -1.75, *size), atol=1e-4, rtol=0)


@pytest.mark.parametrize("integration", INTEGRATIONS)
def test_no_steps_and_no_speed(integration):
    assert not displacement(uniform(3.0, 1.0), 0, integration).any()
    assert not displacement(uniform(0.0, 0.0), 50, integration).any()


def test_half_precision_comes_out_as_float32():
    field = noise_field(11, 17)
    for integration in INTEGRATIONS:
        step = flow_map(field.half(), integration)
        assert step.dtype == torch.float32
        torch.testing.assert_close(step, flow_map(field.half().float(), integration))


@pytest.mark.parametrize("call", [lambda: flow_map(uniform(1, 0), "euler"), lambda: displacement(uniform(1, 0), 1, "")])
def test_unknown_integration(call):
    with pytest.raises(InputError) as caught:
        call()
    assert caught.value.input == "integration"
    assert "rk4" in str(caught.value)


def test_negative_steps():
    with pytest.raises(InputError) as caught:
        displacement(uniform(1, 0), -1)
    assert caught.value.input == "steps"


def test_nearest_marks_what_has_left():
    moved = displacement(uniform(1.0, 0.0, 5, 8), 3, "nearest")[0]
    assert (moved[:, :, 5:] == 9).all(), "columns 5..7 leave a picture 8 wide within 3 frames"
    assert (moved[0, :, :5] == 3).all() and (moved[1, :, :5] == 0).all()


def test_nearest_reads_the_rounded_position():
    field = uniform(0.0, 0.0, 1, 6)
    field[0, 0, 0, :3] = torch.tensor([0.6, 1.4, 0.5])
    # 0 -> 0.6 (rounds to 1) -> 2.0 (reads 2) -> 2.5 (rounds to 2, the even one) -> 3.0 (reads 3: stands still)
    positions = [float(displacement(field, k, "nearest")[0, 0, 0, 0]) for k in range(6)]
    assert positions == pytest.approx([0.0, 0.6, 2.0, 2.5, 3.0, 3.0], abs=1e-6)


def test_rk4_closes_the_circle_and_euler_drifts():
    size, turn = 65, 40
    field = rotation(size, 1 / turn)
    distance = (pixel_grid(size, size) - 32).norm(dim=1).reshape(size, size)
    inside = (distance > 8) & (distance < 24)
    drift = {how: displacement(field, turn, how)[0].norm(dim=0)[inside] for how in ("rk4", "bilinear")}
    assert drift["rk4"].max() < 0.25, "a full turn comes back to where it began"
    # Euler's radius grows by sqrt(1 + w^2) a frame.
    growth = (1 + (2 * math.pi / turn) ** 2) ** (turn / 2) - 1
    near = (distance > 8) & (distance < 15)
    measured = (displacement(field, turn, "bilinear")[0].norm(dim=0) / distance)[near]
    assert drift["bilinear"].median() > 2.0
    assert float(measured.median()) == pytest.approx(growth, rel=0.15)


def test_rk4_quarter_turn_lands_where_it_should():
    size = 65
    moved = displacement(rotation(size, 1 / 40), 10, "rk4")[0]
    at = pixel_grid(size, size).T.reshape(2, size, size) - 32
    expected = torch.stack([-at[1], at[0]]) - at
    inside = at.norm(dim=0) < 24
    assert (moved - expected)[:, inside].abs().max() < 0.1


@pytest.mark.parametrize("integration", INTEGRATIONS)
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 12, 16, 17])
@pytest.mark.parametrize("stored_bytes", [0, 7 * 11 * 17 * 8, 2**30])
def test_reversed_traces_are_the_traces_reversed(integration, steps, stored_bytes):
    onward, back = every_position(noise_field(11, 17), steps, integration, stored_bytes=stored_bytes)
    assert len(onward) == len(back) == steps + 1
    for ours, theirs in zip(back, reversed(onward), strict=True):
        assert torch.equal(ours, theirs)


def test_traces_agree_with_displacement():
    field = noise_field(21, 9, speed=0.7)
    onward, _ = every_position(field, 6, "rk4")
    torch.testing.assert_close((onward[6] - onward[0]).T.reshape(1, 2, 21, 9), displacement(field, 6, "rk4"))


LIST = 8 * 8 * 2 * 4
"""Bytes of the positions of 8 x 8 points."""


def most_frames(lists: int, times: int) -> int:
    """How many frames so many check points yield backwards with no step taken more than ``times`` times."""
    return math.comb(lists + times + 1, times)


@pytest.mark.parametrize(("lists", "times"), [(1000, 1), (30, 2), (15, 3), (6, 5), (4, 8)])
def test_look_ups_of_a_reverse_trajectory(monkeypatch, lists, times):
    original, calls = integrate._advance, []
    monkeypatch.setattr(integrate, "_advance", lambda *a, **k: calls.append(1) or original(*a, **k))
    step, start = flow_map(noise_field(8, 8)), pixel_grid(8, 8)
    for steps in (100, 200, 400):
        calls.clear()
        assert sum(1 for _ in reverse_trajectory(step, start, steps, "rk4", lists * LIST)) == steps + 1
        assert steps <= len(calls) <= times * steps
        assert most_frames(lists, times) > steps, "what the documentation promises"


@pytest.mark.parametrize("lists", [4, 6, 15, 100])
@pytest.mark.parametrize("steps", [5, 60, 240])
def test_check_points_keep_no_more_than_their_bytes(monkeypatch, lists, steps):
    """Lists alive at a time: the check points, the last one yielded, and two between which a step is made."""
    alive, most = set(), 0
    original = integrate._advance

    def watched(*args):
        nonlocal most
        out = original(*args)
        alive.add(id(out))
        weakref.finalize(out, alive.discard, id(out))
        most = max(most, len(alive))
        return out

    monkeypatch.setattr(integrate, "_advance", watched)
    for _ in reverse_trajectory(flow_map(noise_field(8, 8)), pixel_grid(8, 8), steps, "rk4", lists * LIST):
        pass
    assert min(lists, steps) <= most <= lists + 3


def test_check_points_are_kept_however_few_bytes_are_allowed():
    onward, back = every_position(noise_field(8, 8), 240, "rk4", stored_bytes=0)
    assert all(torch.equal(a, b) for a, b in zip(back, reversed(onward), strict=True))


@pytest.mark.parametrize("integration", INTEGRATIONS)
def test_huge_speed_stays_finite(integration):
    moved = displacement(noise_field(7, 12, speed=1e6), 30, integration)
    assert torch.isfinite(moved).all()
