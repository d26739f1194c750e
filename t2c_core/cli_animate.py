"""``animate``: a picture and hints (or a direction) to a seamless loop in a file."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch
from tqdm import tqdm

from .errors import InputError
from .flow.directions import angle_from_text
from .flow.solver import solve_flow
from .flow.visualise import flow_preview
from .hints import parse_hints
from .loop.contact_sheet import contact_sheet
from .loop.read import LoopFile
from .loop.render import DEFAULT_ANCHOR, LoopRenderer
from .loop.write import FORMATS, write_loop
from .metrics import measure_loop
from .pictures import load_mask, load_picture, save_picture
from .segment.from_hints import mask_from_hints
from .segment.overlay import mask_overlay
from .segment.refine import refine_mask
from .types import BLENDS, INTEGRATIONS, RENDERERS, MotionField, MotionHints, WarpPlan


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add 'animate' to the sub-commands; ``run`` is set as its default 'run'."""
    parser = subparsers.add_parser("animate", help="make a picture move", description="Make a picture move.")
    parser.add_argument("picture", type=Path, help="any picture file")
    parser.add_argument("-o", "--output", type=Path, required=True, help="file to write; its ending chooses the format")
    parser.add_argument("--format", choices=sorted(FORMATS), help="format, where the ending is not enough (mp4-hq)")
    parser.add_argument("--hints", type=Path, help="JSON file with arrows, pins and strokes")
    parser.add_argument("--mask", type=Path, help="picture whose bright parts move (default: found from the hints)")
    parser.add_argument("--direction", help='a phrase ("downwards, left to right") or an angle in degrees')
    parser.add_argument("--frames", type=int, default=60, help="length of the loop (60)")
    parser.add_argument("--rate", type=float, default=30.0, help="frames per second (30)")
    parser.add_argument("--speed", type=float, default=1.0, help="multiplies the motion (1)")
    parser.add_argument("--size", type=int, help="scale the picture down to this longer side first")
    parser.add_argument("--renderer", choices=RENDERERS, default="gather")
    parser.add_argument("--integration", choices=INTEGRATIONS, default="rk4")
    parser.add_argument("--blend", choices=BLENDS, default="contrast")
    parser.add_argument(
        "--anchor", type=float, default=DEFAULT_ANCHOR, help="0: shapes drift (clouds) .. 1: shapes stay"
    )
    parser.add_argument("--perspective", type=float, default=0.0, help="-1..1: how much slower the far part moves")
    parser.add_argument("--incompressibility", type=float, default=0.5, help="0..1")
    parser.add_argument("--feather", type=float, default=3.0, help="soft edge of the mask in pixels")
    parser.add_argument("--quality", type=int, default=90, help="1..100")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--previews", action="store_true", help="also write mask, flow and contact sheet as PNG")
    parser.add_argument("--measure", action="store_true", help="print the loop's figures before encoding")
    parser.set_defaults(run=run)
    return parser


def _format(args: argparse.Namespace) -> str:
    if args.format:
        return args.format
    ending = args.output.suffix.lower()
    for name, entry in FORMATS.items():
        if ending and entry.suffix == ending:
            return name
    raise InputError("output", f"'{args.output.name}' has no known ending.", f"Use one of {', '.join(FORMATS)}.")


def _angle(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        angle = float(text)
    except ValueError:
        angle = angle_from_text(text)
    if angle is None or not math.isfinite(angle):
        raise InputError("direction", f"'{text}' is neither an angle nor a known phrase.", "Try 'right to left'.")
    return angle


def _hints(path: Path | None) -> MotionHints:
    if path is None:
        return MotionHints()
    try:
        return parse_hints(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("hints", f"'{path}' cannot be read ({error}).") from error


def plan_from_arguments(args: argparse.Namespace) -> WarpPlan:
    """Picture, mask and flow of an 'animate' command line as a plan ready to render. Raises InputError."""
    picture = load_picture(args.picture, longer_side=args.size)
    hints, angle = _hints(args.hints), _angle(args.direction)
    if args.mask:
        mask = load_mask(args.mask, *picture.shape[1:3])
        mask = refine_mask((mask >= 0.5).float(), feather=args.feather)
    else:
        found = mask_from_hints(picture, hints)
        mask = refine_mask(found, fill_holes=0.001, min_area=0.0005, feather=args.feather)
    field: MotionField = solve_flow(
        picture,
        mask,
        hints,
        angle=angle,
        perspective=args.perspective,
        incompressibility=args.incompressibility,
    )
    return WarpPlan(picture, field, args.frames, args.speed, args.renderer, args.integration)


def run(args: argparse.Namespace) -> int:
    """Render, write and (if asked) measure; returns 0. Raises InputError."""
    kind = _format(args)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device", "is 'cuda', but torch finds no CUDA card.", "Use 'cpu'.")
    if args.output.exists() and args.picture.exists() and args.output.samefile(args.picture):
        raise InputError("output", f"'{args.output}' is the picture itself.", "Give the loop another name.")
    plan = plan_from_arguments(args)
    loop = LoopRenderer(plan, args.blend, args.device, anchor=args.anchor)
    # The delay keeps the bar out of the way of a refusal before the first frame.
    with tqdm(total=len(loop), unit="frame", desc="rendering", delay=0.1) as bar:
        path = write_loop(
            loop,
            args.output,
            frame_rate=args.rate,
            format=kind,
            quality=args.quality,
            count=len(loop),
            on_frame=lambda done: bar.update(done - bar.n),
        )
    print(path)
    if args.previews:
        for name, shown in (
            ("mask", mask_overlay(plan.picture, plan.flow.mask)[0]),
            ("flow", flow_preview(plan.picture, plan.flow)[0]),
            ("sheet", torch.from_numpy(contact_sheet(LoopFile(path))) / 255.0),
        ):
            print(save_picture(shown, path.with_name(f"{path.stem}_{name}.png")))
    if args.measure:
        field = MotionField(plan.flow.velocity * plan.speed, plan.flow.mask)
        print(measure_loop(loop, plan.flow.mask, field, plan.picture[0], coverage=loop.coverage).as_table())
    return 0
