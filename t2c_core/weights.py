"""Reading weights from files without ever running what is in them."""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path

import torch

from .errors import InputError


def read_weights(path: Path, input: str = "checkpoint") -> dict[str, torch.Tensor]:
    """All tensors of a .safetensors file, or of a .pth, .pt or .ckpt that holds nothing but tensors, on the CPU.

    A pickle's program is never executed. ``input`` names the input in errors: InputError for files that are missing,
    cut off, or something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise InputError(input, f"'{path}' does not exist.")
    try:
        if path.suffix.lower() == ".safetensors":
            return load_file(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # Anything that names a function or a class is a program; other trouble is a damaged file.
        if not re.search(r"GLOBAL|Unsupported class|builtins", str(error)):
            raise InputError(input, f"'{path.name}' cannot be read: it is cut off or no checkpoint.") from error
        raise InputError(
            input, f"'{path.name}' holds more than tensors; its program is not run.", "Use a .safetensors file."
        ) from error
    except (SafetensorError, OSError, EOFError, RuntimeError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(input, f"'{path.name}' cannot be read: it is cut off or no checkpoint.") from error
    weights = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else {}
    return {str(key): value for key, value in weights.items() if isinstance(value, torch.Tensor)}
