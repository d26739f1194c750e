"""The paper's twelve direction phrases ("in left to right, upwards direction") and their ranges of angles."""

from __future__ import annotations

import re

import numpy as np

# From the published code: phrase -> range of angles (start, end), degrees counter-clockwise from +x.
PHRASES: dict[str, tuple[float, float]] = {
    "left to right": (350.0, 370.0),
    "left to right, upwards": (10.0, 45.0),
    "upwards, left to right": (45.0, 80.0),
    "upwards": (80.0, 100.0),
    "upwards, right to left": (100.0, 135.0),
    "right to left, upwards": (135.0, 170.0),
    "right to left": (170.0, 190.0),
    "right to left, downwards": (190.0, 225.0),
    "downwards, right to left": (225.0, 260.0),
    "downwards": (260.0, 280.0),
    "downwards, left to right": (280.0, 315.0),
    "left to right, downwards": (315.0, 350.0),
}

_ATOM = r"left to right|right to left|upwards?|downwards?"
_BETWEEN = r"(?:\s*,\s*(?:and\s+)?|\s+and\s+|\s+)"
MARKED = re.compile(rf"\bin (?:an? |the )?({_ATOM})(?:{_BETWEEN}({_ATOM}))?\s+direction\b", re.IGNORECASE)
"""A phrase with 'in ... direction' around it."""
BARE = re.compile(rf"\b({_ATOM})\b(?:\s*,\s*({_ATOM})\b)?", re.IGNORECASE)
"""A phrase alone."""


def _atom(text: str) -> str:
    text = text.lower()
    return text + "s" if text.endswith("ward") else text


def find_phrase(text: str) -> str | None:
    """The first of the twelve phrases in a text, a marked one before a bare one, or None."""
    match = MARKED.search(text) or BARE.search(text)
    if not match:
        return None
    first, second = _atom(match[1]), _atom(match[2]) if match[2] else None
    pair = f"{first}, {second}"
    return pair if pair in PHRASES else first


def phrase_angle(phrase: str, rng: np.random.Generator | None = None) -> float:
    """The angle (degrees, 0..360) of one of the twelve phrases: the middle of its range, or a draw from it."""
    start, end = PHRASES[phrase]
    return (rng.uniform(start, end) if rng else (start + end) / 2) % 360.0
