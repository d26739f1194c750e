"""The four prompts of joint sampling, and the tokens of a prompt's words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..prompt.scene import twin_prompt, without_syntax
from ..settings import Settings, setting

END = "</w>"
"""CLIP's byte-pair tokens carry this at the end of a word."""


@dataclass(frozen=True)
class TwinPrompts(Settings):
    """Texts of both passes."""

    prompt: str = setting(
        "",
        "What the artistic picture shows, style included. With a picture to invert: what it shows; may be empty.",
    )
    twin_prompt: str = setting(
        "",
        "What the realistic twin shows. Empty: the scene's nouns of the prompt and 'nature, bright, realistic, "
        "photography', without style and direction words.",
        advanced=True,
    )
    negative: str = setting("", "What neither picture shows. The paper leaves it empty.")
    twin_negative: str = setting(
        "",
        "What the twin is led away from besides. Empty: the artistic prompt itself, so that the style goes, as in the "
        "paper.",
        advanced=True,
    )

    def by_name(self) -> dict[str, str]:
        """Texts by the names of `joint_sampling.Denoiser`. Raises InputError('prompt') if no twin follows from it."""
        return {
            "uncond": self.negative,
            "cond": self.prompt,
            "negative": self.twin_negative.strip() or self.prompt,
            "twin": self.twin_prompt.strip() or twin_prompt(self.prompt),
        }


def word_positions(tokens: Sequence[str | None]) -> list[tuple[str, list[int]]]:
    """Words, lower case and without punctuation, with the positions of their tokens, in order.

    tokens: CLIP's byte-pair tokens as text ('water', 'fall</w>'); None where a position holds no text (start, end,
    padding, embeddings). A word that occurs twice is listed once, with the positions of both.
    """
    words: dict[str, list[int]] = {}
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
            words.setdefault(word.lower(), []).extend(positions)
        word, positions = "", []
    return list(words.items())


def words_in_pieces(pieces: Sequence[bytes | None], prompt: str) -> list[tuple[str, list[int]]]:
    """The words of a prompt, lower case, with the positions of the tokens that hold parts of them, in order.

    pieces: each token's text in UTF-8, by any tokenizer; None where a position holds none. What else is written, as a
    language model's template around the prompt, is skipped. A word that occurs twice is listed once, with the positions
    of both; words that are not found are left out.
    """
    text, owner = bytearray(), []
    for position, piece in enumerate(pieces):
        letters = _letters(piece or b"")
        text += letters
        owner += [position] * len(letters)
    words = re.findall(r"\w+", without_syntax(prompt).lower())
    # From the end: a template stands in front, and may use the same words.
    found, end = [], bytes(text).rfind(_letters("".join(words).encode()))
    end = len(text) if end < 0 else end + len(_letters("".join(words).encode()))
    for word in reversed(words):
        letters = _letters(word.encode())
        start = bytes(text).rfind(letters, 0, end) if letters else -1
        if start >= 0:
            found.append((word, sorted(set(owner[start : start + len(letters)]))))
            end = start
    merged: dict[str, list[int]] = {}
    for word, positions in reversed(found):
        merged.setdefault(word, []).extend(positions)
    return list(merged.items())


def _letters(text: bytes) -> bytes:
    """Letters and digits, in lower case; what is not ASCII stays."""
    return bytes(c for c in text.lower() if c >= 128 or chr(c).isalnum())
