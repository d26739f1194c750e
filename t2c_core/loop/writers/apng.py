"""Animated PNG: lossless, full colour, plays for ever. Frames are written as they come; only the last one is kept.

Format: PNG specification (third edition), chunks acTL, fcTL, fdAT. The pictures themselves are compressed by Pillow.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, PngImagePlugin

from ..frames import as_bytes
from .changes import Box, bounding_box
from .chunks import PNG_SIGNATURE, png_chunk, png_chunks
from .settings import Settings

_FOR_EVER = 0
_KEEP, _OVER = 0, 1


def write_apng(frames: Iterator[torch.Tensor], target: Path, settings: Settings) -> None:
    """Pixels that did not change since the frame before are stored as transparent, so still parts cost nothing.

    The quality setting chooses nothing here: APNG is always lossless.
    """
    delay = (1 / settings.rate).limit_denominator(65535)
    with target.open("wb") as file:
        file.write(PNG_SIGNATURE)
        header = struct.pack(">IIBBBBB", settings.width, settings.height, 8, 6, 0, 0, 0)
        file.write(png_chunk(b"IHDR", header))
        count_at = file.tell()
        file.write(_animation_control(0))
        for key, value in settings.metadata.items():
            file.write(text_chunk(key, value))
        sequence = count = 0
        previous: np.ndarray | None = None
        for frame in frames:
            pixels = as_bytes(frame)
            box, data = _encode(pixels, previous)
            control = struct.pack(
                ">IIIIIHHBB",
                *(sequence, box.right - box.left, box.bottom - box.top, box.left, box.top),
                *(delay.numerator, delay.denominator, _KEEP, _OVER),
            )
            file.write(png_chunk(b"fcTL", control))
            sequence += 1
            for part in data:
                if previous is None:
                    file.write(png_chunk(b"IDAT", part))
                else:
                    file.write(png_chunk(b"fdAT", struct.pack(">I", sequence) + part))
                    sequence += 1
            previous = pixels
            count += 1
        file.write(png_chunk(b"IEND", b""))
        file.seek(count_at)
        file.write(_animation_control(count))


def text_chunk(key: str, value: str) -> bytes:
    """An iTXt chunk (UTF-8) with a keyword of at most 79 characters."""
    keyword = key.encode("latin-1", "replace")[:79]
    return png_chunk(b"iTXt", keyword + b"\0\0\0\0\0" + value.encode("utf-8"))


def png_info(metadata: dict[str, str]) -> PngImagePlugin.PngInfo:
    """The same text for a picture that Pillow writes."""
    info = PngImagePlugin.PngInfo()
    for key, value in metadata.items():
        info.add_itxt(key[:79], value)
    return info


def _animation_control(count: int) -> bytes:
    return png_chunk(b"acTL", struct.pack(">II", count, _FOR_EVER))


def _encode(pixels: np.ndarray, previous: np.ndarray | None) -> tuple[Box, list[bytes]]:
    """What of [H, W, 3] uint8 must be drawn over the previous frame: its box and compressed RGBA data."""
    height, width = pixels.shape[:2]
    rgba = np.empty((height, width, 4), np.uint8)
    rgba[..., :3] = pixels
    rgba[..., 3] = 255
    box = Box(0, 0, width, height)
    if previous is not None:
        changed = (pixels != previous).any(axis=2)
        box = bounding_box(changed)
        rgba = rgba[box.rows_columns]
        rgba[~changed[box.rows_columns]] = 0
    buffer = BytesIO()
    Image.fromarray(np.ascontiguousarray(rgba)).save(buffer, "PNG", compress_level=6)
    return box, [payload for kind, payload in png_chunks(buffer.getvalue()) if kind == b"IDAT"]
