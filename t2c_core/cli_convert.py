"""``convert``: a published checkpoint to a .safetensors file."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from .networks.checkpoint import convert
from .segment.models.convert import convert_bin


def add_parser(subparsers: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Add 'convert' to the sub-commands; ``run`` is set as its default 'run'."""
    text = "turn a published checkpoint into a .safetensors file"
    parser = subparsers.add_parser("convert", help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument(
        "source", type=Path, help="latest_net_G.pth of one of the paper's networks, or pytorch_model.bin"
    )
    parser.add_argument("target", type=Path, help="file to write")
    parser.add_argument("--fp16", action="store_true", help="half precision: half as large")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Convert and say what it is; returns 0. Raises InputError."""
    if args.source.suffix.lower() == ".bin":
        print(f"{args.target}: {convert_bin(args.source, args.target, half=args.fp16)} tensors")
        return 0
    kind = convert(args.source, args.target, torch.float16 if args.fp16 else torch.float32)
    print(f"{args.target}: {kind}")
    return 0
