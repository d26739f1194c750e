"""Weights from and to files, without ever running what is in them."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from ..errors import InputError, first_line
from ..memory import is_out_of_memory, reading
from .files import atomic_write

_OPTIONAL = re.compile(r"position_ids|num_batches_tracked|relative_(?:position_index|coords_table)|^criterion\.")
"""What a file may lack: numbers that follow from the network's shape, and those that only training asks for."""
_LARGEST = 8
"""Times its own size that a file's tensors may take: few share their numbers, and none are compressed."""


def read_weights(path: Path, input: str = "checkpoint") -> dict[str, torch.Tensor]:
    """All tensors of a .safetensors file, or of a .pth, .pt or .ckpt that holds nothing but tensors, on the CPU.

    A pickle's program is never executed. ``input`` names the input in errors: InputError for files that are missing,
    cut off, something else, or ask for over _LARGEST times their own size of memory.
    """
    if not path.is_file():
        raise InputError(input, f"'{path}' does not exist.")

    def out_of_memory(error: Exception) -> bool:
        # Memory that suffices for the whole file did not run out: it is the file that asks for too much.
        return is_out_of_memory(error) and not _is_free(path.stat().st_size)

    remedy = "Is it cut off or no checkpoint? Get the file again."
    # torch's unpickler raises much over damaged files.
    with reading(input, f"'{path.name}' cannot be read", remedy, out_of_memory=out_of_memory):
        try:
            return _load(path)
        except OSError as error:
            raise InputError(input, f"'{path.name}' cannot be read ({first_line(error)}).") from error
        except pickle.UnpicklingError as error:
            # Anything that names a function or a class is a program.
            if not re.search(r"GLOBAL|Unsupported class|builtins", str(error)):
                raise
            problem = f"'{path.name}' holds more than tensors; its program is not run."
            raise InputError(input, problem, "Use a .safetensors file.") from error


def _load(path: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    if path.suffix.lower() == ".safetensors":
        return load_file(path)
    most = _LARGEST * path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            _check_bytes(sum(record.file_size for record in archive.infolist()), most)
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    weights = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else {}
    tensors = {str(key): value for key, value in weights.items() if isinstance(value, torch.Tensor)}
    for key, value in tensors.items():
        if value.layout is not torch.strided or value.device.type != "cpu":
            raise ValueError(f"{key} is no plain tensor")
    # Views that repeat one number take a whole tensor's memory as soon as they are used.
    _check_bytes(sum(value.numel() * value.element_size() for value in tensors.values()), most)
    return tensors


def _check_bytes(count: int, most: int) -> None:
    if count > most:
        raise ValueError(f"unpacked it would take {count / 2**30:.3g} GiB, over {_LARGEST} times its size")


def _is_free(count: int) -> bool:
    try:
        return torch.empty(count, dtype=torch.uint8).numel() == count
    except (MemoryError, RuntimeError):
        return False


def check_finite(weights: Mapping[str, torch.Tensor], input: str, name: str = "") -> None:
    """Raise InputError, naming the first key, for weights with NaN or infinite values; ``name`` is that of the file."""
    for key, value in weights.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            problem = f"contains NaN or infinite weights, for example in {key}."
            raise InputError(input, f"'{name}' {problem}" if name else problem, "Get the file again.")


def check_complete(network: torch.nn.Module, missing: Iterable[str], input: str, name: str) -> None:
    """Raise InputError for weights that the file ``name`` lacks, or as `check_finite` does.

    missing: the keys that transformers or diffusers filled with random numbers, with a warning.
    """
    missing = sorted(key for key in missing if not _OPTIONAL.search(key))
    if missing:
        total, listed = len(network.state_dict()), ", ".join(missing[:4])
        problem = f"'{name}' is incomplete: {len(missing)} of {total} weights are missing ({listed})."
        raise InputError(input, problem, "Get the file again; nothing is made up for them.")
    check_finite(network.state_dict(), input, name)


def write_weights(weights: Mapping[str, torch.Tensor], target: Path, metadata: dict[str, str]) -> None:
    """Write a .safetensors file, whole or not at all. Raises InputError('output') for another suffix."""
    from safetensors.torch import save_file

    if target.suffix.lower() != ".safetensors":
        raise InputError("output", f"'{target.name}' must end in .safetensors.")
    with atomic_write(target) as temporary:
        save_file({key: value.contiguous() for key, value in weights.items()}, temporary, metadata)


def convert_bin(source: Path, target: Path, *, half: bool = False) -> int:
    """Write a pytorch_model.bin's tensors as .safetensors, as they are or in half precision; returns their number.

    Raises InputError('model') for the source, and as `write_weights` does.
    """
    weights = read_weights(source, "model")
    if not weights:
        raise InputError("model", f"'{source.name}' holds no weights.")
    dtypes = {
        key: torch.float16 if half and value.is_floating_point() else value.dtype for key, value in weights.items()
    }
    # Copies: weights that share their memory are written once each.
    copies = {key: value.to(dtypes[key], copy=True) for key, value in weights.items()}
    write_weights(copies, target, {"format": "pt"})
    return len(weights)
