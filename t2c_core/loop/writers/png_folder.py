"""A folder of numbered PNG pictures: lossless, for other programs to pick up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image, PngImagePlugin

from ..frames import as_bytes
from .apng import png_info
from .settings import Settings

FRAME_NAME = "frame_{:05d}.png"
FRAME_PATTERN = re.compile(r"frame_\d{5,}\.png")


def write_png_folder(frames: Iterator[torch.Tensor], target: Path, settings: Settings) -> None:
    """frame_00000.png, frame_00001.png ... in the new folder ``target``; metadata goes into the first picture."""
    target.mkdir()
    for index, frame in enumerate(frames):
        info = png_info(settings.metadata) if index == 0 else PngImagePlugin.PngInfo()
        picture = Image.fromarray(as_bytes(frame))
        picture.save(target / FRAME_NAME.format(index), "PNG", pnginfo=info, compress_level=4)
