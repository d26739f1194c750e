"""Atomic writes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from t2c_core.io.files import atomic_write


def write(target: Path, text: str) -> None:
    with atomic_write(target) as temporary:
        assert temporary.parent == target.parent and temporary.suffix == target.suffix
        temporary.write_text(text)


def test_a_file_appears_and_is_replaced(tmp_path):
    for text in ("one", "two"):
        write(tmp_path / "a.txt", text)
        assert [(f.name, f.read_text()) for f in tmp_path.iterdir()] == [("a.txt", text)]


def test_a_folder_replaces_a_folder(tmp_path):
    for name in ("x", "y"):
        with atomic_write(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / name).touch()
        assert [f.name for f in tmp_path.rglob("*")] == ["folder", name]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_all_as_it_was(tmp_path, error):
    write(tmp_path / "a.txt", "old")
    with pytest.raises(error), atomic_write(tmp_path / "a.txt") as temporary:
        temporary.write_text("half")
        raise error
    assert [(f.name, f.read_text()) for f in tmp_path.iterdir()] == [("a.txt", "old")]


def test_nothing_written_is_an_error_and_keeps_the_old_file(tmp_path):
    write(tmp_path / "a.txt", "old")
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a.txt"):
        pass
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_folder_is_looked_through_once(tmp_path):
    """With every write, 10,000 records would take reading 10,000 times 10,000 names."""
    seen = []
    sys.addaudithook(lambda event, values: seen.append(values[0]) if event == "os.scandir" else None)
    for number in range(3):
        write(tmp_path / f"{number}.txt", "record")
    assert [Path(path) for path in seen if path is not None].count(tmp_path) == 1
