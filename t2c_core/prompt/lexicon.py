"""Word lists of prompts, in lower case and both numbers, and the grammar that tells which word is meant."""

from __future__ import annotations

import re

from ..errors import InputError
from ..fluids import ABOVE_FAMILIES, FLUIDS, plural


def _both_numbers(text: str) -> frozenset[str]:
    return frozenset(form for word in text.split() for form in (word, plural(word)))


def _words_of(*classes: str) -> frozenset[str]:
    """The single words of classes of the table; 'a rapid river', 'in the fall': no fluids in the singular."""
    words = " ".join(word for name in classes for word in FLUIDS[name].words if " " not in word)
    return _both_numbers(words) - {"rapid", "fall"}


_SWAYING = ("flag", "grass")
MOVING_WORDS = _words_of(*(name for name in FLUIDS if name not in _SWAYING))
"""What can move in a cinemagraph."""
SWAYING_WORDS = _words_of(*_SWAYING)
"""What moves in its place, and only where it was asked for: a direction or a pace may be said of it."""
FLUID_WORDS = MOVING_WORDS | SWAYING_WORDS
CAN_FALL = _words_of("water", "river", "waterfall", "lava", "fog", "rain", "snow") | {"ash", "ashes"}
CAN_RISE = _words_of("fountain", "bubble", "cloud", "fog", "smoke", "steam", "fire", "fireplace", "lava")
AIRY = _words_of("sky", "cloud", "fog", "smoke", "steam", "snow")
"""What drifts."""
ABOVE = _words_of(*(name for name, fluid in FLUIDS.items() if fluid.family in ABOVE_FAMILIES))
"""What is above other things where nothing says where it is."""

NON_FLUID_MOVERS = _both_numbers(
    "boat ship sailboat canoe train car bus plane balloon kite bird duck swan fish person people man men woman women "
    "girl boy child children kid dog cat horse cow deer hiker runner tourist viewer light sunlight sunbeam ray shadow "
    "star sun moon leaf leaves petal traffic day night darkness autumn winter spring season evening hand arm camera"
)
"""What goes somewhere without flowing."""
STANDING = _both_numbers(
    "road path trail street stairs step staircase ladder railway track bridge wall fence hill mountain cliff tower "
    "castle temple tree rock island volcano volcanoes skyscraper city town house valley building rainbow pier"
)
"""What stands but is said to run, climb or rise."""
VERBS_AND_NOUNS = _both_numbers(
    "fall stream cascade wind head pass run race surge roll spray jet drop slide spring blow come climb fly rush"
)
"""'falls to the left' may be a place: these are verbs only right behind what moves."""
SCENE_WORDS = (
    MOVING_WORDS
    | STANDING
    | _both_numbers(
        "boulder stone canyon gorge cave beach shore coast coastline bay desert dune glacier iceberg plain meadow "
        "field forest wood woodland jungle rainforest pine palm willow birch oak bamboo bush grass moss fern flower "
        "leaf leaves garden park hut cottage cabin village skyline pagoda church cathedral ruin lighthouse harbor "
        "harbour dock boat ship sailboat canoe windmill mill barn farm dam sun sunset sunrise moon star horizon night "
        "day dawn dusk twilight morning evening winter summer autumn spring landscape scenery seascape cityscape "
        "countryside swamp marsh wetland reef waterside riverbank bank lakeside vineyard orchard statue gate arch "
        "chimney factory train station sand ice pebble shell cactus hot-spring terrace amphitheater ravine fjord "
        "cliffside hillside mountainside treehouse greenery vegetation foliage cove cape peninsula delta estuary bog "
        "tundra savanna prairie steppe plateau ridge peak summit slope crater oasis grotto cavern ledge gravel mud "
        "driftwood log reed lily lotus lavender sunflower wheat heather ivy vine blossom cherry cypress maple fir "
        "spruce cedar redwood rose tulip hedge branch shrine torii monastery palace fortress mansion chapel pavilion "
        "gazebo lane alley square market plaza quay wharf loch gondola frost icicle moonlight sunlight person people "
        "man men woman women girl boy child children bird duck swan deer horse fish"
    )
)
"""What a scene is made of."""

MAX_LENGTH = 20_000
"""Characters of a prompt. Reading takes longer by the square of its length: of the worst of this length 2 s."""
_WORD = re.compile(r"[A-Za-zÀ-ÿ]+(?:-[A-Za-zÀ-ÿ]+)*")
CLAUSE = re.compile(r"[,;.:!?\n]|\b(?:and|while|with)\b", re.IGNORECASE)
_PREPOSITION = (
    r"(?:from|over|into|onto|in|on|at|off|down|up|through|to|towards?|above|below|beneath|behind|between|among|beside|by|"
    r"near|under|out|of|with|and|or|while|as|along|across|around|against|inside|before|after|amid|during|like|for)"
)
_NOUN_PHRASE = re.compile(
    rf"[\s-]+(?:(?!{_PREPOSITION}\b)[\w-]+\s+){{0,2}}?({'|'.join(sorted(FLUID_WORDS))})\b", re.IGNORECASE
)
CLAUSE_END = re.compile(rf"\s*(?:$|[,;.:!?()\[\]]|(?:{_PREPOSITION}|\w+ly|hard|everywhere|again)\b)", re.IGNORECASE)


def check_length(text: str, input: str) -> None:
    """Raise InputError(input) for a text longer than MAX_LENGTH."""
    if len(text) > MAX_LENGTH:
        problem = f"has {len(text):,} characters; at most {MAX_LENGTH:,} are read."
        raise InputError(input, problem, "Shorten it.")


def normalize_whitespace(text: str) -> str:
    """Single spaces, no comma twice or at an end."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\s+([,;.])", r"\1", text)
    text = re.sub(r"([,;.])(?:\s*[,;.])+", r"\1", text)
    return text.strip(" ,;.")


def words(text: str) -> list[tuple[str, int]]:
    """(word in lower case, where it starts) of every word."""
    return [(match[0].lower(), match.start()) for match in _WORD.finditer(text)]


def noun_behind(text: str, end: int) -> str | None:
    """'stream' for the place behind 'flowing' in 'a downwards flowing mountain stream'."""
    match = _NOUN_PHRASE.match(text, end)
    return match[1].lower() if match else None
