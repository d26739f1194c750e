"""python3 scripts/lower_bounds.py [arguments for pytest]: the fast tests with the oldest versions that are allowed.

Makes a fresh environment with the Python it runs on and installs the lower bound of every dependency and extra in
pyproject.toml. Fails where one cannot be installed, because another needs more. Several GB: torch comes as the package
index has it.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

if __name__ == "__main__":
    # As a command this folder comes first on the path, where its modules could shadow others of the same name.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from scripts.checks import FAST, ONE_THREAD, run_pytest
from scripts.environment import ask, name_of, requirements, why
from scripts.errors import ScriptError
from scripts.paths import LOGS, RUN, venv_python
from scripts.process import guarded, run_logged

VENV = RUN / "lower-bounds"
LOG = LOGS / "lower_bounds.log"
EXTRAS = ("paint", "masks", "test")


def lower_bound(requirement: str) -> str:
    """The version after ``>=`` of a requirement. Raises ScriptError where there is none."""
    match = re.search(r">=\s*([0-9][0-9.]*)", requirement)
    if match is None:
        raise ScriptError(f"The requirement {requirement} of pyproject.toml has no lower bound; write one with >=.")
    return match.group(1)


def is_bound(installed: str, bound: str) -> bool:
    """Whether a version is the first of its kind: 4.8.0.74 for 4.8, but not 4.80 or 4.9."""
    return (installed.split("+")[0] + ".").startswith(bound + ".")


def install() -> Path:
    """Make the environment anew; returns its interpreter. Raises ScriptError if it cannot be made as declared."""
    shutil.rmtree(VENV, ignore_errors=True)
    python = venv_python(VENV)
    _run([sys.executable, "-m", "venv", VENV])
    _run([python, "-m", "pip", "install", "uv"])
    declared = [line for extra in (None, *EXTRAS) for line in requirements(python, extra)]
    # OpenCV without windows needs no graphics libraries of the system.
    lines = [re.sub(r"^opencv-python\b", "opencv-python-headless", line) for line in declared]
    _run([python, "-m", "uv", "pip", "install", "--python", python, "--resolution", "lowest-direct", *lines])
    code = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
    versions = {name_of(name): version for name, version in json.loads(ask(python, code)).items()}
    wrong = []
    for line in lines:
        version = versions.get(name_of(line))
        if version is None:
            continue  # a marker shuts it out here
        print(f"  {name_of(line):<24} {version}", flush=True)
        if not is_bound(version, lower_bound(line)):
            wrong.append(f"{name_of(line)} {lower_bound(line)} (installed: {version})")
    if wrong:
        raise ScriptError(f"These lower bounds do not go with the others: {', '.join(wrong)}. Raise them.")
    return python


def _run(command: list[str | Path]) -> None:
    code, output = run_logged(command, LOG)
    if code:
        raise ScriptError(f"The lower bounds could not be installed: {why(output)} Log: {LOG}")


def main(arguments: list[str]) -> int:
    """Install the lower bounds, then run the fast tests; returns pytest's exit code."""
    print(f"Installing the lower bounds of pyproject.toml into {VENV} (the log is {LOG}) ...", flush=True)
    return run_pytest(install(), [*FAST, *arguments], ONE_THREAD)


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1:])))
