"""``convert``: a published checkpoint to a .safetensors file."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ..io.weights import convert_bin
from ..networks.checkpoint import convert
from .options import check_paths


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    parser.add_argument(
        "source", type=Path, help="latest_net_G.pth of one of the paper's networks, or pytorch_model.bin"
    )
    parser.add_argument("target", type=Path, help="file to write")
    parser.add_argument("--fp16", action="store_true", help="half precision: half as large")


def run(args: argparse.Namespace) -> int:
    """Convert and say what it is; returns 0. Raises InputError."""
    check_paths(args, output="target")
    if args.source.suffix.lower() == ".bin":
        print(f"{args.target}: {convert_bin(args.source, args.target, half=args.fp16)} tensors")
        return 0
    kind = convert(args.source, args.target, torch.float16 if args.fp16 else torch.float32)
    print(f"{args.target}: {kind}")
    return 0
