"""``animate``: a picture and hints (or a direction) to a seamless loop in a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..job import Made, make_loop
from .fluid import add_fluid_arguments, job_from
from .loop import add_loop_arguments, check_loop_arguments, save_loop
from .options import say, stage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    parser.add_argument("picture", type=Path, help="any picture file")
    add_fluid_arguments(parser, attention=False)
    parser.add_argument("--size", type=int, help="scale the picture down to this longer side first")
    add_loop_arguments(parser)


def loop_from_arguments(args: argparse.Namespace) -> Made:
    """The loop of an 'animate' command line, ready to render, and its alpha [H, W]. Raises InputError."""
    return make_loop(job_from(args, image=args.picture, size=args.size), stage=stage, say=say, coverage=args.measure)


def run(args: argparse.Namespace) -> int:
    """Render, write and (if asked) measure; returns 0. Raises InputError."""
    check_loop_arguments(args)
    made = loop_from_arguments(args)
    return save_loop(made.loop, args, made.alpha)
