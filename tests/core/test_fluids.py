"""Kinds of what moves: words for them, data sets' names for them, and how fast a prompt says they are."""

from __future__ import annotations

import pytest

from t2c_core.errors import InputError
from t2c_core.fluids import DEFAULT_CLASSES, FLUID_CLASSES, family_of, fluid_class, is_hyponym
from t2c_core.prompt.lexicon import MOVING_WORDS, SWAYING_WORDS
from t2c_core.prompt.parse import FAST, SLOW, parse_frame_count, parse_speed_factors
from t2c_core.segment.models.labels import class_names, label_of, match_classes, parse_or_default
from t2c_core.segment.vocabulary import DEFAULT_VOCABULARY


def listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


ADE = listed(
    "wall, building, sky, tree, road, grass, water, sea, river, lake, fountain, swimming pool, waterfall, flag, "
    "fireplace, pool table, tank, streetlight, sink, screen door, bathtub, land, sand"
)
ADE_LONG = ["waterfall;falls", "swimming pool, swimming bath, natatorium", "fireplace, hearth, open fireplace", "sea"]
COCO = [
    "river",
    "sea",
    "water-other",
    "sky-other-merged",
    "grass-merged",
    "snow",
    "fire hydrant",
    "sand",
    "boat",
    "cup",
]
COCO_STUFF = ["clouds", "fog", "sky-other", "water-other", "waterdrops", "river", "sea", "flower", "moss"]
VISTAS = ["nature--water", "nature--sky", "nature--snow", "construction--flat--road", "object--manhole"]


def found(names: list[str], words: str) -> dict[str, str]:
    return {
        names[number]: label for number, label in match_classes(dict(enumerate(names)), parse_or_default(words)).items()
    }


def test_every_moving_word_has_a_kind() -> None:
    assert [word for word in (*MOVING_WORDS, *SWAYING_WORDS) if fluid_class(word) is None] == []
    assert set(DEFAULT_CLASSES) < set(FLUID_CLASSES)
    assert not {"snow", "fireplace", "flag", "grass"} & set(DEFAULT_CLASSES)


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("Brooks", "river"),
        ("falls", "waterfall"),
        ("Swimming  pools", "swimming pool"),
        ("vapour", "steam"),
        ("waves", "sea"),
        ("torches", "fire"),
        ("skies", "sky"),
        ("chair", None),
    ],
)
def test_words_mean_kinds(word: str, kind: str | None) -> None:
    assert fluid_class(word) == kind


def test_families() -> None:
    assert family_of("waterfall") == family_of("sea") == "water"
    assert family_of("fire") != family_of("smoke") != family_of("sky")
    assert family_of("windmill") == "windmill"
    assert is_hyponym("river", "water") and is_hyponym("fountain", "water") and is_hyponym("cloud", "sky")
    assert not is_hyponym("water", "river") and not is_hyponym("sky", "cloud")


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("waterfall, falls", ("waterfall", "fall")),
        ("sky-other-merged", ("sky",)),
        ("swimming_pool/natatorium", ("swimming pool", "natatorium")),
        ("nature--water", ("nature", "water")),
        ("other", ()),
    ],
)
def test_names_in_a_label(label: str, names: tuple[str, ...]) -> None:
    assert class_names(label) == names


def test_the_default_vocabulary_means_all_water() -> None:
    water = {"water": "water", "sea": "sea", "river": "river", "lake": "lake", "fountain": "fountain"}
    assert found(ADE, DEFAULT_VOCABULARY) == {**water, "swimming pool": "swimming pool", "waterfall": "waterfall"}
    assert found(COCO, DEFAULT_VOCABULARY) == {"river": "river", "sea": "sea", "water-other": "water"}
    assert found(VISTAS, "river, water") == {"nature--water": "water"}
    assert list(found(ADE_LONG, "falls, pools")) == ADE_LONG[:2]


def test_one_word_means_its_synonyms_and_no_more() -> None:
    assert found(ADE, "ocean") == {"sea": "sea"}
    assert found(ADE, "brook; flags") == {"river": "river", "flag": "flag"}
    assert found(COCO, "grass, snow") == {"grass-merged": "grass", "snow": "snow"}
    assert found(ADE, "tree") == {"tree": "tree"}


ADE_OWN = [
    "wall", "sky", "water", "sea", "river", "lake", "fountain", "flag", "waterfall;falls",
    "swimming;pool;swimming;bath;natatorium", "pool;table;billiard;table;snooker;table",
    "fireplace;hearth;open;fireplace", "streetlight;street;lamp",
    "ashcan;trash;can;garbage;can;wastebin;ash;bin;ash-bin;ashbin;dustbin;trash;barrel;trash;bin",
]  # fmt: skip
"""From the list the data set comes with: semicolons stand for blanks as well."""


def test_semicolons_for_blanks() -> None:
    water = {"water", "sea", "river", "lake", "fountain", "waterfall;falls", "swimming;pool;swimming;bath;natatorium"}
    assert set(found(ADE_OWN, DEFAULT_VOCABULARY)) == water
    assert found(ADE_OWN, "swimming pool")["swimming;pool;swimming;bath;natatorium"] == "swimming pool"
    assert found(ADE_OWN, "fireplace") == {"fireplace;hearth;open;fireplace": "fireplace"}
    with pytest.raises(InputError, match="means none of the model's 14 classes"):
        found(ADE_OWN, "smoke, pool table 2")


@pytest.mark.parametrize(
    ("label", "kind"),
    [("water_body", "water"), ("open-water", "water"), ("Sea Water", "sea"), ("river water", "river")],
)
def test_water_by_other_names(label: str, kind: str) -> None:
    assert found([label], "water") == {label: kind}


def test_clouds_are_the_sky_where_there_are_none() -> None:
    assert found(ADE, "clouds") == {"sky": "sky"}
    assert found(COCO_STUFF, "clouds") == {"clouds": "cloud"}
    assert found(COCO_STUFF, "sky") == {"clouds": "cloud", "sky-other": "sky"}


def test_words_inside_other_names_mean_nothing() -> None:
    with pytest.raises(InputError, match="'fireplace, hearth'") as caught:
        found(["pool table", "fire hydrant", "fireplace, hearth", "waterdrops"], "fire, pool, water")
    assert str(caught.value).startswith("vocabulary: (fire, pool, water) means none of the model's 4 classes.")
    with pytest.raises(InputError, match="none that this pack knows to move"):
        found(["chair"], ",".join(f"x{i}" for i in range(9)))


def test_an_empty_vocabulary_is_all_that_flows() -> None:
    assert parse_or_default(" , ") == DEFAULT_CLASSES
    moving = set(found(ADE, ""))
    assert {"water", "sky", "fountain"} <= moving and not {"fireplace", "grass", "flag"} & moving
    assert "snow" not in found(COCO, "")


def test_labels_of_regions() -> None:
    assert [label_of(name) for name in ("ocean", "water-other", "Windmill, mill", "waterfall, falls")] == [
        "sea",
        "water",
        "windmill",
        "waterfall",
    ]


@pytest.mark.parametrize(
    ("text", "paces"),
    [
        ("a rushing river and clouds drifting slowly to the left", {"river": FAST, "clouds": SLOW}),
        ("water flowing slowly and gently", {"water": SLOW}),
        ("a calm sea under fast clouds", {"sea": SLOW, "clouds": FAST}),
        ("clouds that race over a quiet lake", {"clouds": FAST, "lake": SLOW}),
        ("a river rushing over falls", {"river": FAST}),
        ("everything moves slowly", {None: SLOW}),
        ("smoke rising, swiftly", {"smoke": FAST}),
        ("a lake with rapids", {}),
        ("slow-motion waves", {}),
        ("", {}),
    ],
)
def test_paces(text: str, paces: dict[str | None, float]) -> None:
    assert parse_speed_factors(text) == paces


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("a loop of 90 frames", 90),
        ("a 120-frame loop of the sea", 120),
        ("30 frames per second", None),
        ("1 frame", None),
        ("three windows with frames", None),
    ],
)
def test_frames_in_words(text: str, frames: int | None) -> None:
    assert parse_frame_count(text) == frames
