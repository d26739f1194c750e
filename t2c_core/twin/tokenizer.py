"""Finding CLIP's tokenizer on this machine: single-file checkpoints do not hold it, and nothing is downloaded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

from ..errors import InputError
from ..memory import reading

LENGTH = 77


def load_tokenizer(folder: Path | None, checkpoint: Path) -> Any:
    """The CLIPTokenizer of ``folder``, or the first found in the usual places.

    They are: a folder 'tokenizer' beside or in the checkpoint; the ComfyUI named by COMFYUI_PATH; the one this pack's
    run command has installed; the local Hugging Face cache. Raises InputError('tokenizer') if there is none, or if the
    first found is damaged or not CLIP's.
    """
    if folder is not None and not _complete(folder):
        raise InputError("tokenizer", f"'{folder}' holds no vocab.json and merges.txt.", "Name the folder that does.")
    for candidate in [folder] if folder is not None else _usual_folders(checkpoint):
        if _complete(candidate):
            return _read(candidate)
    raise InputError(
        "tokenizer",
        "of CLIP (vocab.json, merges.txt) is in none of the usual places on this machine; nothing is downloaded.",
        "Name its folder: every ComfyUI has one, comfy/sd1_tokenizer; COMFYUI_PATH makes it found.",
    )


def _complete(folder: Path) -> bool:
    return (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file()


def _read(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    with reading("tokenizer", f"'{folder}' cannot be read", "Name another."):
        vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        tokenizer = CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
    # transformers would append what is missing, with numbers the text encoder takes for other words.
    missing = [token for token in (tokenizer.bos_token, tokenizer.eos_token) if token not in vocabulary]
    if missing:
        raise InputError("tokenizer", f"'{folder}' is not CLIP's: its vocabulary lacks {', '.join(missing)}.")
    return tokenizer


def _usual_folders(checkpoint: Path) -> Iterator[Path]:
    yield checkpoint / "tokenizer"
    yield checkpoint.parent / "tokenizer"
    if os.environ.get("COMFYUI_PATH"):
        yield Path(os.environ["COMFYUI_PATH"]).expanduser() / "comfy" / "sd1_tokenizer"
    run = Path(os.environ.get("T2C_RUN_DIR") or Path(__file__).resolve().parents[2] / ".run")
    yield run / "ComfyUI" / "comfy" / "sd1_tokenizer"
    cached = try_to_load_from_cache("openai/clip-vit-large-patch14", "vocab.json")
    if isinstance(cached, str):
        yield Path(cached).parent


def token_ids(tokenizer: Any, text: str, padding: int | None = None) -> list[int]:
    """LENGTH numbers: start, the text (cut where it is too long), end, padded with ``padding`` (default: the end)."""
    ids = tokenizer(text, truncation=True, max_length=LENGTH).input_ids
    filler = ids[-1] if padding is None else padding
    return ids + [filler] * (LENGTH - len(ids))


def token_texts(tokenizer: Any, ids: list[int]) -> list[str | None]:
    """The byte-pair tokens as text, None for start, end and padding; for `words.word_positions`."""
    end = ids.index(tokenizer.eos_token_id) if tokenizer.eos_token_id in ids else len(ids)
    pieces = tokenizer.convert_ids_to_tokens(ids)
    return [piece if 0 < i < end else None for i, piece in enumerate(pieces)]
