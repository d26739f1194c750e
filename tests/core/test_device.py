"""What a frame costs a device besides computing: nothing waits for it, and each result is copied once."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from t2c_core.devices import sampling_device
from t2c_core.kernels import dispatch
from t2c_core.loop import blend as blends
from t2c_core.loop import frames
from t2c_core.loop.render import LoopRenderer
from t2c_core.loop.settings import LoopSettings
from t2c_core.loop.writers import yuv
from t2c_core.types import MotionField
from t2c_core.warp import cycles as restart_cycles
from t2c_core.warp import sample

WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "lift_fresh", "is_nonzero", "equal")
"""Operations that make the host wait for a device's values (bool(), float(), nonzero), or upload a constant."""


class CountWaits(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.split(".")[0]
        indices = (args[1] if name.startswith("index") and len(args) > 1 and isinstance(args[1], list) else None) or ()
        if name in WAITS or any(i is not None and i.dtype == torch.bool for i in indices):
            self.waits[name] += 1
        return func(*args, **(kwargs or {}))


def test_waits_are_seen():
    values = torch.arange(4.0)
    with CountWaits() as counted:
        float(values[0]), values[values > 1], torch.tensor([1.0])
    assert set(counted.waits) == {"_local_scalar_dense", "index", "lift_fresh"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("blend", "cycles", "renderer"),
    [
        ("contrast", "1", "gather"),
        ("linear", "1", "gather"),
        ("contrast", "auto", "gather"),
        ("contrast", "auto", "splat"),
    ],
)
def test_no_frame_waits_for_the_device(monkeypatch, blend, cycles, renderer):
    """By torch's look-ups, as on a graphics card, in several tiles."""
    monkeypatch.setenv(dispatch.VARIABLE, "torch")
    monkeypatch.setattr(sample, "_by_opencv", lambda raster: False)
    monkeypatch.setattr(blends, "interleave", lambda planes: planes.T.contiguous())
    monkeypatch.setattr(sample, "TILE_POINTS", 400)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 40), torch.linspace(-1, 1, 50), indexing="ij")
    mask = ((0.9 - (x**2 + y**2).sqrt()) * 8).clamp(0, 1)[None]
    image = torch.rand(1, 40, 50, 3, generator=torch.Generator().manual_seed(0))
    field = MotionField(torch.stack([-y, x])[None] * (mask > 0), mask)
    monkeypatch.setattr(restart_cycles, "on_host", lambda tensor: False)
    count = 8 if cycles == "1" else 24
    loop = LoopRenderer(image, field, LoopSettings(count, blend=blend, cycles=cycles, renderer=renderer), coverage=True)
    assert (loop.cycles() is None) == (cycles == "1")
    rest = iter(loop)
    next(rest), next(rest)
    with CountWaits() as counted:
        assert sum(1 for _ in rest) == count - 2
    # Splats ask once a frame whether there are holes to be filled.
    assert counted.waits == ({} if renderer == "gather" else {"_local_scalar_dense": count - 2})


def test_restarts_are_the_same_without_waiting(monkeypatch):
    positions, cycles = torch.rand(500, 2) * 30, torch.randint(1, 7, (500,))
    clock, other = (restart_cycles.RestartClock(positions, cycles, 60, 31, 31) for _ in range(2))
    for frame in range(60):
        expected = clock.at(frame)
        with monkeypatch.context() as patch:
            patch.setattr(restart_cycles, "on_host", lambda tensor: False)
            found = other.at(frame)
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_8_bit_frames_are_copied_once_and_not_waited_for(monkeypatch):
    copies, frame = [], 1.2 * torch.rand(9, 7, 3) - 0.1
    expected = frames.as_bytes(frame)
    original = torch.Tensor.cpu
    monkeypatch.setattr(frames, "on_host", lambda tensor: False)
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: copies.append(tensor.dtype) or original(tensor))
    with CountWaits() as counted:
        found = frames.as_bytes(frame)
    assert (found == expected).all() and copies == [torch.uint8] and not counted.waits


@pytest.mark.parametrize(("device", "used"), [("cpu", "cpu"), ("cuda:1", "cuda:1"), ("mps", "cpu"), ("xpu:0", "cpu")])
def test_where_frames_are_rendered(device, used):
    assert sampling_device(device) == sampling_device(torch.device(device)) == torch.device(used)
    image, mask = torch.rand(1, 8, 9, 3), torch.ones(1, 8, 9)
    loop = LoopRenderer(image, MotionField(torch.ones(1, 2, 8, 9), mask), LoopSettings(3), device=device)
    assert loop.device == torch.device(used)
    if used == "cpu":
        assert len(list(loop)) == 3


@pytest.mark.parametrize(("depth", "subsample"), [(8, True), (10, False)])
def test_each_plane_is_copied_once(monkeypatch, depth, subsample):
    copies = []
    original = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: copies.append(tensor.dtype) or original(tensor))
    monkeypatch.setattr(yuv, "STRIP_PIXELS", 100)
    with CountWaits() as counted:
        planes = yuv.rgb_to_planes(torch.rand(31, 17, 3), depth=depth, subsample=subsample)
    assert len(copies) == 3 and all(dtype.itemsize == planes[0].itemsize for dtype in copies)
    assert not counted.waits
