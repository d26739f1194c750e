"""The table of fluids: every class of what moves, its words, and how it usually moves.

A word belongs to one class ('brook' to river), a class to one family. Classes of a family run into each other: a fall
into its river, a river into the sea; those of different families do not, however close they are in the image. Prompts,
segmentation models and motion fields all read this table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class MotionPrior:
    """How a class moves where nothing else says it.

    angle: degrees counter-clockwise from +x, or None: along its banks, out of the distance towards the viewer. speed:
    relative to a river. frames: length of a loop; slow things with shapes of their own need long ones (the paper takes
    60 for falls and 120 for the sea).
    """

    angle: float | None
    speed: float
    frames: int


DEFAULT_PRIOR = MotionPrior(0.0, 1.0, 60)
"""Of classes that are not in the table."""


@dataclass(frozen=True)
class Fluid:
    """One class: its family, its words in the singular, its usual motion."""

    family: str
    words: tuple[str, ...]
    prior: MotionPrior


def _fluid(family: str, angle: float | None, speed: float, frames: int, words: str) -> Fluid:
    return Fluid(family, tuple(words.split(", ")), MotionPrior(angle, speed, frames))


FLUIDS: dict[str, Fluid] = {
    "water": _fluid("water", 0.0, 0.8, 90, "water, water body, body of water, open water, water surface"),
    "sea": _fluid(
        *("water", 0.0, 0.6, 120),
        "sea, ocean, seawater, sea water, ocean water, wave, surf, tide, swell, breaker, foam",
    ),
    "river": _fluid(
        *("water", None, 1.0, 60),
        "river, stream, creek, brook, canal, rapid, whitewater, whirlpool, waterway, water course, river water",
    ),
    "waterfall": _fluid("water", 270.0, 1.5, 60, "waterfall, fall, cascade, cataract"),
    "lake": _fluid("water", 0.0, 0.4, 120, "lake, pond, lagoon, reservoir, puddle, lake water"),
    "swimming pool": _fluid("water", 0.0, 0.4, 120, "swimming pool, pool, swimming bath, natatorium"),
    "fountain": _fluid("fountain", 90.0, 1.2, 60, "fountain, geyser, water jet"),
    "bubble": _fluid("fountain", 90.0, 0.6, 90, "bubble"),
    "sky": _fluid("sky", 0.0, 0.25, 120, "sky, storm, aurora, nebula, galaxy"),
    "cloud": _fluid("sky", 0.0, 0.25, 120, "cloud"),
    "fog": _fluid("sky", 0.0, 0.25, 120, "fog, mist, haze, dust, sandstorm, tornado"),
    "smoke": _fluid("smoke", 90.0, 0.7, 90, "smoke, ash"),
    "steam": _fluid("smoke", 90.0, 0.8, 90, "steam, vapor, vapour"),
    "fire": _fluid(
        *("fire", 90.0, 1.2, 60), "fire, flame, campfire, bonfire, torch, candle, wildfire, blaze, ember, spark"
    ),
    "fireplace": _fluid("fire", 90.0, 1.2, 60, "fireplace, hearth, open fireplace"),
    "lava": _fluid("lava", None, 0.3, 120, "lava, magma"),
    "rain": _fluid("rain", 270.0, 2.0, 60, "rain, downpour, drizzle"),
    "snow": _fluid("rain", 270.0, 0.6, 120, "snow, snowfall, snowflake, blizzard"),
    "flag": _fluid("flag", 0.0, 0.6, 60, "flag, banner, streamer"),
    "grass": _fluid("grass", 0.0, 0.3, 90, "grass, wheat, reed, meadow grass, cornfield"),
}
FLUID_CLASSES: tuple[str, ...] = tuple(FLUIDS)
DEFAULT_CLASSES: tuple[str, ...] = tuple(
    name for name in FLUIDS if name not in {"bubble", "sky", "fireplace", "rain", "snow", "flag", "grass"}
)
"""The classes looked for where nobody says what moves. What data sets call snow lies on the ground, and a fireplace is
mostly its surround."""
CONFUSABLE_WATER = frozenset({"water", "sea", "river", "lake", "swimming pool"})
"""Waters that lie level: models take them for each other."""
ABOVE_FAMILIES = frozenset({"sky", "smoke", "rain"})
"""Families that are above others in an image where nothing says where they are."""


def singular(word: str) -> str:
    """A word in lower case without the ending of its plural: 'Waves' -> 'wave', 'grasses' -> 'grass'."""
    word = word.lower()
    if re.search(r"(ss|sh|ch|x)es$", word):
        return word[:-2]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word


def plural(word: str) -> str:
    """The regular plural of a word in lower case: 'wave' -> 'waves', 'sky' -> 'skies', 'torch' -> 'torches'."""
    if re.search(r"(s|sh|ch|x)$", word):
        return word + "es"
    return word[:-1] + "ies" if re.search(r"[^aeiou]y$", word) else word + "s"


def normalize(text: str) -> str:
    """Words in lower case and singular with single spaces: 'Swimming  pools' -> 'swimming pool'."""
    return " ".join(map(singular, text.split()))


_CLASS_OF_WORD = {normalize(word): name for name, fluid in FLUIDS.items() for word in fluid.words}


def fluid_class(text: str) -> str | None:
    """The class a word or an expression in either number means, or None: 'brooks' -> 'river'."""
    return _CLASS_OF_WORD.get(normalize(text))


def family_of(name: str) -> str:
    """The family of a class; anything unknown is a family of its own."""
    return FLUIDS[name].family if name in FLUIDS else name


def motion_prior(text: str) -> MotionPrior:
    """How the class that a word or a region's label means usually moves; DEFAULT_PRIOR for anything unknown."""
    name = fluid_class(text)
    return FLUIDS[name].prior if name else DEFAULT_PRIOR


def is_hyponym(name: str, by: str) -> bool:
    """Whether words for the class ``by`` mean things of ``name`` as well: 'water' means rivers, 'sky' its clouds."""
    if name == by:
        return True
    return (by == "water" and family_of(name) in ("water", "fountain")) or (by == "sky" and name == "cloud")
