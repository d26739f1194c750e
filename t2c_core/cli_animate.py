"""``animate``: a picture and hints (or a direction) to a seamless loop in a file."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch

from .cli_loop import FRAMES, add_loop_arguments, check_loop_arguments, write_plan
from .errors import InputError
from .flow.kinds import class_parts, loop_length
from .flow.regions import region_angles
from .flow.solver import solve_flow
from .hints import parse_hints
from .pictures import load_mask, load_picture
from .prompt.directions import Direction, find_directions
from .prompt.paces import find_paces
from .segment.freeze import cut_frozen
from .segment.from_hints import mask_from_hints
from .segment.refine import refine_mask
from .segment.regions import union, within
from .segment.strokes import with_strokes
from .segment.vocabulary import DEFAULT_VOCABULARY
from .types import FluidRegions, MotionField, MotionHints, WarpPlan


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add 'animate' to the sub-commands; ``run`` is set as its default 'run'."""
    parser = subparsers.add_parser("animate", help="make a picture move", description="Make a picture move.")
    parser.add_argument("picture", type=Path, help="any picture file")
    parser.add_argument("--hints", type=Path, help="JSON file with arrows, pins and strokes")
    parser.add_argument("--mask", type=Path, help="picture whose bright parts move (default: found from the hints)")
    parser.add_argument("--model", type=Path, help="folder of a segmentation model that finds what moves")
    parser.add_argument("--vocabulary", default=DEFAULT_VOCABULARY, help="what the model looks for, with commas")
    parser.add_argument("--threshold", type=float, default=0.5, help="0..1: how sure the model must be")
    parser.add_argument(
        "--direction",
        help='words ("downwards, left to right", "clouds drifting to the right, river flowing left") or degrees',
    )
    parser.add_argument("--size", type=int, help="scale the picture down to this longer side first")
    parser.add_argument("--perspective", type=float, default=0.0, help="-1..1: how much slower the far part moves")
    parser.add_argument("--incompressibility", type=float, default=0.5, help="0..1")
    parser.add_argument("--feather", type=float, default=3.0, help="soft edge of the mask in pixels")
    add_loop_arguments(parser)
    parser.set_defaults(run=run, frames=None)  # with a model it depends on what moves
    return parser


def directions_of(text: str | None) -> list[Direction]:
    """What '--direction' says: an angle in degrees, or one or several directions in words. Raises InputError."""
    if text is None:
        return []
    try:
        angle = float(text)
    except ValueError:
        found = find_directions(text)
    else:
        found = [Direction(None, text, angle, (0, len(text)))] if math.isfinite(angle) else []
    if not found:
        raise InputError(
            "direction",
            f"'{text}' is neither an angle nor says where something flows.",
            "Give degrees (0 right, 90 up, 180 left, 270 down), or write 'right to left', 'flowing down to the left' "
            "or 'clouds drifting to the right, river flowing left'.",
        )
    return found


def _hints(path: Path | None) -> MotionHints:
    if path is None:
        return MotionHints()
    try:
        return parse_hints(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("hints", f"'{path}' cannot be read ({error}).") from error


def _regions(args: argparse.Namespace, picture: torch.Tensor) -> FluidRegions:
    """What the model finds in a picture [1, H, W, 3]."""
    from .segment.models.find import regions_of, score
    from .segment.models.load import load_model

    return regions_of(score(load_model(args.model), picture, args.vocabulary), picture, args.threshold)


def plan_from_arguments(args: argparse.Namespace) -> WarpPlan:
    """Picture, mask and flow of an 'animate' command line as a plan ready to render. Raises InputError."""
    picture = load_picture(args.picture, longer_side=args.size)
    hints, regions, parts, frames = (
        _hints(args.hints),
        FluidRegions(),
        None,
        FRAMES if args.frames is None else args.frames,
    )
    # With a model the kinds have ways of their own: words may speak of their speed alone.
    words = args.model and args.direction and find_paces(args.direction) and not find_directions(args.direction)
    directions = directions_of(None if words else args.direction)
    if args.model:
        regions = _regions(args, picture)
        found = cut_frozen(with_strokes(union(regions), hints), hints)
        mask = refine_mask(found, fill_holes=0.001, min_area=0.0005, feather=args.feather)
    elif args.mask:
        mask = (load_mask(args.mask, *picture.shape[1:3]) >= 0.5).float()
        mask = refine_mask(cut_frozen(with_strokes(mask, hints), hints), feather=args.feather)
    else:
        found = mask_from_hints(picture, hints)
        mask = refine_mask(found, fill_holes=0.001, min_area=0.0005, feather=args.feather)
    mask = cut_frozen(mask, hints, pins=False)
    if regions.regions and (mask > 0).any():
        kinds = within(regions, mask)
        parts = class_parts(mask, kinds, directions, find_paces(args.direction or ""), hints)
        frames = loop_length(kinds) if args.frames is None else frames
    field: MotionField = solve_flow(
        picture,
        mask,
        hints,
        angle=None if parts else region_angles(mask, directions),
        parts=parts,
        perspective=args.perspective,
        incompressibility=args.incompressibility,
    )
    return WarpPlan(picture, field, frames, args.speed, args.renderer, args.integration)


def run(args: argparse.Namespace) -> int:
    """Render, write and (if asked) measure; returns 0. Raises InputError."""
    check_loop_arguments(args)
    if args.model and args.mask:
        raise InputError(
            "mask", "and model both say what moves.", "Give one of them; strokes in --hints add to either."
        )
    if args.output.exists() and args.picture.exists() and args.output.samefile(args.picture):
        raise InputError("output", f"'{args.output}' is the picture itself.", "Give the loop another name.")
    return write_plan(plan_from_arguments(args), args)
