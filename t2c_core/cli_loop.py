"""What the sub-commands that make a loop have in common: its options, rendering, writing, previews, figures."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tqdm import tqdm

from .errors import InputError
from .flow.visualise import flow_preview
from .loop.contact_sheet import contact_sheet
from .loop.read import LoopFile
from .loop.render import DEFAULT_ANCHOR, LoopRenderer
from .loop.write import FORMATS, write_loop
from .metrics import measure_loop
from .pictures import save_picture
from .segment.overlay import mask_overlay
from .types import BLENDS, INTEGRATIONS, RENDERERS, MotionField, WarpPlan

FRAMES = 60
"""The loop's length where nothing says otherwise."""


def add_loop_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how the loop is rendered and written."""
    parser.add_argument("-o", "--output", type=Path, required=True, help="file to write; its ending chooses the format")
    parser.add_argument("--format", choices=sorted(FORMATS), help="format, where the ending is not enough (mp4-hq)")
    parser.add_argument(
        "--frames",
        type=int,
        default=FRAMES,
        help=f"length of the loop ({FRAMES}; animate --model: what suits the kinds)",
    )
    parser.add_argument("--rate", type=float, default=30.0, help="frames per second (30)")
    parser.add_argument("--speed", type=float, default=1.0, help="multiplies the motion (1)")
    parser.add_argument("--renderer", choices=RENDERERS, default="gather")
    parser.add_argument("--integration", choices=INTEGRATIONS, default="rk4")
    parser.add_argument("--blend", choices=BLENDS, default="contrast")
    parser.add_argument(
        "--anchor", type=float, default=DEFAULT_ANCHOR, help="0: shapes drift (clouds) .. 1: shapes stay"
    )
    parser.add_argument("--quality", type=int, default=90, help="1..100")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--previews", action="store_true", help="also write mask, flow and contact sheet as PNG")
    parser.add_argument("--measure", action="store_true", help="print the loop's figures before encoding")


def _format(args: argparse.Namespace) -> str:
    """The format asked for, or that of the file's ending. Raises InputError."""
    if args.format:
        return args.format
    ending = args.output.suffix.lower()
    for name, entry in FORMATS.items():
        if ending and entry.suffix == ending:
            return name
    raise InputError("output", f"'{args.output.name}' has no known ending.", f"Use one of {', '.join(FORMATS)}.")


def check_loop_arguments(args: argparse.Namespace) -> None:
    """Complain about format and device before anything is computed. Raises InputError."""
    _format(args)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device", "is 'cuda', but torch finds no CUDA card.", "Use 'cpu'.")


def write_plan(plan: WarpPlan, args: argparse.Namespace) -> int:
    """Render and write the loop, then its previews and figures if asked; returns 0. Raises InputError."""
    loop = LoopRenderer(plan, args.blend, args.device, anchor=args.anchor)
    # The delay keeps the bar out of the way of a refusal before the first frame.
    with tqdm(total=len(loop), unit="frame", desc="rendering", delay=0.1) as bar:
        path = write_loop(
            loop,
            args.output,
            frame_rate=args.rate,
            format=_format(args),
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
