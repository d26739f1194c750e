"""What test.py does once it runs on a Python that is new enough."""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .browser import prepare_browser
from .environment import prepare, prepare_tests
from .frontends import NEWEST, fetch_frontend
from .node import npm, prepare_node
from .paths import LOGS, REPO
from .pictures import fetch_pictures
from .process import end_process, start_process
from .videos import fetch_videos

# One thread each: every core has a test of its own.
PARALLEL = ("-n", "auto", "--dist", "worksteal")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
FAST = (*PARALLEL, "-m", "not slow", "tests/core", "tests/test_layout.py")
"""The tests of the library that take under a second each."""
SMOKE = [f"tests/browser/test_{name}.py" for name in ("walkthrough", "widgets", "app_mode")]
"""What is tested in the newest page, too."""


def main(arguments: list[str]) -> int:
    """Install what is missing, then run the checks and pytest; returns the first exit code that is not 0."""
    parser = argparse.ArgumentParser(
        prog="test.py",
        allow_abbrev=False,
        description="Installs what the checks need and runs them. Further arguments are handed to pytest, which then "
        "runs with them alone.",
    )
    parser.add_argument("--fast", action="store_true", help="ruff and the fast tests, which need no ComfyUI")
    parser.add_argument("--only", choices=STATIC, help="one of the checks that run nothing")
    parser.add_argument("--verbose", action="store_true", help="show everything pip, apt and npm print")
    options, chosen = parser.parse_known_args(arguments)
    if options.fast:
        python = prepare_tests(verbose=options.verbose)
        return _ruff(python) or run_pytest(python, [*FAST, *chosen], ONE_THREAD)
    # A user's ComfyUI is tested with its own Python, but the tests themselves never run in it.
    environment = prepare(tests=True, verbose=options.verbose)
    python = environment.python if environment.owned else prepare_tests(verbose=options.verbose)
    if options.only:
        return STATIC[options.only](python, environment.comfyui)
    variables = {
        "T2C_PICTURES": str(fetch_pictures(verbose=options.verbose)),
        "T2C_VIDEOS": str(fetch_videos(python, verbose=options.verbose)),
        "T2C_COMFYUI_PATH": str(environment.comfyui),
        "T2C_COMFYUI_PYTHON": str(environment.python),
        "T2C_BROWSER": prepare_browser(verbose=options.verbose),
    }
    if chosen:
        return run_pytest(python, chosen, variables)
    # A user's ComfyUI is tested with its own page alone.
    owned = environment.owned and variables["T2C_BROWSER"]
    newest = fetch_frontend(python, NEWEST, verbose=options.verbose) if owned else ""
    codes = [
        *(check(python, environment.comfyui) for check in STATIC.values()),
        run_pytest(
            python, [*PARALLEL, "--ignore=tests/comfyui", "--ignore=tests/browser"], {**variables, **ONE_THREAD}
        ),
        # Each with a server of its own, which mostly keeps one core busy: those of the page beside the others.
        *run_beside(python, ["tests/browser"], ["tests/comfyui"], variables),
    ]
    if newest:
        codes.append(run_pytest(python, SMOKE, {**variables, "T2C_FRONTEND": newest}))
    return next((code for code in codes if code), 0)


def run_pytest(python: Path, arguments: Sequence[str], variables: Mapping[str, str]) -> int:
    """The exit code of pytest, run to its end, or until we are told to stop; nothing it started stays behind."""
    with _pytest(python, arguments, variables) as process:
        return process.wait()


def run_beside(
    python: Path, quiet: Sequence[str], shown: Sequence[str], variables: Mapping[str, str]
) -> tuple[int, int]:
    """Exit codes of two runs of pytest at the same time; the output of ``quiet`` is printed after that of ``shown``."""
    log = LOGS / "beside.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("w", encoding="utf-8") as file,
        _pytest(python, quiet, variables, stdout=file, stderr=subprocess.STDOUT) as beside,
    ):
        codes = run_pytest(python, shown, variables), beside.wait()
    print(log.read_text(encoding="utf-8", errors="replace"), flush=True)
    return codes


@contextmanager
def _pytest(
    python: Path, arguments: Sequence[str], variables: Mapping[str, str], **options: Any
) -> Iterator[subprocess.Popen]:
    # Without confcutdir pytest imports the root's __init__.py, which only ComfyUI can.
    command = [python, "-m", "pytest", "--confcutdir=tests", "--durations=15", *arguments]
    process = start_process(command, cwd=REPO, env={**os.environ, **variables}, **options)
    try:
        yield process
    finally:
        end_process(process, patience=20)


def _ruff(python: Path, comfyui: Path | None = None) -> int:
    code = _check("ruff check", [python, "-m", "ruff", "check", "."])
    return code or _check("ruff format", [python, "-m", "ruff", "format", "--check", "."])


def _pyright(python: Path, comfyui: Path) -> int:
    # pyright asks the interpreter for its path, on which ComfyUI's own modules are then found.
    return _check("pyright", [python, "-m", "pyright", "--pythonpath", python], {"PYTHONPATH": str(comfyui)})


def _javascript(python: Path, comfyui: Path) -> int:
    """eslint and tsc, as package.json runs them."""
    if not prepare_node(python):
        return 0
    return int(bool(npm(python, "run", "check", verbose=True)))


STATIC: dict[str, Callable[[Path, Path], int]] = {"ruff": _ruff, "pyright": _pyright, "javascript": _javascript}
"""The checks that run nothing: (interpreter, folder of ComfyUI) -> exit code."""


def _check(name: str, command: Sequence[str | Path], variables: Mapping[str, str] | None = None) -> int:
    print(f"{name}: ", end="", flush=True)
    environment = {**os.environ, **(variables or {})}
    return subprocess.run([str(part) for part in command], cwd=REPO, env=environment, check=False).returncode
