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

from t2c_core.errors import InputError
from t2c_core.kernels import dispatch
from t2c_core.warp.integrate import pixel_grid, trajectory
from t2c_core.warp.splat import _splat_torch, splat, splat_points
from t2c_core.warp.trajectory_splat import trajectory_splat

ROOT = Path(__file__).resolve().parents[2]
CASES = [Path(__file__).with_name(name) for name in ("kernel_cases.py", "kernel_loop_cases.py")]
NAMES = [
    node.name
    for file in CASES
    for node in ast.parse(file.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
]
MODULES = ("points", "atomic", "fused", "blend", "restarts")
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed")


@pytest.fixture(autouse=True)
def unused(monkeypatch):
    """Every test begins as a new process would, and leaves nothing behind for the others."""
    monkeypatch.delenv(dispatch.VARIABLE, raising=False)
    monkeypatch.setattr(dispatch, "_failed", set())
    for name in MODULES:
        monkeypatch.delitem(sys.modules, f"t2c_core.kernels.{name}", raising=False)
    choice = dispatch._triton
    choice.cache_clear()
    yield
    choice.cache_clear()


@pytest.fixture
def kernels_for_cpu(monkeypatch):
    """As if Triton compiled for the CPU: what is chosen on a GPU is chosen here."""
    monkeypatch.setattr(dispatch, "DEVICES", {"cpu"})


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
    variables = {k: v for k, v in os.environ.items() if k not in ("TRITON_INTERPRET", dispatch.VARIABLE)}
    variables |= {"OMP_NUM_THREADS": "1"} | ({"TRITON_INTERPRET": "1"} if request.param == "interpreter" else {})
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--confcutdir=tests"]
    ran = subprocess.run(
        [*command, f"--junit-xml={report}", *map(str, CASES)], cwd=ROOT, env=variables, capture_output=True, text=True
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


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_kernel(outcomes, name):
    assert outcomes.get(name), f"{name} was not run"
    assert not "".join(outcomes[name]), "\n".join(outcomes[name])


@pytest.mark.slow
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
    floats = "positions out step reached image aux forward backward shares mean variance per_spread angles weights rest"
    floats += " wanted sums grid places energy means variances own_mean own_variance around products"
    floats += " gains gain middle source alpha noise cycles start end age remaining starts ages last rate"
    types = dict.fromkeys(floats.split(), "*fp32")
    types |= dict.fromkeys(("share", "trust", "anchor", "lowest", "unit", "stride", "frames"), "fp32")
    types |= {
        "values": of_values,
        "pixels": "*i64",
        "indices": "*i64",
        "cells": "*i32",
        "number": "*i32",
        "rows": "*i32",
    }
    # Names that mean something else in one kernel.
    own = {"_compose": {"frame": "*fp32"}, "_tick": {"frame": "fp32"}, "_positions": {"values": "*i16"}}
    constants = {"atomic._splat": {"BLOCK": 256}}
    constants |= {"fused._advect_and_splat": {"BLOCK": 256, "NEAREST": False, "KEEP": True}}
    luma = {"RED": 0.299, "GREEN": 0.587, "BLUE": 0.114, "BLOCK": 256}
    ways = {"EACH": True, "LIKE": True, "EVEN": True, "SECOND": True, "BLOCK": 256}
    constants |= {"blend._fade": ways | {"REAL": 2.0, "FARTHEST": 4.0, "FLOOR": 1e-5, "EASE": 0.6}}
    constants |= {"blend._subtract_coarse": luma}
    constants |= {"blend._restore": luma | {"ANCHORED": True, "FLOOR": 1e-6, "HIGHEST": 2.5}}
    constants |= {"blend._compose": {"BLOCK": 256}, "restarts._tick": {"JITTER": 0.3, "DISSOLVE": 24.0, "BLOCK": 256}}
    constants |= {"restarts._positions": {"DENSE": False, "BLOCK": 256}}
    for name, values in constants.items():
        module, function = name.split(".")
        kernel = getattr(importlib.import_module(f"t2c_core.kernels.{module}"), function)
        named = types | own.get(function, {})
        signature = {n: named.get(n, "constexpr" if n in values else "i32") for n in kernel.arg_names}
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
        assert bool(additions) == (function not in ("_restore", "_compose", "_tick", "_positions")), name
        numbers = [p for p in kernel.params if signature[p.name] == "i32"]
        # Compiled in, a size of 1 would be a constant, and every size a compilation of its own.
        assert numbers and all(p.do_not_specialize for p in numbers), name


# --- the choice -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", "mps", "meta"])
@pytest.mark.parametrize("wanted", [None, *dispatch.KERNELS])
def test_only_cuda_takes_kernels(device, wanted):
    assert not dispatch.use_triton(torch.device(device), wanted)


@pytest.mark.parametrize("wanted", dispatch.KERNELS)
def test_the_cpu_s_results_are_torch_s_to_the_bit(monkeypatch, wanted):
    monkeypatch.setenv(dispatch.VARIABLE, wanted)
    values, positions = points()
    expected = _splat_torch(values, positions, 7, 9)
    assert torch.equal(splat_points(values, positions, 7, 9), expected)
    assert torch.equal(splat_points(values, positions, 7, 9, kernel=wanted), expected)
    step = torch.rand(7, 9, 2, generator=torch.Generator().manual_seed(1))
    start = pixel_grid(7, 9)
    frames = [_splat_torch(values[:, :63], p, 7, 9) for p in trajectory(step, start, 4, "rk4")]
    for backwards in (False, True):
        found = list(trajectory_splat(values[:, :63], step, start, 4, "rk4", 7, 9, backwards=backwards))
        assert all(torch.equal(a, b) for a, b in zip(found, frames[::-1] if backwards else frames, strict=True))
    assert not [name for name in MODULES if f"t2c_core.kernels.{name}" in sys.modules]


@needs_triton
def test_cuda_takes_triton_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr(dispatch, "_triton", lambda device_type: True)
    cuda = torch.device("cuda", 1)
    assert dispatch.use_triton(cuda) and dispatch.use_triton(cuda, "auto") and dispatch.use_triton(cuda, "triton")
    assert not dispatch.use_triton(cuda, "torch")
    monkeypatch.setenv(dispatch.VARIABLE, "torch")
    assert not dispatch.use_triton(cuda) and dispatch.use_triton(cuda, "triton")
    monkeypatch.setenv(dispatch.VARIABLE, "")
    assert dispatch.use_triton(cuda)


@needs_triton
def test_a_triton_without_a_working_driver_is_not_chosen_and_says_why_once():
    """Here there is no card; on others no C compiler: both are found before any kernel runs."""
    if torch.cuda.is_available():
        pytest.skip("has a driver")
    cuda = torch.device("cuda")
    with pytest.warns(RuntimeWarning, match="Triton kernels cannot be used here") as caught:
        assert [dispatch.use_triton(cuda) for _ in range(3)] == [False] * 3
    assert len(caught) == 1


@pytest.mark.skipif(not torch.backends.mps.is_available(), reason="needs an MPS device")
def test_mps_gives_the_cpu_s_results():
    values, positions = points()
    found = splat_points(values.to("mps"), positions.to("mps"), 7, 9)
    torch.testing.assert_close(found.cpu(), splat_points(values, positions, 7, 9), atol=1e-4, rtol=0)


def test_a_name_that_is_none_is_refused_on_every_device(monkeypatch):
    values, positions = points()
    with pytest.raises(InputError, match=r"'fast'.*triton") as caught:
        splat_points(values, positions, 7, 9, kernel="fast")
    assert caught.value.input == "kernel"
    monkeypatch.setenv(dispatch.VARIABLE, "cuda")
    with pytest.raises(InputError) as caught:
        splat(torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2, 2))
    assert caught.value.input == dispatch.VARIABLE


def test_without_triton_torch_does_it_and_nobody_is_warned(monkeypatch, kernels_for_cpu):
    monkeypatch.setitem(sys.modules, "triton", None)
    values, positions = points()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = splat_points(values, positions, 7, 9, kernel="triton")
    assert torch.equal(found, _splat_torch(values, positions, 7, 9))
    assert not dispatch.use_triton(torch.device("cpu"))


def test_a_broken_triton_is_as_good_as_none(monkeypatch, kernels_for_cpu, tmp_path):
    (tmp_path / "triton.py").write_text("raise OSError('a library of the driver is missing')")
    for name in [n for n in sys.modules if n.split(".")[0] == "triton"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    assert not dispatch.use_triton(torch.device("cpu"), "triton")


def compile_error() -> Exception:
    errors = importlib.import_module("triton.compiler.errors")
    return errors.CompilationError("x = tl.dot(a)", ast.parse("x"), "needs a newer card")


@pytest.fixture
def broken_kernels(monkeypatch, kernels_for_cpu):
    """Both modules of kernels, whose launches fail with the error that the returned function is given."""

    def fail_with(error: Exception) -> None:
        def launch(*args, **options):
            raise error

        for module, function in (("atomic", "splat_atomic"), ("fused", "advect_and_splat")):
            monkeypatch.setattr(importlib.import_module(f"t2c_core.kernels.{module}"), function, launch)

    return fail_with


@needs_triton
@pytest.mark.parametrize("name", ["CompilationError", "OutOfResources", "PTXASError"])
def test_kernels_that_do_not_compile_are_replaced_with_one_warning(broken_kernels, name):
    errors = importlib.import_module("triton.runtime.errors")
    if name == "PTXASError" and not hasattr(errors, name):
        pytest.skip("Triton raises this error from version 3.1 on")
    broken_kernels(
        {
            "CompilationError": compile_error,
            "OutOfResources": lambda: errors.OutOfResources(300_000, 232_448, "shared memory"),
            "PTXASError": lambda: errors.PTXASError("no such instruction"),
        }[name]()
    )
    values, positions = points()
    step, start = torch.rand(7, 9, 2), pixel_grid(7, 9)
    frames = (values[:, :63], step, start, 5, "rk4", 7, 9)
    assert dispatch.use_triton(torch.device("cpu"))
    with pytest.warns(RuntimeWarning, match=f"Triton kernel 'splat' cannot be used here .{name}") as caught:
        found = [splat_points(values, positions, 7, 9, kernel="triton") for _ in range(3)]
        onwards = list(trajectory_splat(*frames, kernel="triton"))
    assert sorted(re.findall("kernel '(.*?)'", " ".join(str(w.message) for w in caught))) == [
        "splat",
        "trajectory splat",
    ]
    assert all(torch.equal(f, _splat_torch(values, positions, 7, 9)) for f in found)
    assert all(torch.equal(a, b) for a, b in zip(onwards, trajectory_splat(*frames, kernel="torch"), strict=True))


@needs_triton
def test_a_kernel_that_does_not_compile_switches_no_other_off(kernels_for_cpu):
    def broken() -> int:
        raise compile_error()

    with pytest.warns(RuntimeWarning, match="Triton kernel 'one' cannot be used") as caught:
        found = [dispatch.run_or_fallback(name, broken, lambda: 2) for name in ("one", "one")]
        found += [dispatch.run_or_fallback("two", lambda: 1, lambda: 2)]
    assert found == [2, 2, 1] and len(caught) == 1
    assert dispatch.use_triton(torch.device("cpu"), "triton")


@needs_triton
@pytest.mark.parametrize("error", [TypeError("not ours"), torch.cuda.OutOfMemoryError("CUDA out of memory.")])
def test_only_a_driver_that_does_not_start_means_no_triton(monkeypatch, error):
    from triton.runtime import driver

    class Broken:
        def get_current_target(self) -> None:
            raise error

    monkeypatch.setattr(driver, "_active" if hasattr(driver, "_active") else "active", Broken())
    with pytest.raises(type(error)):
        dispatch.use_triton(torch.device("cuda"))


@needs_triton
@pytest.mark.parametrize("backwards", [False, True])
def test_frames_go_on_in_torch_where_the_fused_kernel_fails(broken_kernels, monkeypatch, backwards):
    broken_kernels(compile_error())
    values, step, start = points()[0][:, :63], torch.rand(7, 9, 2), pixel_grid(7, 9)
    frames = (values, step, start, 6, "rk4", 7, 9)
    for stored in (0, 2**30):
        monkeypatch.setattr(dispatch, "_failed", set())
        with pytest.warns(RuntimeWarning, match="Triton kernel 'trajectory splat'") as caught:
            found = list(trajectory_splat(*frames, backwards=backwards, stored_bytes=stored))
        assert len([w for w in caught if "Triton kernel" in str(w.message)]) == 1
        expected = list(trajectory_splat(*frames, backwards=backwards, kernel="torch"))
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@needs_triton
@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("no memory left"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        ValueError("not enough values to unpack (expected 2, got 1)"),
        KeyError("float8"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_other_error_is_hidden(broken_kernels, error):
    broken_kernels(error)
    with pytest.raises(type(error)), warnings.catch_warnings():
        warnings.simplefilter("error")
        splat_points(*points(), 7, 9)
    assert not dispatch._failed and dispatch.use_triton(torch.device("cpu")), "Triton stays switched on"


@needs_triton
def test_a_shape_bug_is_raised(kernels_for_cpu):
    """A list of values too many: 3-dimensional ones have no two sizes."""
    values, positions = points()
    with pytest.raises(ValueError, match="too many values to unpack"):
        splat_points(values[None], positions, 7, 9)
    assert not dispatch._failed


@needs_triton
def test_the_interpreter_has_not_leaked():
    assert "TRITON_INTERPRET" not in os.environ or os.environ["TRITON_INTERPRET"] == "0"
    atomic = importlib.import_module("t2c_core.kernels.atomic")
    assert type(atomic._splat).__name__ == "JITFunction"
