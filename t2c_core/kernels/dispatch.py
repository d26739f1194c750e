"""The choice of kernels: Triton's on a CUDA device, Numba's on a CPU, where they work; torch everywhere else.

The environment variable T2C_KERNELS, or an argument of the public functions, says what is wanted: 'auto' (Triton, but
torch for sums where torch is told to be deterministic, and Numba), 'torch', 'triton' or 'numba'. It is a preference:
on another device, without a Triton or a Numba that works, or for a kernel that does not compile, torch does the work.
"""

from __future__ import annotations

import os
import subprocess
import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TypeVar

import torch

from ..errors import InputError, first_line

KERNELS = ("auto", "torch", "triton", "numba")
VARIABLE = "T2C_KERNELS"
DEVICES = frozenset({"cuda"})
"""Types of devices that Triton compiles for (ROCm calls its devices 'cuda', too)."""
ERRORS = (
    ("triton.compiler.errors", "CompilationError"),
    ("triton.runtime.errors", "OutOfResources"),
    ("triton.runtime.errors", "PTXASError"),
)
"""Triton's errors of compiling and launching; every other one is a fault of ours or of the device, and is raised."""
BROKEN = (ImportError, OSError, RuntimeError, subprocess.SubprocessError)
"""What Triton raises where it cannot start: without its libraries, a driver, or a C compiler that works."""

T = TypeVar("T")
_failed: set[str] = set()
"""Kernels that did not compile or launch."""


@cache
def _triton(device_type: str) -> bool:
    """Whether Triton can be imported and drives this type of device."""
    try:
        import_module("triton")
    except (ImportError, OSError):
        return False
    if device_type == "cpu":
        return True  # its interpreter: no driver
    try:
        import_module("triton.runtime").driver.active.get_current_target()
    except BROKEN as error:
        if isinstance(error, (torch.cuda.OutOfMemoryError, getattr(torch, "AcceleratorError", ()))):
            raise
        _warn("kernels", error)
        return False
    return True


def _warn(what: str, error: Exception) -> None:
    reason = f"{type(error).__name__}: {first_line(error)}"
    warnings.warn(
        f"the Triton {what} cannot be used here ({reason}); torch does that work.", RuntimeWarning, stacklevel=4
    )


@cache
def _errors() -> tuple[type[Exception], ...]:
    """Those of ERRORS that this version of Triton has."""
    classes = (getattr(import_module(module), name, None) for module, name in ERRORS)
    return tuple(c for c in classes if c is not None)


def _wanted(named: str | None) -> str:
    name = "kernel" if named else VARIABLE
    wanted = named or os.environ.get(VARIABLE) or "auto"
    if wanted not in KERNELS:
        raise InputError(name, f"is '{wanted}'; choose one of {', '.join(KERNELS)}.")
    return wanted


@cache
def _numba() -> bool:
    """Whether Numba can be imported; one that does not fit NumPy's version cannot."""
    try:
        import_module("numba")
    except ImportError:
        return False
    return True


def use_numba(device: torch.device, wanted: str | None = None) -> bool:
    """Whether Numba's loops do the work on ``device``; arguments and errors as for :func:`use_triton`."""
    return _wanted(wanted) in ("auto", "numba") and device.type == "cpu" and _numba()


def use_triton(device: torch.device, wanted: str | None = None, *, atomics: bool = True) -> bool:
    """Whether Triton's kernels do the work on ``device``.

    wanted: one of KERNELS; None takes the environment variable's, or 'auto'. atomics: whether the kernels add up in no
    fixed order. Raises InputError for another name.
    """
    wanted = _wanted(wanted)
    if wanted in ("torch", "numba") or device.type not in DEVICES:
        return False
    if wanted == "auto" and atomics and torch.are_deterministic_algorithms_enabled():
        return False
    return _triton(device.type)


def run_or_fallback(name: str, kernel: Callable[[], T], otherwise: Callable[[], T]) -> T:
    """The result of ``kernel()``, or of ``otherwise()`` if Triton cannot compile or launch it.

    After the first such failure, which warns, the kernel of this name is not tried again; others are. All other errors
    are raised.
    """
    if name not in _failed:
        try:
            return kernel()
        except _errors() as error:
            _failed.add(name)
            _warn(f"kernel '{name}'", error)
    return otherwise()
