"""``paint``: a photograph to a painting of the same size."""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from .errors import InputError
from .pictures import load_picture, save_picture
from .twin.photo import BRUSH_RANGE, DEFAULT_STYLE, FROM_PICTURE, STYLES, paint


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add 'paint' to the sub-commands; ``run`` is set as its default 'run'."""
    parser = subparsers.add_parser("paint", help="paint a photograph", description="Paint a photograph.")
    parser.add_argument("picture", type=Path, help="any picture file")
    parser.add_argument("-o", "--output", type=Path, required=True, help="picture file to write (png, jpg, webp ...)")
    parser.add_argument("--style", default=None, help=f"{', '.join(STYLES)} ({DEFAULT_STYLE})")
    parser.add_argument("--style-picture", type=Path, help="take the style of this picture instead")
    parser.add_argument("--strength", type=float, default=1.0, help="0: the photograph .. 1: all paint (1)")
    parser.add_argument(
        "--brush", type=float, default=1.0, help=f"size of the strokes, {BRUSH_RANGE[0]}..{BRUSH_RANGE[1]:g} (1)"
    )
    parser.add_argument("--preserve-colour", action="store_true", help="keep the photograph's colours")
    parser.add_argument("--size", type=int, help="scale the picture down to this longer side first")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Paint and write; returns 0. Raises InputError."""
    if args.output.exists() and args.picture.exists() and args.output.samefile(args.picture):
        raise InputError("output", f"'{args.output}' is the picture itself.", "Give the painting another name.")
    if args.style_picture and args.style not in (None, FROM_PICTURE):
        raise InputError("style", f"'{args.style}' and a style picture cannot both be used.", "Leave one out.")
    picture = load_picture(args.picture, longer_side=args.size)
    example = load_picture(args.style_picture) if args.style_picture else None
    with tqdm(unit="tile", desc="painting", delay=0.1) as bar:

        def on_step(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        painted = paint(
            picture,
            FROM_PICTURE if args.style_picture else args.style or DEFAULT_STYLE,
            style_picture=example,
            strength=args.strength,
            brush=args.brush,
            preserve_colour=args.preserve_colour,
            on_step=on_step,
        )
    try:
        print(save_picture(painted[0], args.output))
    except ValueError as error:
        raise InputError("output", f"'{args.output.name}' cannot be written ({error}).", "Try .png.") from error
    return 0
