"""What the sub-commands that find a fluid have in common: its mask and its directions, and the job made of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..flow.settings import FlowSettings
from ..job import Job, read_hints
from ..loop.settings import LoopSettings
from ..segment.settings import MaskSettings
from .loop import encode_settings
from .options import add_settings, settings_from

OF_ATTENTION = ("refine_with_attention", "clusters", "clustering", "overlap", "cluster_seed")
"""Mask settings without effect where no diffusion model gives its attention."""


def add_fluid_arguments(parser: argparse.ArgumentParser, *, attention: bool) -> None:
    """Add the options that say what moves and where to. attention: whether the command has a diffusion model's."""
    if attention:
        otherwise, directions = "the attention", "the prompt's"
    else:
        otherwise, directions = "the hints", "the usual ones of what moves"
    parser.add_argument("--hints", type=Path, help="JSON file with arrows, pins and strokes")
    parser.add_argument("--mask", type=Path, help=f"picture whose bright parts move (default: found from {otherwise})")
    parser.add_argument("--model", type=Path, help="folder of a segmentation model that finds what moves")
    # Without a vocabulary the attention takes every word of the prompt that moves.
    if attention:
        add_settings(parser, MaskSettings, without=("method",), defaults={"vocabulary": ""})
    else:
        add_settings(parser, MaskSettings, without=("method", *OF_ATTENTION))
    parser.add_argument(
        "--direction",
        help='words ("downwards, left to right", "clouds drifting to the right, river flowing left") or degrees '
        f"(default: {directions})",
    )
    # 'limit' is for networks, which the command line does not have.
    add_settings(parser, FlowSettings, without=("direction", "angle", "limit"), speed="flow_speed")


def job_from(args: argparse.Namespace, **others: Any) -> Job:
    """The job of a command line that finds a fluid and makes a loop; ``others``: what this command has beside them.

    Raises InputError, before anything is computed, for options that say twice what moves, or nothing of where to.
    """
    job = Job(
        hints=read_hints(args.hints),
        mask=args.mask,
        model=args.model,
        direction=args.direction,
        frames=args.frames,
        device=args.device,
        masks=settings_from(args, MaskSettings),
        flow=settings_from(args, FlowSettings),
        loop=settings_from(args, LoopSettings),
        encode=encode_settings(args),
        **others,
    )
    job.check()
    return job
