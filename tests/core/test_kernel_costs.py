"""The benchmark of the kernels: what it counts, and that it runs with few packages and tells wrong from right."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from benchmarks import kernels as costs
from t2c_core.kernels import dispatch
from t2c_core.loop.render import LoopRenderer
from t2c_core.loop.settings import LoopSettings
from t2c_core.warp.integrate import pixel_grid

ROOT = Path(__file__).resolve().parents[2]
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")


@pytest.mark.parametrize(
    ("shift", "corners"),
    [((0.0, 0.0), 30), ((0.5, 0.0), 30 + 25), ((0.5, 0.5), 30 + 25 + 24 + 20), ((-1.0, 2.0), 15), ((9.0, 0.0), 0)],
)
def test_additions_are_counted(shift, corners):
    """5 rows of 6 pixels; half-way every point adds to two or four pixels, unless they are out of the picture."""
    positions = pixel_grid(5, 6) + torch.tensor(shift)
    assert costs.corners_inside(positions, 5, 6) == corners


def test_bytes_are_counted_as_the_note_derives_them():
    """Per point, in a picture large enough for its margins not to count: benchmarks/kernels.md."""
    size, point = 1024, 1024 * 1024
    positions = pixel_grid(size, size)[:1].expand(point, 2)
    formulae = {"atomic": (8, 12), "fused": (24, 12), "restarted": (16, 12), "torch": (376, 92)}
    formulae["torch, traced"] = (472, 92)
    for name, (fixed, channel) in formulae.items():
        for channels in (1, 6):
            counted = costs.cost(name, positions, channels, size, size).bytes / point
            assert counted == pytest.approx(fixed + channel * channels, rel=1e-3), name


def test_bytes_of_the_default_frame_are_those_of_the_note(monkeypatch):
    """Torch's, per pixel of the fluid, as on a card; and the note's sums."""
    image, field = gpu.scene(360, 480)
    with gpu.kernels("torch"):
        frames = iter(LoopRenderer(image, field, LoopSettings(frames=4)))
        next(frames), next(frames)
        with costs.CountBytes() as counted:
            next(frames)
    torch_bytes = (counted.bytes - 2 * image.nbytes) / int((field.mask > 0).sum())
    text = (ROOT / "benchmarks" / "kernels.md").read_text(encoding="utf-8")
    total = int(re.search(r"all, torch alone .*\| (\d+) \|", text)[1])
    assert torch_bytes == pytest.approx(total, rel=0.02)
    for name, number in costs.BLEND_BYTES.items():
        assert re.search(rf"\| {name} \|.*\| {number} \|", text), name
    rest = int(re.search(r"by torch .*\| (\d+) \|", text)[1])
    assert f"| all, with Triton | | {rest + sum(costs.BLEND_BYTES.values())} |" in text


NEEDLESS = "av comfy comfy_api diffusers folder_paths imageio kornia matplotlib PIL pyamg pymatting skimage sklearn"
NEEDLESS = [*NEEDLESS.split(), "safetensors", "torchaudio", "torchvision", "transformers"]


def benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    """benchmarks.gpu in a process that cannot import what it must not need."""
    code = f"""
import runpy, sys
class Missing:
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] in {NEEDLESS!r}:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)
sys.meta_path.insert(0, Missing)
sys.argv = ["gpu", *{arguments!r}]
runpy.run_module("benchmarks.gpu", run_name="__main__")
"""
    variables = {k: v for k, v in os.environ.items() if k not in ("TRITON_INTERPRET", dispatch.VARIABLE)}
    variables |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=variables, capture_output=True, text=True)


@pytest.mark.slow
@needs_triton
def test_the_benchmark_says_that_there_is_no_card():
    ran = benchmark()
    assert ran.returncode == 2 and not ran.stdout
    assert ran.stderr.startswith("There is no CUDA card here") and len(ran.stderr.splitlines()) == 1, ran.stderr


@pytest.mark.slow
@needs_triton
def test_the_benchmark_checks_kernels_and_loops_in_the_interpreter_with_few_packages(tmp_path):
    ran = benchmark("--interpret", "--out", str(tmp_path / "gpu.md"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    text = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert text.strip() == ran.stdout.strip() and "WRONG" not in text
    for name in ("splat", "trace and splat, nearest, back", *gpu.LOOPS):
        for dtype in gpu.TYPES:
            assert f"| {name} | {dtype} | " in text


def test_the_benchmark_knows_wrong_from_right():
    """Sums that are off by 2e-4 of the largest are wrong, by 5e-5 right; and the loops that are compared move."""
    cpu = torch.device("cpu")
    for error, right in ((2e-4, False), (5e-5, True), (torch.nan, False)):

        def run(on: torch.device, error: float = error) -> torch.Tensor:
            return torch.tensor([1.0, 2.0 + 2.0 * error * (os.environ[dispatch.VARIABLE] == "triton")])

        assert gpu.compared("sums", "float32", run, cpu).right == right
    first, *others = gpu.frames(*gpu.TINY, 3, torch.float32, cpu)
    assert all(float((other - first).abs().mean()) > 10 * gpu.CLOSE for other in others)
