"""``python -m scripts.upstream``: ComfyUI's own tests of its execution, without this pack and with it installed.

They run in a copy of the ComfyUI that the tests use, below .run/upstream. Says how many passed and failed each time;
exit code 1 if any test ends otherwise with the pack than without.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml
from pathlib import Path

from .environment import prepare
from .errors import ScriptError
from .paths import REPO, RUN
from .process import guarded

FOLDER = RUN / "upstream"
NEEDED = ("websocket-client", "pytest")
"""Of ComfyUI's tests, beside what ComfyUI itself needs."""
LEFT_OUT = (".git", "models", "output", "input", "user", "temp", "custom_nodes", "__pycache__")
PACK = ("__init__.py", "nodes", "t2c_core", "js", "locales", "workflows", "subgraphs", "assets", "pyproject.toml")


def outcomes(report: Path) -> dict[str, str]:
    """{test: 'passed', 'failed' or 'skipped'} of a report in JUnit's form."""
    found = {}
    for case in xml.parse(report).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        found[f"{case.get('classname')}::{case.get('name')}"] = outcome
    return found


def copy_comfyui(source: Path, target: Path, *, with_pack: bool) -> None:
    """ComfyUI without what belongs to its user; with_pack: with what the registry would install of this repository."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=lambda folder, _: LEFT_OUT if Path(folder) == source else ("__pycache__",))
    for name in ("models", "output", "input", "user", "custom_nodes"):
        (target / name).mkdir()
    # Folders of core's that happen to be called as those of its user.
    for name in ("models", "input"):
        if (source / name).is_dir():
            for file in (path for path in (source / name).iterdir() if path.is_file() and path.stat().st_size < 10**6):
                shutil.copyfile(file, target / name / file.name)
    for file in (target / "tests" / "execution").glob("test_*.py"):
        # Seconds that they wait for their server: busy machines need more.
        text = file.read_text(encoding="utf-8").replace("n_tries = 5\n", "n_tries = 30\n")
        file.write_text(text, encoding="utf-8")
    if with_pack:
        pack = target / "custom_nodes" / "ComfyUI-Text2Cinemagraph"
        pack.mkdir()
        for name in PACK:
            (pack / name).symlink_to(REPO / name)


def run_tests(python: Path, comfyui: Path, packages: Path) -> dict[str, str]:
    """The outcomes of tests/execution. Raises ScriptError if they did not run."""
    report = comfyui / "report.xml"
    command = ["python", "-m", "pytest", "-q", "-m", "execution", "tests/execution", "--skip-timing-checks"]
    # They start 'python main.py' themselves; without a card it needs to be told so.
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(packages), "CUDA_VISIBLE_DEVICES": ""}
    command[0] = str(python)
    with (comfyui / "tests.log").open("w") as log:
        subprocess.run(
            [*command, f"--junitxml={report}"], cwd=comfyui, env=environment, stdout=log, stderr=log, check=False
        )
    if not report.is_file():
        raise ScriptError(f"ComfyUI's tests did not run; their log: {comfyui / 'tests.log'}")
    return outcomes(report)


def main() -> int:
    """Run both times and compare; returns the exit code."""
    environment = prepare()
    if not (environment.comfyui / "tests" / "execution").is_dir():
        raise ScriptError(f"{environment.comfyui} has no tests/execution.")
    packages = FOLDER / "packages"
    install = [environment.python, "-m", "pip", "install", "-q", "--upgrade", "--no-deps", "--target", packages]
    subprocess.run([*map(str, install), NEEDED[0]], check=True)
    results = []
    for with_pack in (False, True):
        comfyui = FOLDER / ("with" if with_pack else "without")
        copy_comfyui(environment.comfyui, comfyui, with_pack=with_pack)
        results.append(run_tests(environment.python, comfyui, packages))
        counts = {kind: list(results[-1].values()).count(kind) for kind in ("passed", "failed", "skipped")}
        print(f"{'with' if with_pack else 'without'} the pack: {counts}", flush=True)
    without, with_it = results
    changed = sorted(test for test in without.keys() | with_it.keys() if without.get(test) != with_it.get(test))
    for test in changed:
        print(f"{test}: {without.get(test)} without, {with_it.get(test)} with the pack")
    return int(bool(changed))


if __name__ == "__main__":
    sys.exit(guarded(main))
