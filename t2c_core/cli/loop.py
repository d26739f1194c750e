"""What the sub-commands that make a loop have in common: its options, rendering, writing, previews, figures."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ..errors import InputError
from ..flow.visualise import flow_preview
from ..io.images import save_image
from ..loop.contact_sheet import contact_sheet
from ..loop.read import LoopFile
from ..loop.render import LoopRenderer
from ..loop.settings import LoopSettings
from ..loop.write import FORMATS, EncodeSettings, format_of, opaque_note, write_loop
from ..metrics.measure import measure_loop
from ..segment.overlay import mask_overlay
from ..types import MotionField
from .options import add_settings, check_paths, given_settings, progress, say, settings_from

PREVIEWS = ("mask", "flow", "sheet")


def add_loop_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how the loop is rendered and written."""
    parser.add_argument("-o", "--output", type=Path, required=True, help="file to write; its ending chooses the format")
    add_settings(parser, EncodeSettings, frame_rate="rate")
    parser.add_argument(
        "--frames",
        type=int,
        help="length of the loop (default: what the words ask for, or what suits what moves: 60 to 120)",
    )
    add_settings(parser, LoopSettings, without=("frames", "network_still"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--previews", action="store_true", help="also write OUTPUT.mask.png, OUTPUT.flow.png and OUTPUT.sheet.png"
    )
    parser.add_argument("--overwrite", action="store_true", help="previews replace files of their names")
    parser.add_argument("--measure", action="store_true", help="print the loop's figures before encoding")


def encode_settings(args: argparse.Namespace) -> EncodeSettings:
    """The options for the file; the format is that of its suffix unless given. Raises InputError."""
    given = given_settings(args, EncodeSettings)
    return settings_from(args, EncodeSettings, format=given.get("format") or format_of(args.output))


def check_loop_arguments(args: argparse.Namespace, *previews: str) -> None:
    """Complain about the options before anything is computed. previews: those besides PREVIEWS. Raises InputError."""
    encode_settings(args)
    check_paths(args, *(preview_paths(args, *PREVIEWS, *previews) if args.previews else ()))
    loop_settings(args, LoopSettings.frames)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device", "is 'cuda', but torch finds no CUDA card.", "Use 'cpu'.")


def preview_paths(args: argparse.Namespace, *names: str) -> list[Path]:
    """Where previews are written: beside the output, with its whole name in theirs."""
    return [args.output.with_name(f"{args.output.name}.{name}.png") for name in names]


def loop_settings(args: argparse.Namespace, frames: int) -> LoopSettings:
    """The options for the loop; ``frames`` is its length unless given. Raises InputError."""
    return settings_from(args, LoopSettings, frames=frames if args.frames is None else args.frames)


def save_loop(loop: LoopRenderer, args: argparse.Namespace, alpha: torch.Tensor | None = None) -> int:
    """Render and write the loop, then its previews and figures if asked; returns 0. Raises InputError.

    alpha: [H, W] in 0..1, of a picture that is transparent in places.
    """
    plan = loop.plan
    settings = encode_settings(args)
    if alpha is not None and not FORMATS[settings.format].alpha:
        say(opaque_note(settings.format))
    with progress("frame", "rendering") as on_step:
        total = settings.loops * len(loop)
        path = write_loop(loop, args.output, settings, alpha=alpha, on_frame=lambda done: on_step(done, total))
    print(path)
    if args.previews:
        shown = (
            mask_overlay(plan.image, plan.flow.mask)[0],
            flow_preview(plan.image, plan.flow)[0],
            torch.from_numpy(contact_sheet(LoopFile(path))) / 255.0,
        )
        for image, file in zip(shown, preview_paths(args, *PREVIEWS), strict=True):
            print(save_image(image, file))
    if args.measure:
        field = MotionField(plan.flow.velocity * plan.settings.speed, plan.flow.mask)
        with progress("frame", "measuring") as on_step:
            report = measure_loop(
                loop,
                plan.flow.mask,
                field,
                plan.image[0],
                coverage=loop.coverage,
                on_frame=lambda done: on_step(done, len(loop)),
            )
        print(report.as_table())
    return 0
