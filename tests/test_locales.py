"""Translations are complete: the same keys as English, the same placeholders and values that the program reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

LOCALES = Path(__file__).parent.parent / "locales"
LANGUAGES = ("zh", "ja", "fr")
FILES = ("main.json", "nodeDefs.json")
OWN_LETTERS = {"zh": r"[一-鿿]", "ja": r"[ぁ-ヿ一-鿿]", "fr": r"[A-Za-zéèêàçôœ]"}
SAME_IN_FRENCH = {"angle", "arrows", "attention", "direction", "format", "image", "images", "latent", "perspective",
                  "prompt", "style"}  # fmt: skip
NAMES = {"Text2Cinemagraph"}
# What the user has to choose or type exactly so: quoted in English, and it must stay English.
CHOSEN = re.compile(
    r"'(gather|splat|rk4|bilinear|nearest|fluid solver|network|from prompt|custom angle|arrows only|paper|soft|auto|"
    r"contrast|linear|move|freeze|erase|from picture|hints|mask|attention|model|Rebatch Images|spectral|kmeans|off|"
    r"clean|python -m t2c_core convert)'"
)


def values(tree: dict, path: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from values(value, f"{path}/{key}")
        else:
            yield f"{path}/{key}", value


def read(language: str, name: str) -> dict[str, str]:
    return dict(values(json.loads((LOCALES / language / name).read_text(encoding="utf-8"))))


def test_these_languages_are_there() -> None:
    assert sorted(folder.name for folder in LOCALES.iterdir()) == sorted(("en", *LANGUAGES))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_missing_and_nothing_left_over(language: str, name: str) -> None:
    own, english = read(language, name), read("en", name)
    assert sorted(set(english) - set(own)) == []
    assert sorted(set(own) - set(english)) == []
    assert [path for path, text in own.items() if not text.strip()] == []


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_is_translated(language: str, name: str) -> None:
    english = read("en", name)
    same = {text for path, text in read(language, name).items() if text == english[path]} - NAMES
    assert same <= (SAME_IN_FRENCH if language == "fr" else set())
    # Abbreviations stay as they are; every sentence has letters of its language.
    long = [text for text in read(language, name).values() if len(text) > 12 and text not in NAMES]
    assert [text for text in long if not re.search(OWN_LETTERS[language], text)] == []


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_program_reads_is_kept(language: str, name: str) -> None:
    english = read("en", name)
    for path, text in read(language, name).items():
        for pattern in (r"%\w+%", r"\b\d+x\d+\b", CHOSEN):
            assert sorted(re.findall(pattern, text)) == sorted(re.findall(pattern, english[path])), (path, text)
        if path.endswith("tooltip") and re.search(r"\d{2,}", english[path]):
            assert set(re.findall(r"\d{2,}", text)) == set(re.findall(r"\d{2,}", english[path])), (path, text)


def test_every_sentence_of_the_editor_is_used() -> None:
    code = "\n".join(file.read_text(encoding="utf-8") for file in (LOCALES.parent / "js").rglob("*.js"))
    keys = json.loads((LOCALES / "en" / "main.json").read_text(encoding="utf-8"))["text2cinemagraph"]["editor"]
    assert [key for key in keys if f'"{key}"' not in code] == []
