"""The browser that the tests of the page run in: any Chromium that is there, else Debian's."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .apt import apt_install, may_install
from .errors import ScriptError
from .paths import LOGS

LOG = LOGS / "browser.log"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge")


def find_browser() -> str:
    """Path of the browser named by T2C_BROWSER, or of one that is installed; '' if there is none."""
    named = os.environ.get("T2C_BROWSER")
    if named:
        if not Path(named).is_file():
            raise ScriptError(f"T2C_BROWSER names {named}, which is not a file.")
        return named
    return next((found for found in map(shutil.which, NAMES) if found), "")


def prepare_browser(*, verbose: bool = False) -> str:
    """Path of a browser; installs Debian's Chromium if there is none and we may.

    Where there can be none this says so, returns '' and the tests of the page are skipped; under CI it is an error
    (ScriptError).
    """
    found = find_browser()
    if found:
        return found
    problem = _install(verbose)
    found = find_browser()
    if not found and os.environ.get("CI"):
        raise ScriptError(f"The tests of the page need Chromium: {problem}")
    if not found:
        print(f"The tests of the page are skipped, because they need Chromium: {problem}", flush=True)
    return found


def _install(verbose: bool) -> str:
    """Install Chromium with apt; returns what went wrong, or nothing."""
    if not shutil.which("apt-get"):
        return "install it, or name one with T2C_BROWSER."
    if not may_install():
        return "install it (apt install chromium), or name one with T2C_BROWSER."
    print("Installing Chromium for the tests of the page ...", flush=True)
    return apt_install(["chromium", "fonts-dejavu-core"], LOG, verbose=verbose)
