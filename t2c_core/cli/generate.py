"""``generate``: a prompt and a diffusion model to a seamless loop in a file, without ComfyUI."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..io.images import save_image
from ..job import DTYPES, make_loop
from ..settings import describe
from ..twin.load import PREDICTIONS
from ..twin.prompts import TwinPrompts
from ..twin.settings import TwinSettings
from .fluid import add_fluid_arguments, job_from
from .loop import add_loop_arguments, check_loop_arguments, preview_paths, save_loop
from .options import add_settings, given_settings, say, settings_from, stage

INPUT_NAMES = {"image": "picture"}
PREVIEWS = ("artistic", "realistic")
"""Written besides those of every loop."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    parser.add_argument("prompt", help=describe(TwinPrompts)["prompt"].help)
    parser.add_argument(
        "--checkpoint",
        type=Path,
        required=True,
        help="SD 1.x, 2.x or XL: a .safetensors file or a diffusers folder; Flux, SD 3, Qwen-Image: a diffusers folder",
    )
    parser.add_argument("--tokenizer", type=Path, help="of SD 1.x to XL: folder with CLIP's vocab.json and merges.txt")
    parser.add_argument("--prediction", choices=PREDICTIONS, help="what an SD 1.x to XL predicts, if not found")
    parser.add_argument("--dtype", choices=tuple(DTYPES), default="float32", help="precision of UNet or transformer")
    add_settings(parser, TwinPrompts, without=("prompt",))
    parser.add_argument("--picture", type=Path, help="a picture that gets a twin, instead of noise")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, help="multiple of 8 (default: the model's own)")
    parser.add_argument("--height", type=int, help="multiple of 8 (default: the model's own)")
    add_settings(parser, TwinSettings)
    add_fluid_arguments(parser, attention=True)
    add_loop_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Paint the twins, find mask and motion in the realistic one, animate the artistic one; returns 0.

    Raises InputError.
    """
    check_loop_arguments(args, *PREVIEWS)
    names = ("prompt", "checkpoint", "tokenizer", "prediction", "dtype", "seed", "width", "height")
    given = {name: getattr(args, name) for name in names} | given_settings(args, TwinPrompts)
    job = job_from(args, image=args.picture, twin=settings_from(args, TwinSettings), **given)
    made = make_loop(job, stage=stage, say=say, coverage=args.measure)
    code = save_loop(made.loop, args)
    if args.previews and made.twins:
        shown = (made.twins.artistic, made.twins.realistic)
        for image, file in zip(shown, preview_paths(args, *PREVIEWS), strict=True):
            print(save_image(image[0], file))
    return code
