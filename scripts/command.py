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
from .paths import EXAMPLE, PAINTED, PLAIN, REPO, TEXT
from .server import check_port
from .workflow_api import load_workflow


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options of the command, ``workflow`` among them.

    Raises ScriptError for values that cannot work, before anything is installed.
    """
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="A seamless cinemagraph, made by a real ComfyUI with this pack: of a photograph that is painted "
        "first, of a picture as it is (--photo), or of a prompt (--prompt and --checkpoint).",
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="animate this picture (needs --hints)")
    parser.add_argument("--hints", type=Path, metavar="FILE", help="JSON file with its arrows, pins and strokes")
    parser.add_argument("--style", metavar="NAME", help="how it is painted, a name of the node Photo Twin")
    parser.add_argument("--photo", action="store_true", help="animate the picture as it is instead of a painting of it")
    parser.add_argument("--prompt", metavar="TEXT", help="make the picture from a prompt (needs --checkpoint)")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="Stable Diffusion 1.x, 2.x or XL as one .safetensors or .ckpt file",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="sampling steps for --prompt")
    parser.add_argument("--seed", type=int, metavar="N", help="seed for --prompt")
    parser.add_argument("--frames", type=int, metavar="N", help="frames in the loop")
    parser.add_argument("--output", type=Path, metavar="DIR", default=REPO / "output", help="default: %(default)s")
    parser.add_argument("--ui", action="store_true", help="open ComfyUI with the workflow instead, until Ctrl+C")
    parser.add_argument("--port", type=int, metavar="N", help="default: any free one")
    parser.add_argument("--cpu", action="store_true", help="compute on the CPU even if there is a graphics card")
    parser.add_argument("--verbose", action="store_true", help="show everything pip and ComfyUI print")
    options = parser.parse_args(arguments)
    set_in_page = ("picture", "hints", "frames", "style", "steps", "seed")
    if options.ui and any(getattr(options, name) is not None for name in set_in_page):
        raise ScriptError("--ui opens the example as it is; choose picture, hints and all else in ComfyUI's page.")
    _check_text(options)
    options.workflow = TEXT if options.prompt is not None else PLAIN if options.photo else PAINTED
    if options.picture and not options.hints:
        raise ScriptError("--picture needs --hints: the arrows of the example do not fit another picture.")
    if options.frames is not None and options.frames < 2:
        raise ScriptError(f"--frames is {options.frames}; a loop needs at least 2.")
    for file in (options.picture, options.hints, options.checkpoint):
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


def _check_text(options: argparse.Namespace) -> None:
    """Raise ScriptError where the options of the text path do not go together."""
    if options.prompt is None:
        for name in ("checkpoint", "steps", "seed"):
            if getattr(options, name) is not None:
                raise ScriptError(f"--{name} goes with --prompt.")
        if options.photo and options.style:
            raise ScriptError("--photo leaves the picture as it is, --style paints it; give one of them.")
        return
    for name in ("picture", "hints", "style", "photo"):
        if getattr(options, name):
            raise ScriptError(f"--{name} does not go with --prompt, which makes the picture itself.")
    if not options.prompt.strip():
        raise ScriptError("--prompt is empty; write what the picture shows.")
    if options.checkpoint is None:
        raise ScriptError(
            "--prompt needs --checkpoint FILE: a Stable Diffusion 1.x, 2.x or XL model you have. Nothing is downloaded."
        )
    if options.checkpoint.suffix.lower() not in (".safetensors", ".ckpt"):
        raise ScriptError(f"--checkpoint {options.checkpoint} is neither a .safetensors nor a .ckpt file.")
    if options.steps is not None and not 1 <= options.steps <= 999:
        raise ScriptError(f"--steps is {options.steps}; it must lie between 1 and 999.")
    if options.seed is not None and not 0 <= options.seed < 2**64:
        raise ScriptError(f"--seed is {options.seed}; it must lie between 0 and 2^64 - 1.")


def main(arguments: list[str]) -> int:
    """Check everything that can be checked, install what is missing, and hand on to job.py."""
    options = parse(arguments)
    load_workflow(options.workflow)
    if not EXAMPLE.is_file():
        raise ScriptError(f"The example picture {EXAMPLE} is missing; restore it with: git checkout assets")
    theirs = user_comfyui()
    if theirs:
        user_python(theirs)  # complains early
    environment = prepare(paint=options.workflow == PAINTED, verbose=options.verbose)
    # The rest needs aiohttp and this pack's library, which that environment has.
    job = [str(environment.python), str(REPO / "scripts" / "run.py"), "--job", str(environment.comfyui)]
    job += ["user" if theirs else "own", *arguments]
    sys.stdout.flush()
    if os.name == "posix":
        os.execv(job[0], job)  # the same process goes on, so that signals reach it
    return subprocess.run(job, check=False).returncode
