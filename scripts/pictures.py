"""Real pictures for the tests, out of Debian packages that are fetched and unpacked but not installed."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from .environment import why
from .errors import ScriptError
from .paths import EXAMPLE, LOGS, PICTURES, RUN
from .process import run_logged

LOG = LOGS / "pictures.log"
SOURCES = {
    "plasma-workspace-wallpapers": {
        "evening_glow.jpg": "usr/share/wallpapers/EveningGlow/contents/images/2560x1600.jpg",
        "kite.jpg": "usr/share/wallpapers/Kite/contents/images/2560x1600.jpg",
    },
    "lxqt-themes": {"after_rain.jpg": "usr/share/lxqt/wallpapers/after-the-rain.jpg"},
    "opencv-doc": {"starry_night.jpg": "usr/share/doc/opencv-doc/examples/data/starry_night.jpg"},
    "tuxpaint-data": {"ocean_waves.jpg": "usr/share/tuxpaint/templates/ocean_waves.jpg"},
}
"""Package -> name here -> path in the package."""


def fetch_pictures(*, verbose: bool = False) -> Path:
    """Folder with every picture of SOURCES and the example; what is there already is not fetched again.

    Where they cannot be had (no apt, no network) this says so and the tests that need them are skipped; under CI it is
    an error (ScriptError).
    """
    PICTURES.mkdir(parents=True, exist_ok=True)
    if EXAMPLE.is_file():
        shutil.copyfile(EXAMPLE, PICTURES / EXAMPLE.name)
    wanted = [package for package, files in SOURCES.items() if any(not (PICTURES / name).is_file() for name in files)]
    if not wanted:
        return PICTURES
    problem = _fetch(wanted, verbose)
    if problem and os.environ.get("CI"):
        raise ScriptError(f"The pictures for the tests could not be fetched: {problem}")
    if problem:
        print(f"Tests that need real pictures are skipped, because these could not be fetched: {problem}", flush=True)
    return PICTURES


def _fetch(packages: list[str], verbose: bool) -> str:
    """Fetch what is missing; returns what went wrong, or nothing."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return "they come from Debian packages and this system has no apt."
    print(f"Fetching pictures for the tests ({', '.join(packages)}) ...", flush=True)
    with tempfile.TemporaryDirectory(prefix="tmp-pictures-", dir=RUN) as folder:
        # One at a time, so that what one package lacks does not cost the others.
        for package in packages:
            problem = _fetch_package(package, Path(folder), verbose)
            if problem:
                return problem
    return ""


def _fetch_package(package: str, folder: Path, verbose: bool) -> str:
    download = ["apt-get", "download", package]
    code, said = run_logged(download, LOG, verbose=verbose, cwd=folder)
    if code:  # the lists of packages are missing or out of date
        code, said = run_logged(["apt-get", "update"], LOG, verbose=verbose)
        if code == 0:
            code, said = run_logged(download, LOG, verbose=verbose, cwd=folder)
    if code:
        return f"apt-get download {package}: {_apt_reason(said)} Log: {LOG}"
    archive = next(iter(folder.glob(f"{package}_*.deb")), None)
    if archive is None:
        return f"apt-get download {package} left no file. Log: {LOG}"
    unpacked = folder / package
    code, said = run_logged(["dpkg-deb", "-x", str(archive), str(unpacked)], LOG, verbose=verbose)
    if code:
        return f"{archive.name} could not be unpacked: {why(said)}"
    for name, inside in SOURCES[package].items():
        if not (unpacked / inside).is_file():
            return f"the package {package} holds no {inside}."
        shutil.copyfile(unpacked / inside, folder / name)
        (folder / name).replace(PICTURES / name)
    shutil.rmtree(unpacked)
    archive.unlink()
    return ""


def _apt_reason(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.startswith("E:")]
    return (lines[0][2:].strip() if lines else why(said)).rstrip(".") + "."
