"""Directions in words: the paper's twelve phrases and what people write instead, and their angles.

Angles are degrees counter-clockwise from +x (to the right), as on paper; the field's y axis points down, so a
velocity along angle a is (cos a, -sin a).

Besides the twelve phrases ("in left to right, upwards direction"), whose angle is the middle of the published range:
a verb of motion with a direction ("flowing down to the left", "drifting slowly rightwards"), a way ("from top to
bottom", "upwards and to the right"), and last verbs that mean one by themselves ("smoke rising", "falling from a
cliff"). These are one of the eight compass points. Places are no directions: "a house on the left", "to the left of the
river".
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from .scene import MOVING_WORDS, tidy, words

# From the published code: phrase -> range of angles (start, end), counter-clockwise.
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
_PHRASE = re.compile(rf"\bin (?:a |the )?({_ATOM})(?:\s*,\s*({_ATOM}))?\s+direction\b", re.IGNORECASE)
_BARE = re.compile(rf"\b({_ATOM})\b(?:\s*,\s*({_ATOM})\b)?", re.IGNORECASE)


_VERBS = (
    r"(?:flow|fall|drift|mov|run|runn|stream|ris|float|blow|pour|cascad|rush|roll|glid|travel|sweep|swirl|descend|ascend|"
    r"climb|plung|tumbl|billow|spill|gush|head|go|sail|rac|surg|wash|trickl|driv|spread|creep|spout|shoot|burst|leap|"
    r"crash|splash|plummet|drip|wander|meander|wind|snak|slid|slip|pass|scudd|waft|curl|com)(?:e|es|s|ing|ed|n|ting)?"
)
_ADVERBS = r"(?:(?:\w+ly|fast|slow|straight|softly|back|along|away)\s+)*"
# Not "to the left of the house", "the right bank", "right in front": places, and 'right' for 'exactly'.
_NO_PLACE = r"(?!\s*-?(?:of|side|bank|hand|corner|edge|foreground|background)\b)"
_SIDE = rf"(?:left|right|top|bottom){_NO_PLACE}"
_TO_THE = r"[\s-]+to[\s-]+(?:the\s+)?"
_CORNER = r"(?:upper|top|lower|bottom)[\s-]+(?:left|right)"
_WAY = (
    rf"(?:from\s+)?(?:the\s+)?(?:left{_TO_THE}right|right{_TO_THE}left|top{_TO_THE}bottom|bottom{_TO_THE}top|"
    rf"{_CORNER}{_TO_THE}{_CORNER})\b"
)
_FROM = r"(?:in\s+)?from\s+(?:the\s+)?(?:left|right|above|below|top|bottom)\b" + _NO_PLACE
_TO = rf"(?:to|towards?)\s+(?:the\s+)?(?:(?:upper|top|lower|bottom)[\s-]+)?{_SIDE}\b"
_WARD = r"(?:up|down|left|right)wards?\b(?!\s+of\b)"
_SHORT = (
    rf"(?:up|down|left{_NO_PLACE}|right{_NO_PLACE}(?=\s*(?:[,.;:!?&-]|$|and\b|across\b|along\b|over\s+the\b)))\b"
    r"(?!\s+(?:close|jacket|under|there|here)\b)"
)
_ANY = rf"(?:{_WAY}|{_FROM}|{_TO}|{_WARD}|{_SHORT})"
_JOINT = r"(?:\s*(?:,\s*)?(?:and|&|then)\s+|\s*,\s*|\s*-\s*|\s+)"
_MARKED = re.compile(rf"(?:\b{_VERBS}\s+{_ADVERBS})?{_PHRASE.pattern}", re.IGNORECASE)
_DRIVEN = re.compile(
    rf"\b{_VERBS}\s+{_ADVERBS}(?:diagonally\s+)?(?P<way>{_ANY}(?:{_JOINT}(?:diagonally\s+)?{_ANY})?)", re.IGNORECASE
)
_STRONG = rf"(?:{_WAY}|{_WARD}|towards\s+the\s+{_SIDE}\b|diagonally\s+{_ANY})"
_ALONE = re.compile(rf"(?<!\w)(?P<way>{_STRONG}(?:{_JOINT}{_ANY})?)", re.IGNORECASE)
_DOWN_VERBS = (
    r"falling|cascading|pouring|plunging|tumbling|descending|plummeting|dripping|"
    r"(?:falls|pours|cascades|plunges|tumbles)\s+(?:down\s+)?(?:from|over|into|off)"
)
_UP_VERBS = r"rising|ascending|rises|ascends"
_MEANT = re.compile(
    rf"\b(?:(?P<down>{_DOWN_VERBS})|(?P<up>{_UP_VERBS}))\b(?!\s+(?:star|sun|moon|above\b|mountain|cliff|tower|asleep|apart))",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Direction:
    """A direction found in a text: for what (a moving thing, or None), in which words, at which angle and place."""

    subject: str | None
    phrase: str
    angle: float
    span: tuple[int, int]


def _atom(text: str) -> str:
    text = text.lower()
    return text + "s" if text.endswith("ward") else text


def find_phrase(text: str) -> str | None:
    """The first of the twelve phrases in a text ("... in left to right, upwards direction"), or None."""
    match = _PHRASE.search(text) or _BARE.search(text)
    if not match:
        return None
    first, second = _atom(match[1]), _atom(match[2]) if match[2] else None
    pair = f"{first}, {second}"
    return pair if pair in PHRASES else first


def phrase_angle(phrase: str, rng: np.random.Generator | None = None) -> float:
    """The angle (degrees, 0..360) of one of the twelve phrases: the middle of its range, or a draw from it."""
    start, end = PHRASES[phrase]
    return (rng.uniform(start, end) if rng else (start + end) / 2) % 360.0


def _lean(driven: str) -> int:
    """1 for verbs that go up by themselves, -1 for those that go down, else 0."""
    match = re.match(
        r"(?:(ris|ascend|climb)|(fall|pour|cascad|plung|tumbl|descend|plummet|drip))", driven, re.IGNORECASE
    )
    return 0 if match is None else 1 if match[1] else -1


def _compass(way: str, lean: int = 0) -> float | None:
    """The angle of words such as 'down and to the left': one of eight compass points, or None if they cancel out.

    lean: whether it goes up (1) or down (-1) where the words do not say.
    """
    text = re.sub(r"[\s-]+", " ", way.lower())
    twelve = _BARE.fullmatch(text.strip().removeprefix("from "))
    if twelve and twelve[2]:
        return phrase_angle(find_phrase(text))
    x = y = 0
    gone = re.sub(
        r"(?:from )?(?:the )?(?:(?:upper|top|lower|bottom) )?(?:left|right|top|bottom) "
        r"to (?=(?:the )?(?:upper|lower|left|right|top|bottom))",
        "to ",
        text,
    )
    for source in re.findall(r"from (?:the )?(left|right|above|below|top|bottom)", gone):
        x += {"left": 1, "right": -1}.get(source, 0)
        y += {"above": -1, "top": -1, "below": 1, "bottom": 1}.get(source, 0)
    gone = re.sub(r"from (?:the )?\w+", " ", gone)
    for word in re.findall(r"upper|lower|top|bottom|left|right|up|down", gone):
        x += {"left": -1, "right": 1}.get(word, 0)
        y += {"up": 1, "upper": 1, "top": 1, "down": -1, "lower": -1, "bottom": -1}.get(word, 0)
    y = y or lean
    return math.degrees(math.atan2(_sign(y), _sign(x))) % 360.0 if x or y else None


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _candidates(text: str) -> list[tuple[int, str, float, tuple[int, int]]]:
    """(rank, words, angle, span) of everything that may be a direction; lower ranks are surer."""
    found = []
    for match in _MARKED.finditer(text):
        phrase = find_phrase(match[0])
        found.append((0, match[0], phrase_angle(phrase), match.span()))
    for rank, pattern in ((1, _DRIVEN), (2, _ALONE)):
        for match in pattern.finditer(text):
            angle = _compass(match["way"], _lean(match[0]) if rank == 1 else 0)
            if angle is not None:
                found.append((rank, match[0], angle, match.span()))
    for match in _MEANT.finditer(text):
        found.append((3, match[0], 270.0 if match["down"] else 90.0, match.span()))
    return found


def _subject(text: str, span: tuple[int, int], after: int) -> str | None:
    """The last moving thing named between ``after`` and the direction, or else one right behind it."""
    named = [(word, start) for word, start in words(text) if word in MOVING_WORDS]
    before = [word for word, start in named if after <= start < span[0]]
    if before:
        return before[-1]
    behind = [word for word, start in words(text[span[1] :])[:3] if word in MOVING_WORDS]
    return behind[0] if behind else None


def find_directions(text: str) -> list[Direction]:
    """The directions in a text, in order, with what they are said of.

    Surer forms win: where words overlap, where the same thing would get two, and words without a verb ("upwards") count
    only where nothing surer is said at all.
    """
    taken: list[tuple[int, str, float, tuple[int, int]]] = []
    for candidate in sorted(_candidates(text), key=lambda c: (c[0], c[3])):
        rank, _, _, (start, end) = candidate
        if rank == 2 and any(other[0] < 2 for other in taken):
            continue
        if all(end <= other[3][0] or start >= other[3][1] for other in taken):
            taken.append(candidate)
    found: dict[str | None, Direction] = {}
    # First what is said outright, so that "a fall falling from hills in upwards direction" goes upwards.
    for sure in (True, False):
        after = 0
        for _, phrase, angle, span in sorted((c for c in taken if (c[0] < 3) == sure), key=lambda c: c[3]):
            subject = _subject(text, span, after)
            after = span[1]
            if subject in found or (not sure and subject is None and found):
                continue
            found[subject] = Direction(subject, phrase, angle, span)
    return sorted(found.values(), key=lambda d: d.span)


def angle_from_text(text: str) -> float | None:
    """The angle of the surest, then first direction in a prompt, degrees counter-clockwise from +x, or None."""
    marked = _MARKED.search(text)
    if marked:
        return phrase_angle(find_phrase(marked[0]))
    found = find_directions(text)
    return found[0].angle if found else None


_FALLS = frozenset(["waterfall", "waterfalls", "falls", "cascade", "cascades", "rain", "snow", "snowfall", "rapids"])
_RISES = frozenset(
    re.findall(
        r"\w+",
        "smoke steam vapor vapour fire fires flame flames campfire bonfire fireplace torch torches candle candles embers "
        "geyser geysers fountain fountains",
    )
)


def usual_directions(text: str) -> list[Direction]:
    """Where what moves in a text usually goes, for texts that do not say: falls down, smoke up, all else right.

    One direction per moving thing, in order; none if nothing that moves is named.
    """
    found = {}
    for word, start in words(text):
        if word in MOVING_WORDS and word not in found:
            angle = 270.0 if word in _FALLS else 90.0 if word in _RISES else 0.0
            found[word] = Direction(word, word, angle, (start, start + len(word)))
    return list(found.values())


def without_directions(text: str) -> str:
    """The text without its directions and the verbs that only served them; 'falling from hills' stays, as scenery."""
    spans = sorted(span for rank, _, _, span in _candidates(text) if rank < 3)
    parts, end = [], 0
    for start, stop in spans:
        if start >= end:
            parts.append(text[end:start])
        end = max(end, stop)
    text = re.sub(r"\s+(?:and|while|as|is|are|flowing|moving)\s*(?=[,;.]|$)", "", tidy(" ".join([*parts, text[end:]])))
    return tidy(re.sub(r"\b(?:is|are)\s+(?=and\b|with\b|,)", "", text))


def direction_vector(angle: float) -> tuple[float, float]:
    """Unit vector (x right, y down) of an angle in degrees counter-clockwise from +x."""
    return math.cos(math.radians(angle)), -math.sin(math.radians(angle))
