"""What test.py does once it runs on a Python that is new enough."""

from __future__ import annotations

import os
import subprocess

from .browser import prepare_browser
from .environment import prepare, prepare_tests
from .paths import REPO
from .pictures import fetch_pictures
from .process import end_process, start_process
from .videos import fetch_videos


def main(arguments: list[str]) -> int:
    """Install what is missing, then ruff, then pytest with ``arguments``; returns the first exit code other than 0."""
    verbose = "--verbose" in arguments
    # A user's ComfyUI is tested with its own Python, but the tests themselves never run in it.
    environment = prepare(tests=True, verbose=verbose)
    python = environment.python if environment.owned else prepare_tests(verbose=verbose)
    variables = {
        **os.environ,
        "T2C_PICTURES": str(fetch_pictures(verbose=verbose)),
        "T2C_VIDEOS": str(fetch_videos(verbose=verbose)),
        "T2C_COMFYUI_PATH": str(environment.comfyui),
        "T2C_COMFYUI_PYTHON": str(environment.python),
        "T2C_BROWSER": prepare_browser(verbose=verbose),
    }
    for check in (["check"], ["format", "--check"]):
        print(f"ruff {' '.join(check)}: ", end="", flush=True)
        code = subprocess.run([str(python), "-m", "ruff", *check, "."], cwd=REPO, check=False).returncode
        if code:
            return code
    # Without confcutdir pytest imports the root's __init__.py, which only ComfyUI can.
    command = [str(python), "-m", "pytest", "--confcutdir=tests"]
    if arguments and arguments != ["--verbose"]:
        return _foreground([*command, *arguments], variables)
    # The library's tests on all cores, one thread each; those with a server and a browser one after the other.
    single = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    codes = [
        _foreground([*command, "-n", "auto", "--dist", "worksteal", "tests/core"], {**variables, **single}),
        _foreground([*command, "--ignore=tests/core", *arguments], variables),
    ]
    return next((code for code in codes if code), 0)


def _foreground(command: list[str], variables: dict[str, str]) -> int:
    """Run a command to its end, or until we are told to stop; nothing it started stays behind."""
    process = start_process(command, cwd=REPO, env=variables)
    try:
        return process.wait()
    finally:
        end_process(process, patience=20)
