"""Real pictures for the tests, out of Debian packages that are fetched and unpacked but not installed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
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
JUDGED = {
    "plasma-workspace-wallpapers": {
        f"{name}.jpg": f"usr/share/wallpapers/{folder}/contents/images/{size}.jpg"
        for name, folder, size in (
            ("by_the_water", "BytheWater", "1920x1080"),
            ("darkest_hour", "DarkestHour", "1920x1080"),
            ("safe_landing", "SafeLanding", "5120x2880"),
            ("volna", "Volna", "5120x2880"),
            ("summer_1am", "summer_1am", "1920x1080"),
        )
    },
    "lxqt-themes": {"fog.jpg": "usr/share/lxqt/wallpapers/fog.jpg"},
    "mate-backgrounds": {"storm.jpg": "usr/share/backgrounds/mate/nature/Storm.jpg"},
    "tuxpaint-data": {"sun_behind_clouds.jpg": "usr/share/tuxpaint/templates/sun_behind_clouds.jpg"},
    "lomiri-wallpapers-16.04": {"brook.jpg": "usr/share/backgrounds/life_by_Aitzol_Berasategi.jpg"},
}
"""Those that the benchmark of quality only judges loops on."""


def fetch_pictures(sources: Mapping[str, Mapping[str, str]] = SOURCES, *, verbose: bool = False) -> Path:
    """Folder with every picture of ``sources`` and the example; what is there already is not fetched again.

    Where they cannot be had (no apt, no network) this says so and the tests that need them are skipped; under CI it is
    an error (ScriptError).
    """
    PICTURES.mkdir(parents=True, exist_ok=True)
    if EXAMPLE.is_file():
        shutil.copyfile(EXAMPLE, PICTURES / EXAMPLE.name)
    wanted = [package for package, files in sources.items() if any(not (PICTURES / name).is_file() for name in files)]
    if not wanted:
        return PICTURES
    problem = _fetch({package: sources[package] for package in wanted}, verbose)
    if problem and os.environ.get("CI"):
        raise ScriptError(f"The pictures for the tests could not be fetched: {problem}")
    if problem:
        print(f"Tests that need real pictures are skipped, because these could not be fetched: {problem}", flush=True)
    return PICTURES


def _fetch(packages: Mapping[str, Mapping[str, str]], verbose: bool) -> str:
    """Fetch what is missing; returns what went wrong, or nothing."""
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return "they come from Debian packages and this system has no apt."
    print(f"Fetching pictures for the tests ({', '.join(packages)}) ...", flush=True)
    with tempfile.TemporaryDirectory(prefix="tmp-pictures-", dir=RUN) as folder:
        # One at a time, so that what one package lacks does not cost the others.
        for package, files in packages.items():
            problem = fetch_files(package, files, PICTURES, Path(folder), verbose=verbose)
            if problem:
                return problem
    return ""


def fetch_files(package: str, files: Mapping[str, str], target: Path, folder: Path, *, verbose: bool = False) -> str:
    """Copy files of a Debian package (name -> path in it) into ``target``; returns what went wrong, or nothing.

    folder: for what is fetched and unpacked; empty again afterwards.
    """
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
    for name, inside in files.items():
        if not (unpacked / inside).is_file():
            return f"the package {package} holds no {inside}."
        shutil.copyfile(unpacked / inside, folder / name)
        (folder / name).replace(target / name)
    shutil.rmtree(unpacked)
    archive.unlink()
    return ""


def _apt_reason(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.startswith("E:")]
    return (lines[0][2:].strip() if lines else why(said)).rstrip(".") + "."
