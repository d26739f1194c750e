"""The editor speaks the page's language."""

from __future__ import annotations

import json
import re

import pytest

from scripts.paths import REPO
from tests.browser.comfy_page import ComfyPage

MODULES = "/extensions/ComfyUI-Text2Cinemagraph/editor"
LANGUAGES = sorted(folder.name for folder in (REPO / "locales").iterdir())


def sentences(language: str) -> dict[str, str]:
    file = REPO / "locales" / language / "main.json"
    return json.loads(file.read_text(encoding="utf-8"))["text2cinemagraph"]["editor"]


def test_english_arrives_in_the_page(page: ComfyPage) -> None:
    english = sentences("en")
    code = f"async (keys) => {{ const {{ t }} = await import('{MODULES}/i18n.js'); return keys.map((k) => t(k)); }}"
    assert page.js(code, list(english)) == [re.sub(r"%\w+%", "", text) for text in english.values()]


@pytest.mark.parametrize("language", [name for name in LANGUAGES if name != "en"])
def test_other_languages_arrive_in_the_page(page: ComfyPage, language: str) -> None:
    code = f"""async (language) => {{
        const i18n = await import("{MODULES}/i18n.js?" + language);
        await i18n.loadTranslations(app.api, language);
        return [i18n.t("clear"), i18n.t("tooMany", {{ count: 7, name: "pins", most: 3 }})];
    }}"""
    clear, many = page.js(code, language)
    expected = sentences(language)
    assert clear == expected["clear"] != sentences("en")["clear"]
    assert "7" in many and "3" in many and "%" not in many
