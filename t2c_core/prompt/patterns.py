"""Regular expressions of directions in words, and the angle each match stands for.

The paper's twelve phrases ("in left to right, upwards direction") have ranges of angles; everything else means one of
the eight compass points. Degrees counter-clockwise from +x. Whether a match is said of a fluid: ``directions``.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

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
_MARKED = rf"\bin (?:an? |the )?({_ATOM})(?:(?:\s*,|\s+and|\s*,\s*and)?\s*({_ATOM}))?\s+direction\b"
_PHRASE = re.compile(rf"\b({_ATOM})\b(?:\s*,\s*({_ATOM})\b)?", re.IGNORECASE)


def find_phrase(text: str) -> str | None:
    """The first of the twelve phrases in a text, a marked one before a bare one, or None."""
    match = re.search(_MARKED, text, re.IGNORECASE) or _PHRASE.search(text)
    if not match:
        return None
    first, second = (re.sub("ward$", "wards", (atom or "").lower()) for atom in match.groups())
    pair = f"{first}, {second}"
    return pair if pair in PHRASES else first


def phrase_angle(text: str) -> float | None:
    """The angle (degrees, 0..360) of the phrase that ``find_phrase`` finds: the middle of its range, or None."""
    phrase = find_phrase(text)
    return sum(PHRASES[phrase]) / 2 % 360.0 if phrase else None


_BASES = (
    "flow fall drift move run stream rise float blow pour cascade rush roll glide travel sweep swirl descend ascend "
    "climb plunge tumble billow spill gush head go sail race surge wash trickle drive spread creep spout shoot burst "
    "leap crash splash plummet drop drip wander meander wind snake slide slip pass scud waft curl come fly ooze seep "
    "whirl spiral puff erupt jet spray crawl dance flicker ripple sway flutter"
)


def _verbs(bases: str, irregular: str = "", ending: str | tuple[str, ...] = "") -> str:
    """Regular expression of the forms of verbs that have an ending, the longest first."""
    forms = set(irregular.split())
    for base in bases.split():
        stem = base.removesuffix("e")
        forms |= {
            base,
            f"{base}s",
            f"{base}es",
            f"{stem}ed",
            f"{stem}ing",
            f"{base}{base[-1]}ing",
            f"{base}{base[-1]}ed",
        }
    return rf"(?:{'|'.join(sorted((form for form in forms if form.endswith(ending)), key=len, reverse=True))})\b"


_VERB = _verbs(_BASES, "blew blown fell flew ran rose went goes drove driven crept shot came leapt slid")
_ING = _verbs(_BASES, ending="ing")
_ADVERBS = (
    r"(?:(?:\w+ly|fast|slow|straight|back|along|away|by|past|across|in|out|over|off|on|around|diagonally|a\s+bit|"
    r"a\s+little|(?:its|their)\s+way)\s+)*"
)
# "shoots water up"
_OBJECT = r"(?:its\s+|the\s+)?(?:water|smoke|steam|lava|fire|flames|embers|sparks|clouds|fog|mist)\s+"
_FRAME = r"of\s+(?:the|this)\s+(?:picture|image|frame|scene|screen|photo|photograph|canvas|painting|sky|view)\b"
_EDGE = rf"(?:(?:[\s-]+hand)?\s+(?:side|edge|corner|end)\b)?(?:\s+{_FRAME})?"
# Not "to the left of the house", "the right bank", "the left window": sides and things.
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

_DOWN = "fall pour cascade plunge tumble descend plummet drip drop"
_UP = "rise ascend climb"
_IMPLIED = _verbs(f"{_DOWN} rise ascend", ending=("ing", "s"))
_DOWNWARD, _UPWARD = re.compile(_verbs(_DOWN, "fell")), re.compile(_verbs(_UP, "rose"))


@functools.cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """(kind, pattern), surest kinds first. Compiling them takes 0.3 s: at first use, not when ComfyUI starts."""
    return tuple(
        (kind, re.compile(pattern, re.IGNORECASE))
        for kind, pattern in (
            ("phrase", rf"^\s*(?P<way>(?:diagonally\s+)?{_WAYS})\s*[.!]?\s*\Z"),
            ("phrase", rf"(?:\b(?P<verb>{_VERB})\s+{_ADVERBS})?{_MARKED}"),
            (
                "verb",
                rf"\b(?:(?P<first>{_ING})\s+(?:(?:up|down)(?:wards?)?\s+)?and\s+)?(?P<verb>{_VERB}|\w{{3,}}ing\b)\s+{_ADVERBS}"
                rf"(?:(?P<past>{_THROUGH})(?P<there>{_LONG})|(?P<way>{_WAYS})(?:\s+(?P<on>{_THROUGH})(?P<then>{_LONG}))?)",
            ),
            ("verb", rf"\b(?P<way>(?:left|right|up|down)(?:wards?)?)[\s-]+(?P<verb>{_ING})"),
            (
                "verb",
                rf"\b(?P<verb>(?:spray|shoot|spout|puff|spew|belch|blow|push|carr|driv|send|throw)\w*)\s+(?P<on>{_OBJECT})"
                rf"(?P<way>{_WAYS})",
            ),
            ("bare", rf"(?<![\w-])(?P<way>(?:{_HEADED}|{_WAY}|{_WARD}|diagonally\s+{_ANY})(?:{_JOINT}{_ANY})?)"),
            ("adjacent", rf"(?<![\w-])(?P<way>(?:from|towards?)\s+{_THE}{_PLACE}{_EDGE}{_NO_PLACE})"),
            ("implied", rf"\b(?P<verb>{_IMPLIED})"),
        )
    )


# Words about looking, not about moving: "an upward view", "seen from above", "light from the left".
_LOOKING = (
    r"(?:views?|shots?|angle|looks?|looking|gaze|gazing|facing|pointing|perspective|seen|viewed|split|composition|"
    r"panorama)"
)
_VIEW_BEFORE = re.compile(rf"\b{_LOOKING}\s+(?:\w+ly\s+)?$", re.IGNORECASE)
_VIEW_BEHIND = re.compile(rf"[\s-]+{_LOOKING}\b", re.IGNORECASE)


@dataclass(frozen=True)
class DirectionMatch:
    """Words that may state a direction.

    kind: the form, surest first: 'phrase' (one of the twelve, marked), 'verb' (a verb and where to), 'bare' (where to,
    without a verb), 'adjacent' (counts only right behind what moves), 'implied' (a verb that goes up or down by
    itself). verb: in lower case, or ''. angle: degrees. span: in the text. cuts: the spans in it that say nothing else.
    """

    kind: str
    verb: str
    angle: float
    span: tuple[int, int]
    cuts: tuple[tuple[int, int], ...]


def is_motion_verb(verb: str) -> bool:
    """Whether a verb is one of motion, and not only a word in -ing ('babbling', 'painting')."""
    return re.fullmatch(_VERB, verb) is not None


def vertical_sign(verb: str) -> int:
    """1 for verbs that go up by themselves (rise), -1 for those that go down (fall), else 0."""
    return -1 if _DOWNWARD.match(verb) else 1 if _UPWARD.match(verb) else 0


_STEPS = {"left": (-1, 0), "right": (1, 0), "up": (0, 1), "top": (0, 1), "above": (0, 1)}
_STEPS |= {"down": (0, -1), "bottom": (0, -1), "low": (0, -1), "below": (0, -1)}
_STEP = re.compile(rf"({'|'.join(_STEPS)})(?:wards?|hill|per|er)?|(from)|(?:in)?to\b|and|[,&]")
_FROM_TO = re.compile(rf"({_PLACE})(?=(?:\s+(?:side|corner))?{_TO_THE})")


def compass_angle(text: str, vertical: int = 0) -> float | None:
    """The angle of words such as 'down and to the left': one of eight compass points, or None if they cancel out.

    vertical: whether it goes up (1) or down (-1) where the words do not say. The twelve phrases keep their angles.
    """
    text = text.lower()
    phrase = _PHRASE.fullmatch(text.strip())
    if phrase and phrase[2]:
        return phrase_angle(text)
    x = y = 0
    sign = 1
    text = re.sub(rf"{_FRAME}|towards?", lambda m: "to" if m[0][0] == "t" else " ", text)
    for match in _STEP.finditer(_FROM_TO.sub(r"from \1", text)):
        if not match[1]:
            sign = -1 if match[2] else 1
            continue
        dx, dy = _STEPS[match[1]]
        # "upwards" and "down" are never where it comes from.
        factor = 1 if re.fullmatch(r"(?:up|down)(?:hill)?|\w+wards?", match[0]) else sign
        x, y = x + factor * dx, y + factor * dy
    y = y or vertical
    return math.degrees(math.atan2((y > 0) - (y < 0), (x > 0) - (x < 0))) % 360.0 if x or y else None


def find_matches(text: str) -> Iterator[DirectionMatch]:
    """Everything in the text that may be a direction, surest kinds first; matches of different kinds may overlap."""
    for kind, pattern in _patterns():
        for match in pattern.finditer(text):
            groups = {name: group.lower() for name, group in match.groupdict("").items()}
            verb = groups.get("verb", "")
            slope = re.match(r"(?:up|down)\b", groups.get("past", ""))
            ways = [name for name in ("way", "then", "there") if groups.get(name)]
            stated = [groups[name] for name in ways] + ([slope[0]] if slope else [])
            vertical = vertical_sign(groups.get("first", "")) or vertical_sign(verb)
            is_marked = kind == "phrase" and not ways
            angle = phrase_angle(match[0]) if is_marked else compass_angle(", ".join(stated), vertical)
            before = text[max(0, match.start() - 60) : match.start()]
            is_view = _VIEW_BEFORE.search(before) or _VIEW_BEHIND.match(text, match.end())
            if angle is None or (is_view and kind in ("bare", "adjacent")):
                continue
            between = groups.get("past") or groups.get("on")
            cuts = tuple(map(match.span, ways)) if between else (match.span(),)
            yield DirectionMatch(kind, verb, angle, match.span(), cuts)
