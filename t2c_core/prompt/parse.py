"""What a prompt says of motion: directions, speeds, the length of the loop."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise

from ..errors import InputError
from ..fluids import CONFUSABLE_WATER, family_of, fluid_class, is_hyponym
from .directions import Direction, default_directions, find_directions
from .lexicon import CLAUSE, FLUID_WORDS, MOVING_WORDS, SWAYING_WORDS, check_length, noun_behind, words
from .scene import without_syntax

DIRECTION_SOURCES: tuple[str, ...] = ("from prompt", "custom angle", "arrows only")
SLOW, FAST = 0.5, 2.0
"""Speed factors of slow and fast words."""
_SLOW = (
    r"slow(?:ly)?|gent(?:le|ly)|laz(?:y|ily)|soft(?:ly)?|calm(?:ly)?|lei?surely|sluggish(?:ly)?|quiet(?:ly)?|tranquil"
)
_FAST = (
    r"fast|quick(?:ly)?|rapid(?:ly)?|swift(?:ly)?|rush(?:es|ing)?|rag(?:es?|ing)|rac(?:es?|ing)|roar(?:s|ing)?|"
    r"wild(?:ly)?|violent(?:ly)?|torrential|stormy"
)
_PACE = re.compile(rf"\b(?:(?P<slow>{_SLOW})|(?P<fast>{_FAST}))\b(?!-)", re.IGNORECASE)
_FRAMES = re.compile(r"\b(\d{1,5})[\s-]*frames?\b(?!\s*(?:per|a|/)\s*s)", re.IGNORECASE)


@dataclass(frozen=True)
class MotionPrompt:
    """What a prompt says of motion.

    directions: those it states, one per subject. defaults: the usual ones of the fluids it names. speed_factors: {fluid
    word: factor of its speed}, None for everything else. frames: the loop's length, or None.
    """

    directions: tuple[Direction, ...]
    defaults: tuple[Direction, ...]
    speed_factors: Mapping[str | None, float]
    frames: int | None

    @property
    def fluids(self) -> tuple[str, ...]:
        """The fluid words it names, in order."""
        return tuple(direction.subject for direction in self.defaults if direction.subject)


def parse_prompt(prompt: str, input: str = "prompt") -> MotionPrompt:
    """The motion in a prompt, whose weights and other syntax of ComfyUI's say nothing.

    Raises InputError(input) for one of over lexicon.MAX_LENGTH characters.
    """
    check_length(prompt, input)
    text = "\n".join(map(without_syntax, prompt.splitlines()))
    return MotionPrompt(
        tuple(find_directions(text)),
        tuple(default_directions(text)),
        parse_speed_factors(text),
        parse_frame_count(text),
    )


def resolve_directions(
    source: str, prompt: MotionPrompt, angle: float = 0.0, *, has_arrows: bool = False
) -> tuple[Direction, ...]:
    """The directions by one of DIRECTION_SOURCES; none where arrows alone say it.

    angle: degrees counter-clockwise from +x, for 'custom angle'. Raises InputError('prompt') or ('direction') if
    nothing says where the fluid goes.
    """
    if source == "custom angle":
        return (Direction(None, f"{angle}", angle, (0, 0)),)
    directions: tuple[Direction, ...] = ()
    if source == "from prompt":
        directions = prompt.directions or (() if has_arrows else prompt.defaults)
    if not directions and not has_arrows:
        problem = "contains no direction" if source == "from prompt" else "is 'arrows only'"
        raise InputError(
            "prompt" if source == "from prompt" else "direction",
            f"{problem}, and no arrow was drawn: nothing says where the fluid goes.",
            "Draw an arrow in 'Motion Hints' and connect its hints, write a direction such as 'in left to right "
            "direction' in the prompt, or choose 'custom angle'.",
        )
    return directions


def lookup_override(name: str, stated: Mapping[str | None, float], present: Collection[str] = ()) -> float | None:
    """What {fluid word: value} states of a class; the key None stands for everything else.

    Exact class first, then hypernym ('water' for a river), then the sky for clouds. A word whose class is none of
    ``present`` (all classes there are) holds for those it is confused with: 'the river' for a lake, 'steam' for smoke.
    """
    classes = [(name_stated, value) for word, value in stated.items() if word and (name_stated := fluid_class(word))]
    for is_match in (
        lambda other: other == name,
        lambda other: is_hyponym(name, other),
        lambda other: {other, name} == {"cloud", "sky"},
        lambda other: present and _is_confusable(other, name) and not any(_matches(other, label) for label in present),
    ):
        for other, value in classes:
            if is_match(other):
                return value
    return stated.get(None)


def _matches(stated: str, name: str) -> bool:
    return is_hyponym(name, stated) or {stated, name} == {"cloud", "sky"}


def _is_confusable(a: str, b: str) -> bool:
    """Whether models take one for the other, and people mean the same: level waters, or classes of a family."""
    return {a, b} <= CONFUSABLE_WATER or (family_of(a) == family_of(b) and family_of(a) not in ("water", "rain"))


def parse_speed_factors(text: str) -> dict[str | None, float]:
    """{fluid word: SLOW or FAST} of what a text says is slow or fast; None stands for everything.

    An adjective is said of the fluid word it stands before ('fast clouds'); others of the last one before them in the
    clause, else of the next one there, else of what the clause before was about. What is said first of a word counts.
    """
    factors: dict[str | None, float] = {}
    subject: str | None = None
    for start, end in pairwise([0, *(match.end() for match in CLAUSE.finditer(text)), len(text)]):
        named = _named(text[start:end])
        for match in _PACE.finditer(text, start, end):
            before = [word for word, at in named if start + at < match.start()]
            noun = None if match[0].lower().endswith("ly") else noun_behind(text[:end], match.end())
            word = noun or (before[-1] if before else named[0][0] if named else subject)
            factors.setdefault(word, SLOW if match["slow"] else FAST)
        subject = named[-1][0] if named else subject
    return factors


def _named(clause: str) -> list[tuple[str, int]]:
    """(word, where it starts) of what moves in a clause; what sways where nothing else is named there.

    'waves' behind a thing that sways is what it does: 'the flag waves'.
    """
    named = [(word, at) for word, at in words(clause) if word in FLUID_WORDS]
    flowing = [
        (word, at)
        for before, (word, at) in zip([None, *named], named, strict=False)
        if word in MOVING_WORDS and not (word in ("waves", "wave") and before and before[0] in SWAYING_WORDS)
    ]
    return flowing or [pair for pair in named if pair[0] in SWAYING_WORDS]


def parse_frame_count(text: str) -> int | None:
    """The loop's length a text asks for ('a loop of 90 frames'), or None. 'frames per second' are none."""
    match = _FRAMES.search(text)
    return int(match[1]) if match and int(match[1]) >= 2 else None
