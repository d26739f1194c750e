"""The templates' pictures are in ComfyUI's input folder after a start, and nobody's file is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.paths import REPO
from tests.conftest import start_server

PICTURES = ("t2c_mountain_sky.jpg", "t2c_starry_night.jpg", "t2c_stream.jpg")
pytestmark = [pytest.mark.comfyui, pytest.mark.slow]


def test_they_are_put_once_and_replace_nothing(tmp_path: Path) -> None:
    inputs = tmp_path / "input"
    inputs.mkdir()
    (inputs / PICTURES[2]).write_bytes(b"a picture of mine")
    with start_server(tmp_path) as server:
        assert "SaveCinemagraph" in server.object_info()
    assert sorted(file.name for file in inputs.iterdir() if file.name.startswith("t2c_")) == list(PICTURES)
    assert (inputs / PICTURES[2]).read_bytes() == b"a picture of mine"
    for name in PICTURES[:2]:
        assert (inputs / name).read_bytes() == (REPO / "assets" / name.removeprefix("t2c_")).read_bytes()
    assert not list(inputs.glob(".*")), "no temporary file is left"


def unwritable(inputs: Path) -> None:
    """A folder stands where each picture would."""
    for name in PICTURES:
        (inputs / name).mkdir()


@pytest.mark.parametrize(("switch", "prepare"), [("0", lambda inputs: None), (None, unwritable)])
def test_they_can_be_switched_off_or_impossible(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run_with_pack: Callable[[str], list[str]],
    switch: str | None,
    prepare: Callable[[Path], None],
) -> None:
    prepare(tmp_path)
    if switch is not None:
        monkeypatch.setenv("T2C_EXAMPLE_PICTURES", switch)
    script = f"""
from pack_without_comfyui.nodes.example_pictures import put_example_pictures
put_example_pictures({str(tmp_path)!r})
"""
    run_with_pack(script)
    assert not [file for file in tmp_path.iterdir() if file.is_file()]
