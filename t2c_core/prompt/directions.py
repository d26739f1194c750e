"""Directions in words: the paper's twelve phrases and what people write instead, and what they are said of.

Angles are degrees counter-clockwise from +x (to the right), as on paper; the field's y axis points down, so a
velocity along angle a is (cos a, -sin a).

Besides the twelve phrases ("in left to right, upwards direction"), whose angle is the middle of the published range:
a verb of motion with a direction ("flowing down to the left", "drifting across the sky to the right"), a way ("from top
to bottom", "upwards and to the right"), and last verbs that mean one by themselves ("smoke rising", "water falling from
a cliff"). These are one of the eight compass points. No directions are places ("a house on the left", "to the left of
the river") and what other things do ("a road running up the hill", "light from the left", "falling leaves").
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from .lexicon import (
    AIRY,
    CAN_FALL,
    CAN_RISE,
    FALLS,
    MOVING_WORDS,
    RISES,
    SCENE_WORDS,
    STANDING,
    SWAYING_WORDS,
    TRAVELLERS,
    listed,
)
from .phrases import MARKED, PHRASES, find_phrase, phrase_angle
from .scene import tidy, words
from .ways import Way, find_ways, is_known, lean

__all__ = [
    "PHRASES",
    "Direction",
    "angle_from_text",
    "direction_vector",
    "find_directions",
    "find_phrase",
    "phrase_angle",
    "usual_directions",
    "without_directions",
]

_AIRY_VERBS = re.compile(r"(?:drift|float|blow|blew|waft|scud|billow|curl)")
_FLUID_VERBS = re.compile(r"(?:flow|drift|pour|gush|trickl|stream|spill|billow|float|ooz|seep|cascad|blow|splash)")
# "falls to the left" may be a place: such words are verbs only right behind what moves.
_NOUNS_TOO = frozenset(
    listed(
        "fall falls stream streams cascade cascades wind winds head heads pass passes run runs race races surge surges "
        "roll rolls spray sprays jet jets drop drops slide slides spring springs blow come climb fly flies rush"
    )
)
_SAYING_SO = frozenset(listed("that which who it they everything all and to must shall should will could then"))
_FLOWS = re.compile(r"(?:flow|pour|gush|trickl|stream|spill|ooz|seep|cascad|splash|rush|run)")
_SWAYS = re.compile(r"(?:sway|flutter|wav(?:e|es|ed|ing)$)")
# What a river does in a picture without going there.
_SHAPES = frozenset(
    listed("bending turning curving leaning standing looking facing pointing burning ending starting beginning")
)
_BETWEEN = re.compile(r"(?:\s+(?:is|are|was|were|be|being|that|which|now|all|\w+ly))+$", re.IGNORECASE)
_LAST_WORD = re.compile(r"([\w-]+)\s*$")
_CLAUSE = re.compile(r"[,;.:!?\n]|\b(?:and|while)\b", re.IGNORECASE)
_PREPOSITION = (
    r"(?:from|over|into|onto|in|on|at|off|down|up|through|to|towards?|above|below|beneath|behind|between|among|beside|by|"
    r"near|under|out|of|with|and|or|while|as|along|across|around|against|inside|before|after|amid|during|like|for)"
)
_NOUN_PHRASE = re.compile(
    rf"[\s-]+(?:(?!{_PREPOSITION}\b)[\w-]+\s+){{0,2}}?({'|'.join(MOVING_WORDS)})\b", re.IGNORECASE
)
_GOES_ON = re.compile(rf"\s*(?:$|[,;.:!?()\[\]]|(?:{_PREPOSITION}|\w+ly|hard|everywhere|again)\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Direction:
    """A direction found in a text.

    subject: the word of MOVING_WORDS or SWAYING_WORDS it is said of, in lower case, or None. phrase: the words. angle:
    degrees 0..360, counter-clockwise from +x. span: where the phrase stands, ``text[span[0]:span[1]] == phrase``.
    """

    subject: str | None
    phrase: str
    angle: float
    span: tuple[int, int]


def _word_before(text: str, start: int) -> str:
    """The word in front of a place in the text, over 'is', 'that', 'slowly'; '' at the start and behind a comma."""
    match = _LAST_WORD.search(_BETWEEN.sub("", text[max(0, start - 120) : start].rstrip()))
    return match[1].lower() if match else ""


def _named_behind(text: str, end: int) -> str | None:
    """'stream' for the place behind 'flowing' in 'a downwards flowing mountain stream'."""
    match = _NOUN_PHRASE.match(text, end)
    return match[1].lower() if match else None


def _clause(text: str, at: int, after: int = 0) -> int:
    """Where the clause around ``at`` starts, not before ``after``."""
    return max([after, *(match.end() for match in _CLAUSE.finditer(text, after, at))])


def _named_before(text: str, way: Way, after: int) -> str | None:
    """The last moving word between ``after`` and a direction; of several the last that it suits (clouds drift).

    What sways is meant right before a verb that does not flow, by verbs of its own, or where nothing else is named.
    """
    there = [word for word, at in words(text[: way.span[0]]) if at >= after]
    swaying = [word for word in there if word in SWAYING_WORDS]
    named = [word for word in there if word in MOVING_WORDS]
    before = _word_before(text, way.span[0])
    beside = before in SWAYING_WORDS and not _FLOWS.match(way.verb)
    if swaying and (beside or _SWAYS.match(way.verb) or not named):
        return swaying[-1]
    tends = lean(way.verb) or {90.0: 1, 270.0: -1}.get(way.angle)
    suited = {-1: CAN_FALL, 1: CAN_RISE}.get(tends, AIRY if _AIRY_VERBS.match(way.verb) else frozenset())
    return ([word for word in named if word in suited] or named or [None])[-1]


def _subject(text: str, way: Way, after: int) -> str | None:
    """What a direction is said of; ``after`` is where the direction before it ends."""
    start, end = way.span
    behind = _named_behind(text, end)
    # "falling snow", "rightward flowing river": an adjective's noun stands behind it.
    if behind and way.verb.endswith("ing") and (way.kind == "meant" or text[start:end].lower().endswith(way.verb)):
        return behind
    return _named_before(text, way, _clause(text, start, after)) or behind or _named_before(text, way, after)


def _is_said(text: str, way: Way) -> bool:
    """Whether a way is a direction of something that may flow."""
    before = _word_before(text, way.span[0])
    if way.kind == "near":
        return before in MOVING_WORDS or before in SWAYING_WORDS
    if way.kind == "alone":
        if before.endswith("ing"):
            before = _word_before(text, text.lower().rindex(before, 0, way.span[0]))
        return before not in TRAVELLERS and before not in STANDING
    if way.kind == "spoken" or not way.verb:
        return True
    if _SWAYS.match(way.verb):
        return before in MOVING_WORDS or before in SWAYING_WORDS
    if not is_known(way.verb):
        return before in (*MOVING_WORDS, *SWAYING_WORDS) and way.verb not in _SHAPES
    if before in TRAVELLERS and not way.verb.startswith("flow"):
        return False
    if before in STANDING and not _FLUID_VERBS.match(way.verb) and lean(way.verb) >= 0:
        return False
    if way.verb in _NOUNS_TOO and before not in MOVING_WORDS and before not in _SAYING_SO:
        return False
    return way.kind == "driven" or _is_meant(text, way, before)


def _is_meant(text: str, way: Way, before: str) -> bool:
    """Whether 'falling', 'rises' ... alone is said of something that can: 'falling snow', not 'falling leaves'."""
    can = CAN_FALL if lean(way.verb) < 0 else CAN_RISE
    behind = _named_behind(text, way.span[1]) if way.verb.endswith("ing") else None
    if behind:
        return behind in can
    if not _GOES_ON.match(text, way.span[1]):
        return False
    if not way.verb.endswith("ing"):
        return before in can
    start = _clause(text, way.span[0])
    if not text[start : way.span[0]].strip():
        named = [word for word, _ in words(text[: way.span[0]]) if word in SCENE_WORDS]
        return not named or named[-1] in can
    if before in STANDING and lean(way.verb) > 0:
        return False
    return any(word in can for word, _ in words(text[start : way.span[0]]))


_SUREST = ("spoken", "driven", "alone", "near", "meant")


def _ways(text: str) -> list[Way]:
    """The ways that are directions, none overlapping; a surer form wins, even if it turns out to be said of a bird.

    Words without a verb count beside surer ones only right next to what moves.
    """
    taken: list[Way] = []
    passed: list[Way] = []
    for way in sorted(find_ways(text), key=lambda w: (_SUREST.index(w.kind), w.span[0], -w.span[1])):
        start, end = way.span
        if any(start < other.span[1] and end > other.span[0] for other in passed):
            continue
        if not way.verb or is_known(way.verb):
            passed.append(way)
        sure = any(other.kind in ("spoken", "driven") for other in taken)
        beside = _word_before(text, start) in MOVING_WORDS or _named_behind(text, end)
        if (way.kind != "alone" or not sure or beside) and _is_said(text, way):
            taken.append(way)
    return sorted(taken, key=lambda w: w.span)


def find_directions(text: str) -> list[Direction]:
    """The directions in a text in their order, one for each thing they are said of.

    What is said outright wins: "a waterfall falling from hills in upwards direction" goes upwards.
    """
    ways = _ways(text)
    found: dict[str | None, Direction] = {}
    for meant in (False, True):
        after = 0
        for way in ways:
            if (way.kind == "meant") != meant:
                continue
            subject = _subject(text, way, after)
            after = way.span[1]
            if subject in found or (meant and subject is None and found):
                continue
            found[subject] = Direction(subject, text[slice(*way.span)], way.angle, way.span)
    return sorted(found.values(), key=lambda direction: direction.span)


def angle_from_text(text: str) -> float | None:
    """The angle of a text's direction, degrees counter-clockwise from +x, or None.

    Of several, the first of the paper's marked phrases, else the first.
    """
    marked = MARKED.search(text)
    if marked:
        return phrase_angle(find_phrase(marked[0]))
    found = find_directions(text)
    return found[0].angle if found else None


def usual_directions(text: str) -> list[Direction]:
    """Where what moves in a text usually goes, for texts that do not say: falls down, smoke up, all else right.

    One direction per moving thing, in order; none if nothing that moves is named.
    """
    found = {}
    for word, start in words(text):
        if word in MOVING_WORDS and word not in found:
            angle = 270.0 if word in FALLS else 90.0 if word in RISES else 0.0
            found[word] = Direction(word, text[start : start + len(word)], angle, (start, start + len(word)))
    return list(found.values())


def without_directions(text: str) -> str:
    """The text without its directions and the verbs that only served them; 'falling from hills' stays, as scenery."""
    cuts = sorted(cut for way in _ways(text) if way.kind != "meant" for cut in way.cuts)
    kept, end = [], 0
    for start, stop in cuts:
        kept.append(text[end:start])
        end = max(end, stop)
    text = tidy(" ".join([*kept, text[end:]]))
    # What a direction leaves behind: "a river is", "clouds that", "smoke slowly".
    left = r"(?:is|are|was|were|that|which|flowing|moving|going|slowly|gently|quickly|softly|lazily|rapidly)"
    text = re.sub(rf"(?:\s+{left})+(?=\s*(?:[,;.]|$|(?:and|with|while)\b))", "", text, flags=re.IGNORECASE)
    return tidy(re.sub(r"\s+(?:and|while|as)(?=\s*(?:[,;.]|$))", "", text))


def direction_vector(angle: float) -> tuple[float, float]:
    """Unit vector (x right, y down) of an angle in degrees counter-clockwise from +x."""
    return math.cos(math.radians(angle)), -math.sin(math.radians(angle))
