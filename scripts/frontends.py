"""ComfyUI's pages that the pack was tried with: their packages, fetched and unpacked but not installed."""

from __future__ import annotations

import os
import shutil
import tempfile
import zipfile
from pathlib import Path

from .environment import why
from .errors import ScriptError
from .paths import LOGS, RUN
from .process import run_logged

PACKAGE = "comfyui-frontend-package"
OLDEST, NEWEST = "1.47.12", "1.58.1"
"""That of the ComfyUI in which all tests run, and the newest, in which those of `checks.SMOKE` run, too."""
FOLDER = RUN / "frontends"
LOG = LOGS / "frontends.log"
_INSIDE = "comfyui_frontend_package/static/"


def fetch_frontend(python: Path, version: str, *, verbose: bool = False) -> str:
    """Folder of a version of the page, for main.py's --front-end-root; what is there already is not fetched again.

    Where it cannot be had this says so, returns '' and the page of the installed ComfyUI is tested; under CI it is an
    error (ScriptError).
    """
    target = FOLDER / version
    problem = "" if target.is_dir() else _fetch(python, version, target, verbose)
    if problem and os.environ.get("CI"):
        raise ScriptError(f"ComfyUI's page {version} could not be fetched: {problem}")
    if problem:
        print(f"ComfyUI's page {version} is not tested, because it could not be fetched: {problem}", flush=True)
    return "" if problem else str(target)


def _fetch(python: Path, version: str, target: Path, verbose: bool) -> str:
    """Fetch and unpack a version, whole or not at all; returns what went wrong, or nothing."""
    print(f"Fetching ComfyUI's page {version} for the tests ...", flush=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tmp-", dir=FOLDER) as folder:
        command = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--no-deps"]
        code, said = run_logged([*command, "-d", folder, f"{PACKAGE}=={version}"], LOG, verbose=verbose)
        if code:
            return f"{why(said)} Log: {LOG}"
        wheel = next(Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if name.startswith(_INSIDE)])
        shutil.move(Path(folder) / _INSIDE, target)
    return ""
