"""The choice between Triton and torch; the kernels themselves, by way of kernel_cases.py, in processes of their own."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ElementTree
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from benchmarks import kernels as costs
from t2c_core.errors import InputError
from t2c_core.kernels import choose
from t2c_core.warp.carry import splat_along
from t2c_core.warp.integrate import pixel_grid, traces
from t2c_core.warp.splat import _splat_torch, splat, splat_points

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(__file__).with_name("kernel_cases.py")
NAMES = [
    node.name
    for node in ast.parse(CASES.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
]
MODULES = ("points", "atomic", "fused", "segmented")
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")


@pytest.fixture(autouse=True)
def unused(monkeypatch):
    """Every test begins as a new process would, and leaves nothing behind for the others."""
    monkeypatch.delenv(choose.VARIABLE, raising=False)
    monkeypatch.setattr(choose, "_failed", False)
    for name in MODULES:
        monkeypatch.delitem(sys.modules, f"t2c_core.kernels.{name}", raising=False)
    choose._triton.cache_clear()
    yield
    choose._triton.cache_clear()


@pytest.fixture
def kernels_for_cpu(monkeypatch):
    """As if Triton compiled for the CPU: what is chosen on a GPU is chosen here."""
    monkeypatch.setattr(choose, "DEVICES", {"cpu"})


def points() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 90, generator=generator), torch.rand(90, 2, generator=generator) * 12 - 2


# --- the kernels ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["interpreter", "gpu"])
def outcomes(request, tmp_path_factory) -> dict[str, list[str]]:
    """What each case of kernel_cases.py came to: messages of what went wrong, one empty string for each success."""
    if find_spec("triton") is None:
        pytest.skip("Triton is not installed")
    if request.param == "gpu" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    report = tmp_path_factory.mktemp("kernels") / "report.xml"
    variables = {k: v for k, v in os.environ.items() if k not in ("TRITON_INTERPRET", choose.VARIABLE)}
    variables |= {"OMP_NUM_THREADS": "1"} | ({"TRITON_INTERPRET": "1"} if request.param == "interpreter" else {})
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--confcutdir=tests"]
    ran = subprocess.run(
        [*command, f"--junit-xml={report}", str(CASES)], cwd=ROOT, env=variables, capture_output=True, text=True
    )
    assert report.is_file(), ran.stdout + ran.stderr
    found: dict[str, list[str]] = {}
    cases = ElementTree.parse(report)
    for case in cases.iter("testcase"):
        wrong = [part.text or part.get("message", "") for part in case if part.tag in ("failure", "error", "skipped")]
        found.setdefault(case.get("name", "").split("[")[0], []).extend(wrong or [""])
    reasons = [part.text or part.get("message", "") for part in cases.iter("skipped")]
    if reasons and not found.keys() & set(NAMES):
        pytest.skip(reasons[0])
    return found


@pytest.mark.parametrize("name", NAMES)
def test_kernel(outcomes, name):
    assert outcomes.get(name), f"{name} was not run"
    assert not "".join(outcomes[name]), "\n".join(outcomes[name])


@needs_triton
@pytest.mark.parametrize(("backend", "of_values"), [("cuda", "*fp32"), ("cuda", "*bf16"), ("hip", "*fp16")])
def test_kernels_compile_for_gpus(monkeypatch, tmp_path, backend, of_values):
    """To machine code, which needs no GPU: the interpreter does not see what the compiler refuses."""
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    compiler = importlib.import_module("triton.compiler")
    if "constexprs" not in inspect.signature(compiler.ASTSource).parameters:
        pytest.skip("Triton before 3.3 is told otherwise what to compile")
    target = importlib.import_module("triton.backends.compiler").GPUTarget
    target = target("cuda", 80, 32) if backend == "cuda" else target("hip", "gfx942", 64)
    pointers = {"values": of_values, "cells": "*i32", "starts": "*i32", "order": "*i64"}
    pointers |= {name: "*fp32" for name in ("positions", "out", "step", "reached", "sums")}
    constants = {"atomic._splat": {"BLOCK": 256}, "segmented._cells": {"BLOCK": 256}}
    constants |= {"segmented._long_segments": {"LONG": 64, "CHANNELS": 4}}
    constants |= {"segmented._pixels": {"LONG": 64, "CHANNELS": 8, "BLOCK": 128}}
    constants |= {"fused._splat_traced": {"BLOCK": 256, "NEAREST": False, "KEEP": True}}
    for name, values in constants.items():
        module, function = name.split(".")
        kernel = getattr(importlib.import_module(f"t2c_core.kernels.{module}"), function)
        signature = {n: pointers.get(n, "constexpr" if n in values else "i32") for n in kernel.arg_names}
        source = compiler.ASTSource(kernel, signature=signature, constexprs=values)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                assembly = compiler.compile(source, target=target).asm
            except Exception as error:
                if "ld.lld not found" in str(error):
                    pytest.skip(str(error))
                raise
        additions = (
            re.search(r"\b(red|atom)\.", assembly["ptx"]) if backend == "cuda" else "atomic" in assembly["amdgcn"]
        )
        assert bool(additions) == (module != "segmented"), name
        numbers = [p for p in kernel.params if signature[p.name] == "i32"]
        # Compiled in, a size of 1 would be a constant, and every size a compilation of its own.
        assert numbers and all(p.do_not_specialize for p in numbers), name


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
    formulae = {"atomic": (8, 12), "fused": (24, 12), "restarted": (16, 12), "sorted": (140, 8), "torch": (376, 92)}
    formulae["torch, traced"] = (456, 92)
    for name, (fixed, channel) in formulae.items():
        for channels in (1, 6):
            counted = costs.cost(name, positions, channels, size, size).bytes / point
            assert counted == pytest.approx(fixed + channel * channels, rel=1e-3), name


# --- the choice -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", "mps", "meta"])
@pytest.mark.parametrize("wanted", [None, *choose.KERNELS])
def test_only_cuda_takes_kernels(device, wanted):
    assert choose.chosen(torch.device(device), wanted) == "torch"


@pytest.mark.parametrize("wanted", choose.KERNELS)
def test_the_cpu_s_results_are_torch_s_to_the_bit(monkeypatch, wanted):
    monkeypatch.setenv(choose.VARIABLE, wanted)
    values, positions = points()
    expected = _splat_torch(values, positions, 7, 9)
    assert torch.equal(splat_points(values, positions, 7, 9), expected)
    assert torch.equal(splat_points(values, positions, 7, 9, kernel=wanted), expected)
    step = torch.rand(7, 9, 2, generator=torch.Generator().manual_seed(1))
    start = pixel_grid(7, 9)
    frames = [_splat_torch(values[:, :63], p, 7, 9) for p in traces(step, start, 4, "rk4")]
    for backwards in (False, True):
        found = list(splat_along(values[:, :63], step, start, 4, "rk4", 7, 9, backwards=backwards))
        assert all(torch.equal(a, b) for a, b in zip(found, frames[::-1] if backwards else frames, strict=True))
    assert not [name for name in MODULES if f"t2c_core.kernels.{name}" in sys.modules]


@needs_triton
def test_cuda_takes_the_atomic_kernels_unless_told_otherwise(monkeypatch):
    cuda = torch.device("cuda", 1)
    assert choose.chosen(cuda) == choose.chosen(cuda, "auto") == choose.chosen(cuda, "atomic") == "atomic"
    assert choose.chosen(cuda, "sorted") == "sorted" and choose.chosen(cuda, "torch") == "torch"
    monkeypatch.setenv(choose.VARIABLE, "torch")
    assert choose.chosen(cuda) == "torch" and choose.chosen(cuda, "sorted") == "sorted"
    monkeypatch.setenv(choose.VARIABLE, "sorted")
    assert choose.chosen(cuda) == "sorted" and choose.chosen(cuda, "torch") == "torch"
    monkeypatch.setenv(choose.VARIABLE, "")
    assert choose.chosen(cuda) == "atomic"


@pytest.mark.skipif(not torch.backends.mps.is_available(), reason="needs an MPS device")
def test_mps_gives_the_cpu_s_results():
    values, positions = points()
    found = splat_points(values.to("mps"), positions.to("mps"), 7, 9)
    torch.testing.assert_close(found.cpu(), splat_points(values, positions, 7, 9), atol=1e-4, rtol=0)


def test_a_name_that_is_none_is_refused_on_every_device(monkeypatch):
    values, positions = points()
    with pytest.raises(InputError, match=r"'fast'.*sorted") as caught:
        splat_points(values, positions, 7, 9, kernel="fast")
    assert caught.value.input == "kernel"
    monkeypatch.setenv(choose.VARIABLE, "cuda")
    with pytest.raises(InputError) as caught:
        splat(torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2, 2))
    assert caught.value.input == choose.VARIABLE


def test_without_triton_torch_does_it_and_nobody_is_warned(monkeypatch, kernels_for_cpu):
    monkeypatch.setitem(sys.modules, "triton", None)
    values, positions = points()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = splat_points(values, positions, 7, 9, kernel="atomic")
    assert torch.equal(found, _splat_torch(values, positions, 7, 9))
    assert choose.chosen(torch.device("cpu")) == "torch"


def test_a_broken_triton_is_as_good_as_none(monkeypatch, kernels_for_cpu, tmp_path):
    (tmp_path / "triton.py").write_text("raise OSError('a library of the driver is missing')")
    for name in [n for n in sys.modules if n.split(".")[0] == "triton"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    assert choose.chosen(torch.device("cpu"), "sorted") == "torch"


@needs_triton
@pytest.mark.parametrize("kernel", ["atomic", "sorted"])
def test_kernels_that_do_not_compile_are_replaced_with_one_warning(monkeypatch, kernels_for_cpu, kernel):
    """Outside its interpreter Triton cannot launch anything on a CPU's tensors: a failure like a GPU's too old."""
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    values, positions = points()
    assert choose.chosen(torch.device("cpu"), kernel) == kernel
    step, start = torch.rand(7, 9, 2), pixel_grid(7, 9)
    frames = (values[:, :63], step, start, 5, "rk4", 7, 9)
    with pytest.warns(RuntimeWarning, match="Triton kernels cannot be used here") as caught:
        found = [splat_points(values, positions, 7, 9, kernel=kernel) for _ in range(3)]
        onwards = list(splat_along(*frames, kernel=kernel))
    assert len([w for w in caught if "Triton kernels" in str(w.message)]) == 1
    assert all(torch.equal(f, _splat_torch(values, positions, 7, 9)) for f in found)
    assert all(torch.equal(a, b) for a, b in zip(onwards, splat_along(*frames, kernel="torch"), strict=True))
    assert choose.chosen(torch.device("cpu"), kernel) == "torch"


@needs_triton
@pytest.mark.parametrize("backwards", [False, True])
def test_frames_go_on_in_torch_where_the_fused_kernel_fails(kernels_for_cpu, monkeypatch, backwards):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    values, step, start = points()[0][:, :63], torch.rand(7, 9, 2), pixel_grid(7, 9)
    frames = (values, step, start, 6, "rk4", 7, 9)
    for stored in (0, 2**30):
        monkeypatch.setattr(choose, "_failed", False)
        with pytest.warns(RuntimeWarning, match="Triton kernels") as caught:
            found = list(splat_along(*frames, backwards=backwards, stored_bytes=stored))
        assert len([w for w in caught if "Triton kernels" in str(w.message)]) == 1
        expected = list(splat_along(*frames, backwards=backwards, kernel="torch"))
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_running_out_of_memory_is_not_hidden():
    def full() -> None:
        raise torch.cuda.OutOfMemoryError("no memory left")

    with pytest.raises(torch.cuda.OutOfMemoryError):
        choose.attempt(full, lambda: pytest.fail("torch would need the memory, too"))
    assert not choose._failed


@needs_triton
def test_the_interpreter_has_not_leaked():
    assert "TRITON_INTERPRET" not in os.environ or os.environ["TRITON_INTERPRET"] == "0"
    atomic = importlib.import_module("t2c_core.kernels.atomic")
    assert type(atomic._splat).__name__ == "JITFunction"
