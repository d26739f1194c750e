"""A folder of numbered PNG pictures: lossless, for other programs to pick up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, PngImagePlugin

from ..frames import as_bytes
from .apng import png_info
from .encoding import Encoding

FRAME_NAME = "frame_{:05d}.png"
FRAME_PATTERN = re.compile(r"frame_\d{5,}\.png")


def write_png_folder(frames: Iterator[torch.Tensor], target: Path, encoding: Encoding) -> None:
    """frame_00000.png, frame_00001.png ... in the new folder ``target``; metadata goes into the first picture."""
    target.mkdir()
    for index, frame in enumerate(frames):
        info = png_info(encoding.metadata) if index == 0 else PngImagePlugin.PngInfo()
        pixels = as_bytes(frame)
        image = Image.fromarray(pixels if encoding.alpha is None else np.dstack([pixels, encoding.alpha]))
        image.save(target / FRAME_NAME.format(index), "PNG", pnginfo=info, compress_level=4)
