"""Which of a model's classes the words of a vocabulary mean: ADE20K, COCO and others name them differently."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence

from ...errors import InputError
from ...fluids import DEFAULT_CLASSES, FLUID_CLASSES, fluid_class, is_hyponym, normalize
from ..vocabulary import parse_vocabulary

_FILLERS = frozenset({"other", "merged", "stuff", "thing"})
INPUT = "segmentation_model"
"""What errors about models call their input."""


def parse_or_default(text: str) -> tuple[str, ...]:
    """The entries of a vocabulary, singular; of an empty one the kinds that flow by themselves."""
    return parse_vocabulary(text) if re.search(r"\w", text) else DEFAULT_CLASSES


def class_names(label: str) -> tuple[str, ...]:
    """All names in a class's label, plain: 'waterfall, falls' -> waterfall, fall; 'sky-other-merged' -> sky."""
    parts = re.split(r"[,;/|()]|--", label)
    if ";" in label and not re.search(r"[\s,]", label):
        parts = _pairs(parts)
    words = (re.sub(r"[-_]", " ", part).split() for part in parts)
    names = (normalize(" ".join(word for word in part if word.lower() not in _FILLERS)) for part in words)
    return tuple(dict.fromkeys(name for name in names if name))


def _pairs(parts: Sequence[str]) -> Sequence[str]:
    """The names in 'pool;table;billiard;table', as ADE20K's own list writes 'pool table, billiard table'.

    No name is repeated where semicolons stand between names alone. Where they stand for blanks as well, single words
    are parts of names: every two in a row may be one.
    """
    plain_parts = [normalize(part) for part in parts]
    if len(set(plain_parts)) == len(plain_parts):
        return parts
    return [f"{first} {second}" for first, second in itertools.pairwise(parts)]


def label_of(text: str) -> str:
    """The label of a region: the kind that a class's or an entry's name means, else its first name."""
    names = class_names(text) or (normalize(text),)
    return next((kind for name in names if (kind := fluid_class(name))), names[0])


def match_classes(labels: Mapping[int, str], vocabulary: Sequence[str]) -> dict[int, str]:
    """{number of a class: label of its region} for the classes the vocabulary's entries mean, in the classes' order.

    A class is meant by its own name, by words of its kind ('ocean' means the class 'sea'), 'water' means every body of
    water, 'sky' its clouds; 'cloud' means the class 'sky' where there is none of clouds. Names count as a whole:
    'water' does not mean 'water bottle', nor 'fire' 'fire hydrant'.
    Raises InputError('vocabulary') if none is meant, naming those of the classes that could move.
    """
    names = {number: class_names(label) for number, label in labels.items()}
    kinds = {number: {kind for name in of if (kind := fluid_class(name))} for number, of in names.items()}
    clouds = any("cloud" in of for of in kinds.values())
    found: dict[int, str] = {}
    for number, label in labels.items():
        for entry in vocabulary:
            asked = fluid_class(entry)
            if asked == "cloud" and not clouds:
                asked = "sky"
            if entry in names[number] or (asked and any(is_hyponym(kind, asked) for kind in kinds[number])):
                found[number] = label_of(label)
    if not found:
        known = list(dict.fromkeys(label for number, label in labels.items() if kinds[number] & set(FLUID_CLASSES)))
        listed = ", ".join(f"'{label}'" for label in known) or "none that this pack knows to move"
        asked_for = ", ".join(vocabulary[:6]) + (" ..." if len(vocabulary) > 6 else "")
        raise InputError(
            "vocabulary",
            f"({asked_for}) means none of the model's {len(labels)} classes.",
            f"Its classes that can move: {listed}.",
        )
    return found
