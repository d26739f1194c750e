"""The first half of run.py: options, checks and installation; the standard library is all there is yet."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from .environment import prepare, user_comfyui, user_python
from .errors import ScriptError
from .paths import EXAMPLE, REPO, WORKFLOW
from .server import check_port
from .workflow_api import load_workflow


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options of the command. Raises ScriptError for values that cannot work, before anything is installed."""
    parser = argparse.ArgumentParser(
        prog="run.py", description="A seamless cinemagraph of a photograph, made by a real ComfyUI with this pack."
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="animate this picture (needs --hints)")
    parser.add_argument("--hints", type=Path, metavar="FILE", help="JSON file with its arrows, pins and strokes")
    parser.add_argument("--frames", type=int, metavar="N", help="frames in the loop")
    parser.add_argument("--output", type=Path, metavar="DIR", default=REPO / "output", help="default: %(default)s")
    parser.add_argument("--ui", action="store_true", help="open ComfyUI with the workflow instead, until Ctrl+C")
    parser.add_argument("--port", type=int, metavar="N", help="default: any free one")
    parser.add_argument("--cpu", action="store_true", help="compute on the CPU even if there is a graphics card")
    parser.add_argument("--verbose", action="store_true", help="show everything pip and ComfyUI print")
    options = parser.parse_args(arguments)
    if options.ui and (options.picture or options.hints or options.frames is not None):
        raise ScriptError("--ui opens the example as it is; choose picture, hints and frames in ComfyUI's page.")
    if options.picture and not options.hints:
        raise ScriptError("--picture needs --hints: the arrows of the example do not fit another picture.")
    if options.frames is not None and options.frames < 2:
        raise ScriptError(f"--frames is {options.frames}; a loop needs at least 2.")
    for file in (options.picture, options.hints):
        if file and not file.is_file():
            raise ScriptError(f"There is no file {file}.")
    if options.hints:
        try:
            json.loads(options.hints.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ScriptError(f"{options.hints} is not valid JSON: {error}.") from error
    if options.output.exists() and not options.output.is_dir():
        raise ScriptError(f"--output {options.output} is not a folder.")
    if options.port is not None:
        check_port(options.port)
    return options


def main(arguments: list[str]) -> int:
    """Check everything that can be checked, install what is missing, and hand on to job.py."""
    options = parse(arguments)
    load_workflow(WORKFLOW)
    if not EXAMPLE.is_file():
        raise ScriptError(f"The example picture {EXAMPLE} is missing; restore it with: git checkout assets")
    theirs = user_comfyui()
    if theirs:
        user_python(theirs)  # complains early
    environment = prepare(verbose=options.verbose)
    # The rest needs aiohttp and this pack's library, which that environment has.
    job = [str(environment.python), str(REPO / "scripts" / "run.py"), "--job", str(environment.comfyui)]
    job += ["user" if theirs else "own", *arguments]
    sys.stdout.flush()
    if os.name == "posix":
        os.execv(job[0], job)  # the same process goes on, so that signals reach it
    return subprocess.run(job, check=False).returncode
