"""Help pages: every node has one, with a picture that is there and small."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

REPO = Path(__file__).parent.parent
PAGES = sorted((REPO / "js" / "docs").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_picture_is_there(page: Path) -> None:
    named = re.findall(r"!\[[^\]]{10,}\]\(([^)]+)\)", page.read_text(encoding="utf-8"))
    assert f"pictures/{page.stem}.webp" in named
    for name in named:
        file = page.parent / name
        assert file.stat().st_size < 100_000
        with Image.open(file) as picture:
            assert min(picture.size) >= 100


def test_no_picture_is_left_over() -> None:
    named = {page.stem for page in PAGES} | {"editor_tour"}
    assert {file.stem for file in (REPO / "js" / "docs" / "pictures").iterdir()} == named


def test_the_pictures_of_the_readme_are_there() -> None:
    named = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (REPO / "README.md").read_text(encoding="utf-8"))
    assert len(named) >= 5
    assert sum((REPO / name).stat().st_size for name in named) < 8_000_000


def test_every_link_of_the_documents_leads_somewhere_and_every_document_is_linked() -> None:
    documents = [REPO / "README.md", REPO / "CONTRIBUTING.md", *sorted((REPO / "docs").glob("*.md"))]
    linked = set()
    for document in documents:
        for name in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8")):
            target = (document.parent / name).resolve()
            assert target.exists(), f"{document.name}: {name}"
            linked.add(target)
    assert {d.resolve() for d in documents[1:]} <= linked
