"""Numba's loops give what torch gives, whatever the number of threads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from t2c_core.kernels import dispatch
from t2c_core.kernels.workers import TileWorkers
from t2c_core.loop.render import LoopRenderer
from t2c_core.loop.settings import LoopSettings
from t2c_core.types import MotionField
from t2c_core.warp.cycles import Cycles, displacement_table
from t2c_core.warp.integrate import flow_map, pixel_grid

pytest.importorskip("numba")
CLOSE = 2e-5
CASES = {
    "default": {},
    "one cycle": {"cycles": "1"},
    "three cycles": {"cycles": "3"},
    "no anchor": {"anchor": 0.0, "cycles": "2"},
    "splat": {"renderer": "splat", "cycles": "3"},
    "linear": {"blend": "linear"},
}


def scene(height: int, width: int, seed: int = 0) -> tuple[torch.Tensor, MotionField]:
    """A texture, and a field that is faster at the right."""
    random = torch.Generator().manual_seed(seed)
    image = torch.rand(1, height, width, 3, generator=random)
    image = torch.nn.functional.avg_pool2d(image.permute(0, 3, 1, 2), 3, 1, 1).permute(0, 2, 3, 1).contiguous()
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    mask = ((y + 0.3 * torch.sin(7 * x) - 0.35) * 12).clamp(0, 1)[None]
    velocity = torch.stack([0.5 + 3 * x**2, 0.4 * torch.sin(6 * y)])[None]
    return image, MotionField(velocity * mask, mask)


def loop(kernels: str, monkeypatch, size=(96, 136), frames: int = 40, **settings) -> torch.Tensor:
    monkeypatch.setenv(dispatch.VARIABLE, kernels)
    image, field = scene(*size)
    return torch.stack(list(LoopRenderer(image, field, LoopSettings(frames, **settings))))


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES)
def test_frames_are_torchs(settings, monkeypatch):
    ours, expected = (loop(kernels, monkeypatch, **settings) for kernels in ("numba", "torch"))
    assert float((ours - expected).abs().max()) <= CLOSE
    assert float((ours[20] - ours[0]).abs().max()) > 0.1


@pytest.mark.parametrize("size", [(1, 40), (40, 1), (3, 5), (33, 257)])
def test_odd_sizes(size, monkeypatch):
    ours, expected = (loop(kernels, monkeypatch, size, 12) for kernels in ("numba", "torch"))
    assert float((ours - expected).abs().max()) <= CLOSE


def test_where_one_number_of_cycles_gives_way_to_the_next(monkeypatch):
    """2 cycles at the left, 5 at the right, and both in the middle third."""

    def cycles(plan, device) -> Cycles:
        x = (torch.nonzero(plan.flow.mask[0].reshape(-1) > 0).reshape(-1) % plan.flow.size[1]) / plan.flow.size[1]
        both = torch.nonzero((x - 0.5).abs() < 1 / 6).reshape(-1)
        weight = 3 * (x[both] - 1 / 3)
        number = torch.where(x > 2 / 3, 5, 2)
        return Cycles(number, both, torch.full_like(both, 5), weight)

    monkeypatch.setattr("t2c_core.loop.render.suitable_cycles", cycles)
    ours, expected = (loop(kernels, monkeypatch) for kernels in ("numba", "torch"))
    assert float((ours - expected).abs().max()) <= CLOSE
    assert float((ours - loop("numba", monkeypatch, cycles="2")).abs().max()) > 0.1


def test_any_number_of_threads_gives_the_same_bits(monkeypatch):
    """Tiles are summed in their order; here there are several, for the size of one is made small."""
    monkeypatch.setattr("t2c_core.loop.blend_numba.TILE_POINTS", 4096)
    before = torch.get_num_threads()
    try:
        frames = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            with torch.inference_mode():  # as ComfyUI runs nodes
                frames.append(loop("numba", monkeypatch, frames=12, cycles="2"))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*frames)


def test_coverage_is_gathered_as_by_torch(monkeypatch):
    coverage = []
    for kernels in ("numba", "torch"):
        monkeypatch.setenv(dispatch.VARIABLE, kernels)
        renderer = LoopRenderer(*scene(96, 136), LoopSettings(20), coverage=True)
        assert len(list(renderer)) == 20
        coverage.append(renderer.coverage)
    assert torch.equal(*coverage) and float(coverage[0].min()) < 1


@pytest.mark.parametrize("room", [10**9, 10**4], ids=["every point", "grid"])
def test_positions_from_a_table(room, monkeypatch):
    _, field = scene(60, 80)
    points = pixel_grid(60, 80)
    table = displacement_table(flow_map(field.velocity), points, 12, "rk4", room)
    assert (table.stride > 1) == (room == 10**4)
    age = 12 * torch.rand(len(points), generator=torch.Generator().manual_seed(3))
    found = []
    for kernels in ("numba", "torch"):
        monkeypatch.setenv(dispatch.VARIABLE, kernels)
        found.append(table.positions(points, age, torch.arange(len(points))))
    torch.testing.assert_close(*found, atol=2e-5, rtol=0)
    assert float((found[0] - points).abs().max()) > 5


def test_only_a_cpu_takes_numba(monkeypatch):
    monkeypatch.delenv(dispatch.VARIABLE, raising=False)
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert dispatch.use_numba(cpu) and dispatch.use_numba(cpu, "numba")
    assert not dispatch.use_numba(cuda) and not dispatch.use_numba(cpu, "torch")
    assert not dispatch.use_triton(cuda, "numba")


def test_a_tiles_error_is_raised():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError):
            TileWorkers().map(lambda tile: 1 / tile, [1, 0, 2])
        assert TileWorkers().map(lambda tile: -tile, [1, 5, 2]) == [-1, -5, -2]
    finally:
        torch.set_num_threads(before)


def test_what_is_kept_on_disk_serves_one_name_of_the_package(tmp_path):
    """ComfyUI imports the same files by another name than the command line; what is kept names its modules."""
    kernels = Path(dispatch.__file__).parent
    (tmp_path / "one" / "t2c_core").mkdir(parents=True)
    for file in (*kernels.parent.glob("*.py"), *kernels.glob("*.py")):
        copy = tmp_path / "one" / "t2c_core" / file.relative_to(kernels.parent)
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(file, copy)
    call = "import numpy as np; from {}t2c_core.kernels.compiled_look_ups import _log; print(_log(np.float32(1)))"
    found = []
    for folder, package in ((tmp_path / "one", ""), (tmp_path, "one.")):
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        subprocess.run([sys.executable, "-c", call.format(package)], cwd=folder, env=environment, check=True)
        found.append(len(list(tmp_path.rglob("*.nbi"))))
    assert found == [1, 2]
