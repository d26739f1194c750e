"""Patterns of words that may say where something moves, and the angle each stands for.

Every angle but those of the paper's twelve phrases is one of the eight compass points (0, 45, ... 315 degrees
counter-clockwise from +x). Whether a match is a direction of something that flows is decided in ``directions``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .phrases import BARE, MARKED, find_phrase, phrase_angle

_BASES = (
    "flow fall drift move run stream rise float blow pour cascade rush roll glide travel sweep swirl descend ascend "
    "climb plunge tumble billow spill gush head go sail race surge wash trickle drive spread creep spout shoot burst "
    "leap crash splash plummet drop drip wander meander wind snake slide slip pass scud waft curl come fly ooze seep "
    "whirl spiral puff erupt jet spray crawl dance flicker ripple sway flutter"
)
_IRREGULAR = "blew blown fell flew ran rose went goes drove driven crept shot came leapt slid"


def _forms(base: str) -> set[str]:
    stem = base.removesuffix("e")
    return {base, f"{base}s", f"{base}es", f"{stem}ed", f"{stem}ing", f"{base}{base[-1]}ing", f"{base}{base[-1]}ed"}


def _any_of(words: set[str] | list[str]) -> str:
    return "(?:" + "|".join(sorted(words, key=lambda word: (-len(word), word))) + ")"


_VERB = _any_of({form for base in _BASES.split() for form in _forms(base)} | set(_IRREGULAR.split())) + r"\b"
_ING = _any_of({form for base in _BASES.split() for form in _forms(base) if form.endswith("ing")}) + r"\b"
_ADVERBS = (
    r"(?:(?:\w+ly|fast|slow|straight|back|along|away|by|past|across|in|out|over|off|on|around|diagonally|a\s+bit|"
    r"a\s+little|(?:its|their)\s+way)\s+)*"
)
# "shoots water up"
_OBJECT = r"(?:its\s+|the\s+)?(?:water|smoke|steam|lava|fire|flames|embers|sparks|clouds|fog|mist)\s+"
_FRAME = r"of\s+(?:the|this)\s+(?:picture|image|frame|scene|screen|photo|photograph|canvas|painting|sky|view)\b"
_EDGE = rf"(?:(?:[\s-]+hand)?\s+(?:side|edge|corner|end)\b)?(?:\s+{_FRAME})?"
# Not "to the left of the house", "the right bank", "the left window": places and things.
_NO_PLACE = r"(?![\s-]*(?:of|side|bank|hand|corner|edge|foreground|background|window|arm|wing|half|part)\b)"
_THE = r"(?:the\s+)?"
_TO_THE = rf"[\s-]+(?:in)?to[\s-]+{_THE}"
_CORNER = r"(?:upper|top|lower|bottom)[\s-]+(?:left|right)\b"
_SIDE = r"(?:left|right|top|bottom)\b"
_PLACE = rf"(?:{_CORNER}|{_SIDE})"
_WAY = (
    rf"(?:from\s+)?{_THE}(?:left(?:\s+side)?{_TO_THE}right|right(?:\s+side)?{_TO_THE}left|top{_TO_THE}bottom|"
    rf"bottom{_TO_THE}top|{_CORNER}(?:\s+corner)?{_TO_THE}{_CORNER})\b{_EDGE}"
)
_FROM = rf"from\s+{_THE}(?:{_PLACE}{_EDGE}|above|below){_NO_PLACE}"
_TO = rf"(?:to|towards?|into)\s+{_THE}{_PLACE}{_EDGE}{_NO_PLACE}"
_WARD = r"(?:up|down|left|right)wards?\b(?!\s+of\b)"
_SHORT = (
    rf"(?:(?:up|down)(?:hill)?|left{_NO_PLACE}|"
    rf"right{_NO_PLACE}(?=\s*(?:[,.;:!?&()-]|$|and\b|across\b|along\b|over\s+the\b)))\b"
    r"(?!\s+(?:close|jacket|under|there|here)\b)"
)
_HEADED = rf"(?:in|to|towards?)\s+(?:an?\s+|the\s+)?(?:{_WAY}|{_WARD}|{_CORNER}|left|right|up|down)\s+direction\b"
_ANY = rf"(?:{_HEADED}|{_WAY}|{_FROM}|{_TO}|{_WARD}|{_SHORT})"
_LONG = rf"(?:{_HEADED}|{_WAY}|{_FROM}|{_TO}|{_WARD})"
_JOINT = (
    r"(?:\s*,?\s*(?:and|&|then|but)\s+|\s*,\s*|\s*-\s*|\s+)"
    r"(?:(?:diagonally|slightly|slowly|gently|a\s+bit|a\s+little)\s+)?"
)
_WAYS = rf"{_ANY}(?:{_JOINT}{_ANY})?"
# "flowing through a forest to the left": the forest belongs to the scene and must survive.
_THROUGH = (
    r"(?:across|over|through|along|between|down|up|past|above|around|from|into|in|under|beneath|below|off|behind|against|"
    r"beside|at|on)\s+"
    r"(?!(?:the\s+)?(?:left|right|top|bottom|upper|lower|above|below|direction)\b)"
    rf"(?:(?:the|an?|its|some)\s+)?(?:(?!(?:and|with|to|while|on)\b|{_VERB})[\w-]+\s+){{1,3}}?"
)

_DRIVEN = re.compile(
    rf"\b(?:(?P<first>{_ING})\s+(?:(?:up|down)(?:wards?)?\s+)?and\s+)?(?P<verb>{_VERB}|\w{{3,}}ing\b)\s+{_ADVERBS}"
    rf"(?:(?P<past>{_THROUGH})(?P<there>{_LONG})|(?P<way>{_WAYS})(?:\s+{_THROUGH}(?P<then>{_LONG}))?)",
    re.IGNORECASE,
)
_HEADING = re.compile(rf"\b(?P<way>(?:left|right|up|down)(?:wards?)?)[\s-]+(?P<verb>{_ING})", re.IGNORECASE)
_SPOKEN = re.compile(rf"(?:\b(?P<verb>{_VERB})\s+{_ADVERBS})?{MARKED.pattern}", re.IGNORECASE)
_ALONE = re.compile(
    rf"(?<![\w-])(?P<way>(?:{_HEADED}|{_WAY}|{_WARD}|diagonally\s+{_ANY})(?:{_JOINT}{_ANY})?)", re.IGNORECASE
)
_NEAR = re.compile(rf"(?<![\w-])(?P<way>(?:from|towards?)\s+{_THE}{_PLACE}{_EDGE}{_NO_PLACE})", re.IGNORECASE)
_THROWN = re.compile(
    rf"\b(?P<verb>(?:spray|shoot|spout|puff|spew|belch|blow|push|carr|driv|send|throw)\w*)\s+{_OBJECT}(?P<way>{_WAYS})",
    re.IGNORECASE,
)
_WHOLE = re.compile(rf"\s*(?P<way>(?:diagonally\s+)?{_WAYS})\s*[.!]?\s*", re.IGNORECASE)
_DOWN = "fall pour cascade plunge tumble descend plummet drip drop"
_UP = "rise ascend climb"
_MEANT = re.compile(
    rf"\b(?P<verb>{_any_of({f for base in f'{_DOWN} rise ascend'.split() for f in _forms(base) if f[-1] in 'gs'})})\b",
    re.IGNORECASE,
)
_GOES_DOWN = re.compile(rf"{_any_of({form for base in _DOWN.split() for form in _forms(base)} | {'fell'})}\b")
_GOES_UP = re.compile(rf"{_any_of({form for base in _UP.split() for form in _forms(base)} | {'rose'})}\b")
# Words about looking, not about moving: "an upward view", "seen from above", "light from the left".
_LOOKING = (
    r"(?:views?|shots?|angle|looks?|looking|gaze|gazing|facing|pointing|perspective|seen|viewed|split|composition|"
    r"panorama)"
)
_LOOKED = re.compile(rf"\b{_LOOKING}\s+(?:\w+ly\s+)?$", re.IGNORECASE)
_LOOKS = re.compile(rf"[\s-]+{_LOOKING}\b", re.IGNORECASE)


@dataclass(frozen=True)
class Way:
    """Words that may be a direction.

    kind: how sure the form is: 'spoken' (one of the twelve phrases, marked), 'driven' (a verb and where to), 'alone'
    (where to, without a verb), 'near' (counts only right behind what moves), 'meant' (a verb that goes up or down by
    itself). verb: in lower case, or ''. angle: degrees. span: in the text. cuts: the parts of it that say nothing else.
    """

    kind: str
    verb: str
    angle: float
    span: tuple[int, int]
    cuts: tuple[tuple[int, int], ...]


def is_known(verb: str) -> bool:
    """Whether a verb means going somewhere, or only looks like a verb ('babbling', 'painting')."""
    return re.fullmatch(_VERB, verb) is not None


def lean(verb: str) -> int:
    """1 for verbs that go up by themselves (rise), -1 for those that go down (fall), else 0."""
    return -1 if _GOES_DOWN.match(verb) else 1 if _GOES_UP.match(verb) else 0


_STEPS = {"left": (-1, 0), "right": (1, 0), "up": (0, 1), "top": (0, 1), "above": (0, 1)}
_STEPS |= {"down": (0, -1), "bottom": (0, -1), "low": (0, -1), "below": (0, -1)}
_STEP = re.compile(
    r"(left|right|up|top|above|down|bottom|low|below)(?:wards?|hill|per|er)?|(from)|(in)?to\b|(and|[,&])"
)


def compass(way: str, lean: int = 0) -> float | None:
    """The angle of words such as 'down and to the left': one of eight compass points, or None if they cancel out.

    lean: whether it goes up (1) or down (-1) where the words do not say. The twelve phrases keep their angles.
    """
    way = way.lower()
    phrase = BARE.fullmatch(way.strip())
    if phrase and phrase[2]:
        return phrase_angle(find_phrase(way))
    x = y = 0
    source, places = False, (0, 0)
    for match in _STEP.finditer(re.sub(rf"{_FRAME}|towards?", lambda m: "to" if m[0][0] == "t" else " ", way)):
        if match[1]:
            dx, dy = _STEPS[match[1]]
            # "upwards" and "down" are never where it comes from.
            sign = -1 if source and not re.fullmatch(r"(?:up|down)(?:hill)?|\w+wards?", match[0]) else 1
            x, y = x + sign * dx, y + sign * dy
            standing = re.fullmatch(r"left|right|top|bottom|upper|lower", match[0])
            places = (places[0] + dx, places[1] + dy) if standing and not source else (0, 0)
        elif match[2]:
            source, places = True, (0, 0)
        elif match[4]:
            source, places = False, (0, 0)
        else:
            # "left to right": what stood before 'to' is where it comes from.
            x, y = x - 2 * places[0], y - 2 * places[1]
            source, places = False, (0, 0)
    y = y or lean
    return math.degrees(math.atan2((y > 0) - (y < 0), (x > 0) - (x < 0))) % 360.0 if x or y else None


def find_ways(text: str) -> Iterator[Way]:
    """Everything in the text that may be a direction; matches of different kinds may overlap."""
    whole = _WHOLE.fullmatch(text)
    if whole and (angle := compass(whole["way"])) is not None:
        yield Way("spoken", "", angle, whole.span("way"), (whole.span("way"),))
    for match in _SPOKEN.finditer(text):
        angle = phrase_angle(find_phrase(match[0]))
        yield Way("spoken", (match["verb"] or "").lower(), angle, match.span(), (match.span(),))
    for match in _DRIVEN.finditer(text):
        verb = match["verb"].lower()
        slope = re.match(r"(?:up|down)\b", match["past"] or "", re.IGNORECASE)
        said = [match[name] for name in ("way", "then", "there") if match[name]] + ([slope[0]] if slope else [])
        angle = compass(", ".join(said), lean((match["first"] or "").lower()) or lean(verb))
        if angle is None:
            continue
        cuts = [match.span()]
        if match["then"]:
            cuts = [match.span("way"), match.span("then")]
        elif match["there"]:
            cuts = [match.span("there")]
        yield Way("driven", verb, angle, match.span(), tuple(cuts))
    for pattern, cut in ((_HEADING, 0), (_THROWN, "way")):
        for match in pattern.finditer(text):
            angle = compass(match["way"])
            if angle is not None:
                yield Way("driven", match["verb"].lower(), angle, match.span(), (match.span(cut),))
    for kind, pattern in (("alone", _ALONE), ("near", _NEAR)):
        for match in pattern.finditer(text):
            angle = compass(match["way"])
            looked = _LOOKED.search(text[max(0, match.start() - 60) : match.start()]) or _LOOKS.match(text, match.end())
            if angle is not None and not looked:
                yield Way(kind, "", angle, match.span(), (match.span(),))
    for match in _MEANT.finditer(text):
        verb = match["verb"].lower()
        yield Way("meant", verb, 90.0 if lean(verb) > 0 else 270.0, match.span(), (match.span(),))
