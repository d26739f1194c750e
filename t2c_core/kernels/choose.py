"""Which implementation splats: Triton's kernels on a CUDA device where they work, torch everywhere else.

The environment variable T2C_KERNELS, or an argument of the public functions, says what is wanted: 'auto' (the atomic
kernels, the sorted one where torch is told to be deterministic), 'torch', 'atomic' or 'sorted'. It is a preference: on
a CPU or MPS device, without Triton, or once a kernel has failed, torch does the work.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import TypeVar

import torch

from ..errors import InputError

KERNELS = ("auto", "torch", "atomic", "sorted")
VARIABLE = "T2C_KERNELS"
DEVICES = frozenset({"cuda"})
"""Types of devices that Triton compiles for (ROCm calls its devices 'cuda', too)."""

T = TypeVar("T")
_failed = False


@cache
def _triton() -> bool:
    """Whether Triton can be imported. A broken installation raises all sorts of exceptions, not only ImportError."""
    try:
        import_module("triton")
    except Exception:
        return False
    return True


def chosen(device: torch.device, wanted: str | None = None) -> str:
    """'torch', 'atomic' or 'sorted': what does the work on ``device``.

    wanted: one of KERNELS; None takes the environment variable's, or 'auto'. Raises InputError for another name.
    """
    name = "kernel" if wanted else VARIABLE
    wanted = wanted or os.environ.get(VARIABLE) or "auto"
    if wanted not in KERNELS:
        raise InputError(name, f"is '{wanted}'; choose one of {', '.join(KERNELS)}.")
    if wanted == "torch" or device.type not in DEVICES or _failed or not _triton():
        return "torch"
    if wanted == "auto":
        return "sorted" if torch.are_deterministic_algorithms_enabled() else "atomic"
    return wanted


def attempt(kernel: Callable[[], T], otherwise: Callable[[], T]) -> T:
    """The result of ``kernel()``, or of ``otherwise()`` if it fails to compile or to launch.

    After the first failure, which warns once, no kernel is chosen any more. Running out of memory is not a failure of
    that kind: it is raised.
    """
    global _failed
    if not _failed:
        try:
            return kernel()
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:
            _failed = True
            reason = (str(error).strip().splitlines() or [""])[0]
            warnings.warn(
                f"the Triton kernels cannot be used here ({type(error).__name__}: {reason}); torch does their work.",
                RuntimeWarning,
                stacklevel=3,
            )
    return otherwise()
