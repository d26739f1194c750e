"""Packages of Debian and Ubuntu that the tests need."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .environment import why
from .process import run_logged


def may_install() -> bool:
    """Whether apt is there and this process may install with it."""
    return bool(shutil.which("apt-get")) and hasattr(os, "geteuid") and os.geteuid() == 0


def apt_install(packages: list[str], log: Path, *, verbose: bool) -> str:
    """Install packages; returns what went wrong, or nothing."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    code, said = run_logged(install, log, verbose=verbose, env=environment)
    if code:
        # The lists may be missing or old.
        code, said = run_logged(["apt-get", "update"], log, verbose=verbose, env=environment)
        if not code:
            code, said = run_logged(install, log, verbose=verbose, env=environment)
    return f"{why(said)} Log: {log}" if code else ""
