"""Vocabularies of fluids, and their matches among the words of a prompt."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import InputError
from ..fluids import normalize, singular
from ..prompt.scene import MOVING_WORDS

DEFAULT_VOCABULARY = "water, waterfall, river, ocean, lake, sea"
"""The paper's."""
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an the of in on at to from with and or by for over under near into onto up down is are as its it this that",
    )
)


def parse_vocabulary(text: str) -> tuple[str, ...]:
    """The entries of a list such as "water, river; sea", singular, each once. Empty text: all words for what moves."""
    entries = [normalize(entry) for entry in re.split(r"[,;\n]", text)]
    return tuple(dict.fromkeys(entry for entry in entries if entry)) or tuple(
        dict.fromkeys(map(singular, sorted(MOVING_WORDS)))
    )


def match_indices(words: Sequence[str], vocabulary: Sequence[str]) -> list[int]:
    """Positions in ``words`` that belong to an entry of the vocabulary; an entry of several words needs them in a row.

    Raises InputError('vocabulary') if there are none, naming the words there are.
    """
    plain = [singular(word) for word in words]
    found: set[int] = set()
    for entry in vocabulary:
        parts = entry.split()
        for start in range(len(plain) - len(parts) + 1):
            if plain[start : start + len(parts)] == parts:
                found.update(range(start, start + len(parts)))
    if not found:
        there = ", ".join(word for word in words if word not in _STOP_WORDS) or "none"
        raise InputError(
            "vocabulary", f"has no word of the prompt, whose words are: {there}.", "Add one of them that moves."
        )
    return sorted(found)


def content_word_indices(words: Sequence[str]) -> list[int]:
    """Indices of the content words: no stop words such as 'a', 'of', 'the'."""
    return [i for i, word in enumerate(words) if word not in _STOP_WORDS]
