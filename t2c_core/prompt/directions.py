"""Directions stated in a text, and the fluid words they are said of.

Degrees counter-clockwise from +x; the velocity along an angle a is (cos a, -sin a), as y points down. Stated are the
paper's twelve phrases, a verb of motion with a direction ("flowing down to the left"), a direction alone ("from top to
bottom") and verbs that imply one ("smoke rising"). Not directions: places ("a house on the left", "to the left of the
river") and what other things do ("a road running up the hill", "falling leaves").
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..fluids import motion_prior
from . import lexicon
from .lexicon import FLUID_WORDS, MOVING_WORDS, STANDING, normalize_whitespace, noun_behind, words
from .patterns import DirectionMatch, find_matches, is_motion_verb, vertical_sign

_DRIFTS = re.compile(r"(?:drift|float|blow|blew|waft|scud|billow|curl)")
_FLUID_VERBS = re.compile(r"(?:flow|drift|pour|gush|trickl|stream|spill|billow|float|ooz|seep|cascad|blow|splash)")
_SUBJECT_WORDS = frozenset(str.split("that which who it they everything all and to must shall should will could then"))
_SWAYS = re.compile(r"(?:sway|flutter|wav(?:e|es|ed|ing)$)")
# What a river does in a picture without going there.
_SHAPES = frozenset(
    str.split("bending turning curving leaning standing looking facing pointing burning ending starting beginning")
)
_LAST_WORD = re.compile(r"([\w-]+)(?:\s+(?:is|are|was|were|be|being|that|which|now|all|\w+ly))*\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Direction:
    """A stated direction.

    subject: the word of FLUID_WORDS it is said of, in lower case, or None. phrase: the words. angle:
    degrees 0..360, counter-clockwise from +x, or None: along the banks. span: ``text[span[0]:span[1]] == phrase``.
    """

    subject: str | None
    phrase: str
    angle: float | None
    span: tuple[int, int]


def _word_before(text: str, start: int) -> str:
    """The word in front of a place in the text, over 'is', 'that', 'slowly'; '' at the start and behind a comma."""
    match = _LAST_WORD.search(text, max(0, start - 120), start)
    return match[1].lower() if match else ""


def _clause(text: str, at: int, after: int = 0) -> int:
    """Where the clause around ``at`` starts, not before ``after``."""
    return max([after, *(match.end() for match in lexicon.CLAUSE.finditer(text, after, at))])


def _named_before(text: str, match: DirectionMatch, after: int) -> str | None:
    """The last moving word between ``after`` and a direction; of several the last that it suits (clouds drift).

    What sways is meant by verbs of its own, or where nothing else is named.
    """
    nearby = [word for word, at in words(text[: match.span[0]]) if at >= after]
    swaying = [word for word in nearby if word in lexicon.SWAYING_WORDS]
    named = [word for word in nearby if word in MOVING_WORDS]
    if swaying and (_SWAYS.match(match.verb) or not named):
        return swaying[-1]
    tends = vertical_sign(match.verb) or {90.0: 1, 270.0: -1}.get(match.angle, 0)
    suited = {-1: lexicon.CAN_FALL, 1: lexicon.CAN_RISE}.get(
        tends, lexicon.AIRY if _DRIFTS.match(match.verb) else frozenset()
    )
    return ([word for word in named if word in suited] or named or [None])[-1]


def _subject(text: str, match: DirectionMatch, after: int) -> str | None:
    """What a direction is said of; ``after`` is where the direction before it ends."""
    start, end = match.span
    behind = noun_behind(text, end)
    # "falling snow", "rightward flowing river": an adjective's noun stands behind it.
    if behind and text[start:end].lower().endswith("ing"):
        return behind
    return _named_before(text, match, _clause(text, start, after)) or behind or _named_before(text, match, after)


def _is_valid_direction(text: str, match: DirectionMatch) -> bool:
    """Whether a match is a direction of something that may flow."""
    before = _word_before(text, match.span[0])
    if match.kind == "adjacent":
        return before in FLUID_WORDS
    if match.kind == "bare":
        if before.endswith("ing"):
            before = _word_before(text, text.lower().rindex(before, 0, match.span[0]))
        return before not in lexicon.NON_FLUID_MOVERS and before not in STANDING
    if match.kind == "phrase" or not match.verb:
        return True
    if _SWAYS.match(match.verb) or not is_motion_verb(match.verb):
        return before in FLUID_WORDS and match.verb not in _SHAPES
    if before in lexicon.NON_FLUID_MOVERS and not match.verb.startswith("flow"):
        return False
    if before in STANDING and not _FLUID_VERBS.match(match.verb) and vertical_sign(match.verb) >= 0:
        return False
    if match.verb in lexicon.VERBS_AND_NOUNS and before not in MOVING_WORDS and before not in _SUBJECT_WORDS:
        return False
    return match.kind == "verb" or _is_implied_of_fluid(text, match, before)


def _is_implied_of_fluid(text: str, match: DirectionMatch, before: str) -> bool:
    """Whether 'falling', 'rises' ... alone is said of something that can: 'falling snow', not 'falling leaves'."""
    can = lexicon.CAN_FALL if vertical_sign(match.verb) < 0 else lexicon.CAN_RISE
    behind = noun_behind(text, match.span[1]) if match.verb.endswith("ing") else None
    if behind:
        return behind in can
    if not lexicon.CLAUSE_END.match(text, match.span[1]):
        return False
    start = _clause(text, match.span[0])
    if not text[start : match.span[0]].strip():
        named = [word for word, _ in words(text[: match.span[0]]) if word in lexicon.SCENE_WORDS]
        return not named or named[-1] in can
    return any(word in can for word, _ in words(text[start : match.span[0]]))


_KINDS = ("phrase", "verb", "bare", "adjacent", "implied")


def _valid_matches(text: str) -> list[DirectionMatch]:
    """The matches that are directions, none overlapping; a surer form wins, even if it turns out to be said of a bird.

    Words without a verb count beside surer ones only right next to what moves.
    """
    taken: list[DirectionMatch] = []
    passed: list[DirectionMatch] = []
    for match in sorted(find_matches(text), key=lambda w: (_KINDS.index(w.kind), w.span[0], -w.span[1])):
        start, end = match.span
        if any(start < other.span[1] and end > other.span[0] for other in passed):
            continue
        if not match.verb or is_motion_verb(match.verb):
            passed.append(match)
        sure = any(other.kind in ("phrase", "verb") for other in taken)
        beside = _word_before(text, start) in MOVING_WORDS or noun_behind(text, end)
        if (match.kind != "bare" or not sure or beside) and _is_valid_direction(text, match):
            taken.append(match)
    return sorted(taken, key=lambda w: w.span)


def find_directions(text: str) -> list[Direction]:
    """The directions in a text in their order, one for each thing they are said of.

    What is said outright wins: "a waterfall falling from hills in upwards direction" goes upwards.
    """
    matches = _valid_matches(text)
    stated: dict[str | None, Direction] = {}
    for implied in (False, True):
        after = 0
        for match in matches:
            if (match.kind == "implied") != implied:
                continue
            subject = _subject(text, match, after)
            after = match.span[1]
            if subject in stated or (implied and subject is None and stated):
                continue
            stated[subject] = Direction(subject, text[slice(*match.span)], match.angle, match.span)
    return sorted(stated.values(), key=lambda direction: direction.span)


def default_directions(text: str) -> list[Direction]:
    """The usual directions of the fluids a text names (``MotionPrior.angle``), for texts that say none, in order."""
    defaults: dict[str, Direction] = {}
    for word, start in words(text):
        if word in MOVING_WORDS:
            span = (start, start + len(word))
            defaults.setdefault(word, Direction(word, text[slice(*span)], motion_prior(word).angle, span))
    return list(defaults.values())


def without_directions(text: str) -> str:
    """The text without its directions and the verbs that only served them; 'falling from hills' stays, as scenery."""
    cuts = sorted(cut for match in _valid_matches(text) if match.kind != "implied" for cut in match.cuts)
    kept, end = [], 0
    for start, stop in cuts:
        kept.append(text[end:start])
        end = max(end, stop)
    text = normalize_whitespace(" ".join([*kept, text[end:]]))
    # What a direction leaves behind: "a river is", "clouds that", "smoke slowly".
    left = r"(?:is|are|was|were|that|which|flowing|moving|going|slowly|gently|quickly|softly|lazily|rapidly)"
    text = re.sub(rf"(?:\s+{left})+(?=\s*(?:[,;.]|$|(?:and|with|while)\b))", "", text, flags=re.IGNORECASE)
    return normalize_whitespace(re.sub(r"\s+(?:and|while|as)(?=\s*(?:[,;.]|$))", "", text))
