"""A pytorch_model.bin as a .safetensors file, without ever running what is in it."""

from __future__ import annotations

from pathlib import Path

from ...errors import InputError
from ...weights import read_weights


def convert_bin(source: Path, target: Path, *, half: bool = False) -> int:
    """Write the tensors of a transformers checkpoint, as they are or in half precision, and return their number.

    Whole or not at all.

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
        kept = {key: value.half() if half and value.is_floating_point() else value for key, value in weights.items()}
        save_file({key: value.clone().contiguous() for key, value in kept.items()}, unfinished, {"format": "pt"})
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return len(weights)
