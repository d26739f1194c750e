"""``paint``: a photograph to a painting of the same size."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import InputError
from ..io.images import load_image, over_white, read_picture, save_image
from ..stylize.paint import paint
from ..stylize.settings import FROM_PICTURE, PaintSettings
from .options import add_settings, check_paths, progress, say, settings_from

INPUT_NAMES = {"image": "picture", "style_image": "style-picture"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    parser.add_argument("picture", type=Path, help="any picture file")
    parser.add_argument("-o", "--output", type=Path, required=True, help="picture file to write (png, jpg, webp ...)")
    parser.add_argument("--style-picture", type=Path, help="take the style of this picture instead")
    add_settings(parser, PaintSettings)
    parser.add_argument("--size", type=int, help="scale the picture down to this longer side first")


def run(args: argparse.Namespace) -> int:
    """Paint and write; returns 0. Raises InputError."""
    check_paths(args)
    settings = settings_from(args, PaintSettings, **({"style": FROM_PICTURE} if args.style_picture else {}))
    if args.style_picture and settings.style != FROM_PICTURE:
        raise InputError("style", f"'{settings.style}' and a style picture cannot both be used.", "Leave one out.")
    picture = read_picture(args.picture, longer_side=args.size)
    say(picture.note)
    if picture.alpha is not None:
        say(f"'{args.picture}': what is transparent is painted as white.")
    style_image = load_image(args.style_picture) if args.style_picture else None
    with progress("tile", "painting") as on_step:
        painted = paint(over_white(picture), settings, style_image=style_image, on_step=on_step)
    try:
        print(save_image(painted[0], args.output))
    except ValueError as error:
        raise InputError("output", f"'{args.output.name}' cannot be written ({error}).", "Try .png.") from error
    return 0
