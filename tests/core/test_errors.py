"""Errors name a reason only where it was found."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from t2c_core.errors import InputError, first_line
from t2c_core.io import weights
from t2c_core.io.files import read_json
from t2c_core.io.images import load_image, load_mask
from t2c_core.io.weights import read_weights


def denied(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied", "some file")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError("\n one\n"), "one"),
        (KeyError(), "KeyError"),
        (PermissionError(13, "Permission denied", "x"), "Permission denied"),
    ],
)
def test_first_line(error, line):
    assert first_line(error) == line


def test_files_that_may_not_be_read_are_not_called_damaged(tmp_path, monkeypatch):
    for name in ("a.pth", "a.png", "model/config.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    monkeypatch.setattr(torch, "load", denied)
    monkeypatch.setattr(Image, "open", denied)
    monkeypatch.setattr("pathlib.Path.read_bytes", denied)
    for read in (
        lambda: read_weights(tmp_path / "a.pth"),
        lambda: load_image(tmp_path / "a.png"),
        lambda: load_mask(tmp_path / "a.png", 4, 4),
        lambda: read_json(tmp_path / "model" / "config.json", "checkpoint"),
    ):
        with pytest.raises(InputError) as caught:
            read()
        text = str(caught.value)
        assert "cannot be read (" in text and "Permission denied" in text, text
        assert "cut off" not in text and "JSON" not in text and "damaged" not in text, text


def test_a_full_memory_is_named(tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: not enough memory")

    (tmp_path / "a.pth").write_bytes(b"x")
    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(InputError, match="Is it cut off"):  # there is room for the one byte that the file has
        read_weights(tmp_path / "a.pth")
    monkeypatch.setattr(weights, "_is_free", lambda size: False)
    with pytest.raises(RuntimeError, match="not enough memory"):
        read_weights(tmp_path / "a.pth")
