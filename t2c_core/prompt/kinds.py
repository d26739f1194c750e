"""The kinds of things that move, by all the words people and data sets have for them.

A word belongs to one kind ('brook' to river), a kind to one family. Kinds of a family run into each other: a fall into
its river, a river into the sea; those of different families do not, however close they are in the picture.
"""

from __future__ import annotations

import re

_KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    # kind: (family, all its words)
    "water": ("water", ("water", "water body", "body of water", "open water", "water surface", "bubble")),
    "sea": (
        "water",
        ("sea", "ocean", "seawater", "sea water", "ocean water", "wave", "surf", "tide", "swell", "breaker", "foam"),
    ),
    "river": (
        "water",
        (
            *("river", "stream", "creek", "brook", "canal", "rapid", "whitewater", "whirlpool", "waterway"),
            *("water course", "river water"),
        ),
    ),
    "waterfall": ("water", ("waterfall", "fall", "cascade", "cataract")),
    "lake": ("water", ("lake", "pond", "lagoon", "reservoir", "puddle", "lake water")),
    "swimming pool": ("water", ("swimming pool", "pool", "swimming bath", "natatorium")),
    "fountain": ("fountain", ("fountain", "geyser", "water jet")),
    "sky": ("sky", ("sky", "storm", "aurora", "nebula", "galaxy")),
    "cloud": ("sky", ("cloud",)),
    "fog": ("sky", ("fog", "mist", "haze", "dust", "sandstorm", "tornado")),
    "smoke": ("smoke", ("smoke", "ash")),
    "steam": ("smoke", ("steam", "vapor", "vapour")),
    "fire": (
        "fire",
        ("fire", "flame", "campfire", "bonfire", "torch", "candle", "wildfire", "blaze", "ember", "spark"),
    ),
    # Its surround stands still: found only where it is asked for by name.
    "fireplace": ("fire", ("fireplace", "hearth", "open fireplace")),
    "lava": ("lava", ("lava", "magma")),
    "rain": ("rain", ("rain", "downpour", "drizzle")),
    # What data sets call snow lies on the ground.
    "snow": ("rain", ("snow", "snowfall", "snowflake", "blizzard")),
    "flag": ("flag", ("flag", "banner", "streamer")),
    "grass": ("grass", ("grass", "wheat", "reed", "meadow grass", "cornfield")),
}

KINDS: tuple[str, ...] = tuple(_KINDS)
FLOWING: tuple[str, ...] = tuple(
    kind for kind in KINDS if kind not in {"sky", "fireplace", "rain", "snow", "flag", "grass"}
)
"""The kinds looked for where nobody says what moves."""
LEVEL = frozenset({"water", "sea", "river", "lake", "swimming pool"})
"""Waters that lie level: models take them for each other."""


def singular(word: str) -> str:
    """A word in lower case without the ending of its plural: 'Waves' -> 'wave', 'grasses' -> 'grass'."""
    word = word.lower()
    if re.search(r"(ss|sh|ch|x)es$", word):
        return word[:-2]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def plain(text: str) -> str:
    """Words in lower case and singular with single spaces: 'Swimming  pools' -> 'swimming pool'."""
    return " ".join(map(singular, text.split()))


_OF_WORD = {plain(word): kind for kind, (_, words) in _KINDS.items() for word in words}


def kind_of(text: str) -> str | None:
    """The kind a word or an expression in either number means, or None: 'brooks' -> 'river'."""
    return _OF_WORD.get(plain(text))


def family_of(kind: str) -> str:
    """The family of a kind; anything unknown is a family of its own."""
    return _KINDS[kind][0] if kind in _KINDS else kind


def is_meant(kind: str, by: str) -> bool:
    """Whether words for the kind ``by`` mean things of ``kind`` as well: 'water' means rivers, 'sky' its clouds."""
    if kind == by:
        return True
    return (by == "water" and family_of(kind) in ("water", "fountain")) or (by == "sky" and kind == "cloud")
