"""What holds for the default renderer's Triton kernels; run as kernel_cases.py is."""

import pytest
import torch

from benchmarks.gpu import scene
from t2c_core.kernels import blend, dispatch
from t2c_core.loop import blend_triton
from t2c_core.loop.render import LoopRenderer
from t2c_core.loop.settings import LoopSettings
from t2c_core.warp import sample as sampling
from t2c_core.warp.cycles import Cycles, RestartClock, displacement_table
from t2c_core.warp.integrate import pixel_grid
from tests.core.kernel_cases import CLOSE, DEVICE, as_on_a_gpu, noise_field, random

__all__ = ["as_on_a_gpu"]  # a fixture of every case here, too


def loop(height: int, width: int, cycles: Cycles | None = None, **settings) -> list[torch.Tensor]:
    image, field = scene(height, width)
    renderer = LoopRenderer(image, field, LoopSettings(**settings), device=DEVICE)
    if cycles is not None:
        renderer.cycles = lambda: cycles
    return list(renderer)


def by_both(monkeypatch, *size: int, **settings) -> tuple[torch.Tensor, torch.Tensor]:
    """The frames by Triton, the kernels' calls being counted, and by torch."""
    called = {name: 0 for name in ("fade", "subtract_coarse", "restore", "compose")}
    for name in called:
        kernel = getattr(blend_triton, name)

        def counted(*args, name=name, kernel=kernel):
            called[name] += 1
            return kernel(*args)

        monkeypatch.setattr(blend_triton, name, counted)
    ours = torch.stack(loop(*size, **settings))
    assert min(called.values()) == settings["frames"] - 1, "every frame but the first"
    monkeypatch.setenv(dispatch.VARIABLE, "torch")
    expected = torch.stack(loop(*size, **settings))
    assert called["restore"] == settings["frames"] - 1
    return ours, expected


@pytest.mark.parametrize("anchor", [0.8, 0.0])
@pytest.mark.parametrize("size", [(2, 23), (19, 1), (23, 31)])
def test_the_default_loop_equals_torch_s(monkeypatch, size, anchor):
    ours, expected = by_both(monkeypatch, *size, frames=4, anchor=anchor)
    assert min(size) == 1 or float((expected - expected[0]).abs().max()) > 1e-2, "nothing moves"
    torch.testing.assert_close(ours, expected, **CLOSE)


def test_a_loop_with_restarts_equals_torch_s(monkeypatch):
    """Two numbers of cycles, and both of them, mixed, at a third of the pixels."""
    count = int((scene(17, 22)[1].mask > 0).sum())
    both = torch.arange(0, count, 3, device=DEVICE)
    number = 1 + (torch.arange(count, device=DEVICE) % 5 == 0).long()
    weight = torch.linspace(0.1, 0.9, len(both), device=DEVICE)
    cycles = Cycles(number, both, number[both] + 1, weight)
    ours, expected = by_both(monkeypatch, 17, 22, frames=8, cycles=cycles)
    plain = torch.stack(loop(17, 22, frames=8))
    assert float((expected - plain).abs().max()) > 0.05, "the cycles count"
    torch.testing.assert_close(ours, expected, **CLOSE)


@pytest.mark.parametrize("room", [10**9, 3000], ids=["every point", "grid"])
def test_restarts_and_positions_equal_torch_s(monkeypatch, room):
    points, number = pixel_grid(21, 27).to(DEVICE), torch.arange(21 * 27, device=DEVICE) % 6 + 1
    table = displacement_table(noise_field(21, 27)[0].permute(1, 2, 0).contiguous(), points, 30, "rk4", room)
    assert (table.stride > 1) == (room == 3000)
    rows = torch.arange(len(points), device=DEVICE)
    found = []
    for kernels in ("triton", "torch"):
        monkeypatch.setenv(dispatch.VARIABLE, kernels)
        clock = RestartClock(points, number, 30, 21, 27)
        times = [clock.at(frame) for frame in range(30)]
        found.append(
            [*(value for time in times for value in time), *(table.positions(points, time[0], rows) for time in times)]
        )
    torch.testing.assert_close(*found, atol=2e-5, rtol=1e-5)
    assert float((found[0][-1] - points).abs().max()) > 1


def test_look_ups_far_out_are_mirrored_as_torch_s_are():
    """Bicubic colours and bilinear channels at positions many pictures away, the border pixels not doubled."""
    image, aux, count = random(6, 9, 3), random(6, 9, 4).abs(), 200
    at = (torch.rand(count, 2, generator=torch.Generator().manual_seed(6)) - 0.4) * 70
    sources = (at.to(DEVICE), at.flip(0).to(DEVICE))
    cells = torch.zeros(count, dtype=torch.int32, device=DEVICE)
    constants = {"REAL": 2.0, "FARTHEST": 4.0, "FLOOR": 1e-5, "EASE": 0.6}
    for share, layer in ((1.0, 0), (0.0, 1)):
        rest, wanted, sums = (torch.zeros(k, n, device=DEVICE) for k, n in ((3, count), (2, count), (3, 1)))
        blend.fade(image, aux, sources, share, None, 0.0, None, None, cells, rest, wanted, sums, constants)
        colours = sampling.sample_planar(image, sources[layer], mode="bicubic", outside="mirror")
        torch.testing.assert_close(rest, colours, **CLOSE)
        torch.testing.assert_close(wanted, sampling.sample_planar(aux, sources[layer], outside="mirror")[:2], **CLOSE)
        torch.testing.assert_close(sums[:, 0], colours.sum(1), atol=1e-3, rtol=1e-4)
