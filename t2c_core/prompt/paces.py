"""How fast things move, and how long a loop shall be, in words: 'a rushing river and clouds drifting slowly'."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .lexicon import MOVING_WORDS, SWAYING_WORDS
from .scene import words

SLOW, FAST = 0.5, 2.0
"""What a word makes of the usual speed."""
_SLOW = (
    r"slow(?:ly)?|gent(?:le|ly)|laz(?:y|ily)|soft(?:ly)?|calm(?:ly)?|lei?surely|sluggish(?:ly)?|quiet(?:ly)?|tranquil"
)
_FAST = (
    r"fast|quick(?:ly)?|rapid(?:ly)?|swift(?:ly)?|rush(?:es|ing)?|rag(?:es?|ing)|rac(?:es?|ing)|roar(?:s|ing)?|"
    r"wild(?:ly)?|violent(?:ly)?|torrential|stormy"
)
_PACE = re.compile(rf"\b(?:(?P<slow>{_SLOW})|(?P<fast>{_FAST}))\b(?!-)", re.IGNORECASE)
_LINKS = r"(?:over|under|down|up|in|into|through|to|towards?|along|past|from|at|on|by|of|the|an?)\b"
_NOUN = re.compile(rf"\s+(?:(?!{_LINKS})[\w-]+\s+)?({'|'.join((*MOVING_WORDS, *SWAYING_WORDS))})\b", re.IGNORECASE)
_CLAUSE = re.compile(r"[,;.:!?\n]|\b(?:and|while|with)\b", re.IGNORECASE)
_FRAMES = re.compile(r"\b(\d{1,5})[\s-]*frames?\b(?!\s*(?:per|a|/)\s*s)", re.IGNORECASE)


def find_paces(text: str) -> dict[str | None, float]:
    """{moving word: factor of its usual speed} of what a text says is slow or fast; None stands for everything.

    An adjective is said of the moving word it stands before ('fast clouds'); others of the last one before them in the
    clause, else of the next one there, else of what the clause before was about. What is said first of a word counts.
    """
    found: dict[str | None, float] = {}
    subject: str | None = None
    for start, end in _clauses(text):
        named = _named(text[start:end])
        for match in _PACE.finditer(text, start, end):
            before = [word for word, at in named if start + at < match.start()]
            noun = None if match[0].lower().endswith("ly") else _NOUN.match(text, match.end(), end)
            here = noun[1].lower() if noun else before[-1] if before else named[0][0] if named else subject
            found.setdefault(here, SLOW if match["slow"] else FAST)
        subject = named[-1][0] if named else subject
    return found


def _named(clause: str) -> list[tuple[str, int]]:
    """(word, where it starts) of what moves in a clause; what sways where nothing else is named there.

    'waves' behind a thing that sways is what it does: 'the flag waves'.
    """
    there = [(word, at) for word, at in words(clause) if word in MOVING_WORDS or word in SWAYING_WORDS]
    flowing = [
        (word, at)
        for before, (word, at) in zip([None, *there], there, strict=False)
        if word in MOVING_WORDS and not (word in ("waves", "wave") and before and before[0] in SWAYING_WORDS)
    ]
    return flowing or [pair for pair in there if pair[0] in SWAYING_WORDS]


def _clauses(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for match in _CLAUSE.finditer(text):
        yield start, match.start()
        start = match.end()
    yield start, len(text)


def frames_in(text: str) -> int | None:
    """The loop's length a text asks for ('a loop of 90 frames'), or None. 'frames per second' are none."""
    match = _FRAMES.search(text)
    return int(match[1]) if match and int(match[1]) >= 2 else None
