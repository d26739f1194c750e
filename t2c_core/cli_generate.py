"""``generate``: a prompt and a Stable Diffusion model to a seamless loop in a file, without ComfyUI."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tqdm import tqdm

from .cli_animate import directions_of
from .cli_loop import add_loop_arguments, check_loop_arguments, write_plan
from .errors import InputError
from .flow.regions import region_angles
from .flow.solver import solve_flow
from .pictures import load_picture, save_picture
from .prompt.directions import find_directions, usual_directions
from .prompt.twin_prompt import twin_prompt
from .segment.clusters import CLUSTERINGS
from .segment.from_attention import mask_from_words
from .segment.refine import refine_mask
from .segment.vocabulary import parse_vocabulary
from .twin.generate import Twins, generate_twins
from .twin.load import load_models
from .twin.schedule import NEGATIVE_SCHEDULES
from .twin.settings import PRESETS, TwinSettings
from .types import WarpPlan

_NATIVE = {"sd1": 512, "sd2": 768, "sdxl": 1024}
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add 'generate' to the sub-commands; ``run`` is set as its default 'run'."""
    text = "make a moving picture from a prompt"
    parser = subparsers.add_parser("generate", help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("prompt", help="what it shows, style and direction included")
    parser.add_argument(
        "--checkpoint", type=Path, required=True, help="SD 1.x, 2.x or XL: a .safetensors file or a diffusers folder"
    )
    parser.add_argument("--tokenizer", type=Path, help="folder with CLIP's vocab.json and merges.txt")
    parser.add_argument(
        "--prediction", choices=("epsilon", "v_prediction"), help="what the model predicts, if not found"
    )
    parser.add_argument("--dtype", choices=tuple(_DTYPES), default="float32", help="precision of the UNet")
    parser.add_argument("--twin-prompt", default="", help="the realistic twin (default: the prompt's scene)")
    parser.add_argument("--negative", default="", help="what neither picture shows")
    parser.add_argument("--twin-negative", default="", help="what the twin is led away from (default: the prompt)")
    parser.add_argument("--picture", type=Path, help="a picture that gets a twin, instead of noise")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, help="multiple of 8 (default: the model's own)")
    parser.add_argument("--height", type=int, help="multiple of 8 (default: the model's own)")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--cfg", type=float, default=5.0, help="guidance of the artistic picture (5)")
    parser.add_argument("--twin-cfg", type=float, default=7.5, help="guidance of the twin (7.5)")
    parser.add_argument("--attention-injection", type=float, default=0.5, help="part of the steps, 0..1 (0.5)")
    parser.add_argument("--feature-injection", type=float, default=0.8, help="part of the steps, 0..1 (0.8)")
    parser.add_argument("--negative-schedule", choices=(*NEGATIVE_SCHEDULES, "off"), default="linear")
    parser.add_argument("--preset", choices=PRESETS, default="paper")
    parser.add_argument("--vocabulary", default="", help="words of the prompt that move (default: all that can)")
    parser.add_argument("--clusters", type=int, default=5, help="kinds of regions in the attention (5)")
    parser.add_argument("--clustering", choices=CLUSTERINGS, default="spectral")
    parser.add_argument("--direction", help="as for animate (default: the prompt's directions)")
    parser.add_argument("--feather", type=float, default=3.0, help="soft edge of the mask in pixels")
    add_loop_arguments(parser)
    parser.set_defaults(run=run)
    return parser


def _settings(args: argparse.Namespace) -> TwinSettings:
    off = args.negative_schedule == "off"
    return TwinSettings(
        steps=args.steps,
        source_scale=args.cfg,
        twin_scale=args.twin_cfg,
        attention_injection=args.attention_injection,
        feature_injection=args.feature_injection,
        negative_schedule="constant" if off else args.negative_schedule,
        negative_strength=1.0 if off else TwinSettings.negative_strength,
        preset=args.preset,
    )


def _twins(args: argparse.Namespace) -> Twins:
    settings = _settings(args)
    texts = {
        "uncond": args.negative,
        "cond": args.prompt,
        "negative": args.twin_negative or args.prompt,
        "twin": args.twin_prompt or twin_prompt(args.prompt),
    }
    picture = load_picture(args.picture) if args.picture else None
    models = load_models(
        args.checkpoint,
        tokenizer=args.tokenizer,
        prediction=args.prediction,
        device=args.device,
        dtype=_DTYPES[args.dtype],
    )
    native = _NATIVE[models.family]
    size = (args.height or native, args.width or native)
    with tqdm(total=settings.steps * (2 if picture is not None else 1), unit="step", desc="painting") as bar:
        return generate_twins(
            models, texts, settings, size=size, seed=args.seed, picture=picture, on_step=lambda done: bar.update()
        )


def run(args: argparse.Namespace) -> int:
    """Paint the twins, find mask and motion in the realistic one, animate the artistic one; returns 0.

    Raises InputError.
    """
    check_loop_arguments(args)
    directions = directions_of(args.direction) or find_directions(args.prompt) or usual_directions(args.prompt)
    if not directions:
        raise InputError(
            "direction",
            "is not given, and the prompt says neither a direction nor anything that moves.",
            "Add one: 'left to right'.",
        )
    twins = _twins(args)
    how = {"clusters": args.clusters, "method": args.clustering}
    found = mask_from_words(twins.realistic, twins.attention, parse_vocabulary(args.vocabulary), **how)
    mask = refine_mask(found, fill_holes=0.001, min_area=0.0005, feather=args.feather)
    field = solve_flow(twins.realistic, mask, angle=region_angles(mask, directions, twins.attention))
    plan = WarpPlan(twins.artistic, field, args.frames, args.speed, args.renderer, args.integration)
    code = write_plan(plan, args)
    if args.previews:
        for name, picture in (("artistic", twins.artistic), ("realistic", twins.realistic)):
            print(save_picture(picture[0], args.output.with_name(f"{args.output.stem}_{name}.png")))
    return code
