"""Prompts for the twin sampler: conditioning from CLIP, and which token is which word."""

from __future__ import annotations

from typing import Any

from ..t2c_core.errors import InputError
from ..t2c_core.twin.words import words_of_tokens


def encode(clip: Any, text: str) -> list[Any]:
    """Conditioning of a text as 'CLIP Text Encode' makes it, with ComfyUI's weights and embeddings."""
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def check_width(conditioning: list[Any], width: int | None) -> None:
    """Raise InputError('clip') if the text context does not fit the UNet, as with the CLIP of another family."""
    given = conditioning[0][0].shape[-1]
    if width is not None and given != width:
        raise InputError(
            "clip",
            f"makes text features of {given} channels, but the model needs {width}: they belong to different families.",
            "Take MODEL and CLIP from the same loader.",
        )


def words(clip: Any, text: str) -> list[tuple[str, list[int]]]:
    """The words of a prompt and the positions of their tokens in the text context; none for unknown tokenizers."""
    for name, chunks in clip.tokenize(text).items():
        tokenizer = getattr(clip.tokenizer, f"clip_{name}", None)
        vocabulary = getattr(tokenizer, "inv_vocab", None)
        if vocabulary is None:
            continue
        special = {tokenizer.start_token, tokenizer.end_token}
        tokens = [
            None if not isinstance(token, int) or token in special else vocabulary.get(token)
            for chunk in chunks
            for token, *_ in chunk
        ]
        return words_of_tokens(tokens)
    return []
