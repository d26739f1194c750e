"""A pytorch_model.bin as a .safetensors file, without ever running what is in it."""

from __future__ import annotations

from pathlib import Path

from ...errors import InputError
from ...weights import read_weights


def convert_bin(source: Path, target: Path) -> int:
    """Write the tensors of a transformers checkpoint as they are and return their number; whole or not at all.

    Raises InputError('model') for the source, ('output') for a target that is no .safetensors file.
    """
    from safetensors.torch import save_file

    if target.suffix.lower() != ".safetensors":
        raise InputError("output", f"'{target.name}' must end in .safetensors.")
    weights = read_weights(source, "model")
    if not weights:
        raise InputError("model", f"'{source.name}' holds no weights.")
    unfinished = target.with_name(f".{target.stem}.unfinished")
    try:
        # Weights that share their memory are written once each.
        save_file({key: value.clone().contiguous() for key, value in weights.items()}, unfinished, {"format": "pt"})
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return len(weights)
