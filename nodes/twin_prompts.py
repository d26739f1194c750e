"""Prompts for the twin sampler: conditioning from CLIP, and which token is which word."""

from __future__ import annotations

import re
from typing import Any

from transformers.convert_slow_tokenizer import bytes_to_unicode

from ..t2c_core.errors import InputError
from ..t2c_core.twin.prompts import END, word_positions, words_in_pieces

_BYTES = {letter: byte for byte, letter in bytes_to_unicode().items()}


def encode(clip: Any, text: str) -> list[Any]:
    """Conditioning of a text as 'CLIP Text Encode' makes it, with ComfyUI's weights and embeddings."""
    return clip.encode_from_tokens_scheduled(clip.tokenize(text))


def check_width(conditioning: list[Any], width: int | None) -> None:
    """Raise InputError('clip') if the text context does not fit the UNet, as with the CLIP of another family."""
    channels = conditioning[0][0].shape[-1]
    if width is not None and channels != width:
        raise InputError(
            "clip",
            f"makes text features of {channels} channels, but the model needs {width}.",
            "Take MODEL and CLIP from the same loader.",
        )


def words(clip: Any, text: str, length: int) -> list[tuple[str, list[int]]]:
    """The words of a prompt and the positions of their tokens in a text context of this length; none for unknown
    tokenizers."""
    chains = []
    for name, chunks in clip.tokenize(text).items():
        tokenizer: Any = getattr(clip.tokenizer, f"clip_{name}", None) or getattr(clip.tokenizer, name, None)
        if getattr(tokenizer, "inv_vocab", None) is not None:
            chains.append((tokenizer, [token for chunk in chunks for token, *_ in chunk]))
    if not chains:
        return []
    # The chain that is the context; else the last one, which follows CLIP's or has lost its template in front.
    tokenizer, tokens = next((chain for chain in chains if len(chain[1]) == length), chains[-1])
    pieces = [tokenizer.inv_vocab.get(token) if isinstance(token, int) else None for token in tokens]
    if any(piece and piece.endswith(END) for piece in pieces):
        special = {tokenizer.start_token, tokenizer.end_token}
        return word_positions([None if t in special else p for t, p in zip(tokens, pieces, strict=True)])
    as_bytes = _sentence_piece if any(p.startswith("▁the") for p in tokenizer.inv_vocab.values()) else _byte_level
    pieces = [None if piece is None or re.fullmatch("<.*>", piece) else as_bytes(piece) for piece in pieces]
    shift = length - len(tokens)
    found = words_in_pieces(pieces[max(-shift, 0) :], text)
    return [(word, [position + max(shift, 0) for position in positions]) for word, positions in found]


def context_length(conditioning: list[Any]) -> int:
    """The number of text tokens that the network sees of a conditioning."""
    features, extra = conditioning[0][:2]
    # Anima's adapter makes its text features anew, one for each of T5's tokens.
    return len(extra["t5xxl_ids"]) if "t5xxl_ids" in extra else features.shape[1]


def _byte_level(piece: str) -> bytes:
    return bytes(_BYTES.get(letter, 32) for letter in piece)


def _sentence_piece(piece: str) -> bytes:
    return piece.replace("▁", " ").encode()
