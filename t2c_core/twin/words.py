"""The words of a prompt and where their tokens are."""

from __future__ import annotations

from collections.abc import Sequence

END = "</w>"
"""CLIP's byte-pair tokens carry this at the end of a word."""


def words_of_tokens(tokens: Sequence[str | None]) -> list[tuple[str, list[int]]]:
    """Words, lower case and without punctuation, with the positions of their tokens, in order.

    tokens: CLIP's byte-pair tokens as text ('water', 'fall</w>'); None where a position holds no text (start, end,
    padding, embeddings). A word that occurs twice is listed once, with the positions of both.
    """
    found: dict[str, list[int]] = {}
    word, positions = "", []
    for position, token in enumerate(tokens):
        if token is None:
            word, positions = "", []
            continue
        word += token.removesuffix(END)
        positions.append(position)
        if not token.endswith(END):
            continue
        if any(c.isalnum() for c in word):
            found.setdefault(word.lower(), []).extend(positions)
        word, positions = "", []
    return list(found.items())
