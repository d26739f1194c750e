"""What happens where memory runs out: the same work is done with less of it, at last on the CPU."""

from __future__ import annotations

import copy
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from .errors import InputError, first_line

_SAID = re.compile(
    r"out of memory|insufficient memory|not enough memory|(?:can(?:no|')t|unable to) allocate", re.IGNORECASE
)
_ASKED = re.compile(r"allocate:?\s+([\d.]+ ?(?:[KMGT]i?B|bytes))", re.IGNORECASE)
REMEDY = "Make the image smaller, or close what else uses the memory."
log = logging.getLogger(__name__)
L = TypeVar("L")
M = TypeVar("M", bound=torch.nn.Module)
T = TypeVar("T")


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error of Python, NumPy, OpenCV, the system, or torch on any device says that memory has run out."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    # The CPU's, MPS's and other devices' is a plain RuntimeError, OpenCV's a class of its own.
    return isinstance(error, Exception) and not isinstance(error, InputError) and bool(_SAID.search(str(error)))


def memory_error(work: str, error: BaseException | str, input: str = "memory", remedy: str = REMEDY) -> InputError:
    """InputError(input) that says how much memory ``work`` asked for, as far as the error that it met does."""
    text = error if isinstance(error, str) else first_line(error)
    asked = _ASKED.search(text)
    wanted = f"{asked[1]} more memory than is free" if asked else f"more memory than is free ({text})"
    return InputError(input, f"{work} needs {wanted}.", remedy)


@contextmanager
def reading(
    input: str, problem: str, remedy: str = "", *, out_of_memory: Callable[[Exception], bool] = is_out_of_memory
) -> Iterator[None]:
    """Turns whatever is raised inside, over a damaged file, into InputError(input) with ``problem`` and the error's own
    first line in brackets. InputErrors, and errors of which ``out_of_memory`` is true, are raised as they are.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if out_of_memory(error):
            raise
        raise InputError(input, f"{problem} ({first_line(error)}).", remedy) from error


def while_memory_lasts(
    levels: Iterable[L], run: Callable[[L, int], Iterator[T]], work: str, input: str = "memory"
) -> Iterator[T]:
    """What ``run(level, done)`` yields after its first ``done`` items, at the first level that memory suffices for.

    Where it runs out the next level goes on, which should need less; that is logged once. After the last level
    InputError(input) says what ``work`` needed. All other errors are raised.
    """
    done, problem = 0, ""
    for level in levels:
        try:
            for item in run(level, done):
                done += 1
                yield item
                del item
            return
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if not problem:
                log.warning(
                    "Out of memory (%s): %s goes on in smaller tiles, or else on the CPU.", first_line(error), work
                )
            problem = first_line(error)
        # Not while the error is handled: it holds on to what was being computed.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    raise memory_error(work, problem, input)


def first_that_fits(levels: Iterable[L], run: Callable[[L], T], work: str, input: str = "memory") -> T:
    """``run(level)`` of the first level that memory suffices for; as `while_memory_lasts`."""
    return next(while_memory_lasts(levels, lambda level, done: iter([run(level)]), work, input))


def copy_on_cpu(module: M) -> M:
    """A copy of a network on the CPU, in float32; the network itself, which may be another's, stays as it is."""
    copies: dict[int, torch.Tensor] = {}
    for tensor in (*module.parameters(), *module.buffers()):
        dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
        value = tensor.detach().to("cpu", dtype, copy=True)
        is_parameter = isinstance(tensor, torch.nn.Parameter)
        copies[id(tensor)] = torch.nn.Parameter(value, tensor.requires_grad) if is_parameter else value
    return copy.deepcopy(module, dict(copies))


def on_devices(module: M, device: torch.device | str) -> Iterator[tuple[M, torch.device]]:
    """Levels of memory: the network where it is, then a float32 copy of it on the CPU, unless that is what it is."""
    yield module, torch.device(device)
    if torch.device(device).type != "cpu" or any(p.dtype != torch.float32 for p in module.parameters()):
        yield copy_on_cpu(module), torch.device("cpu")
