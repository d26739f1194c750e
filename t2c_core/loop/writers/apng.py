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
from .changes import changed_box
from .chunks import PNG_SIGNATURE, png_chunk, png_chunks
from .encoding import Encoding

_FOR_EVER = 0
_KEEP, _SOURCE, _OVER = 0, 0, 1


def write_apng(frames: Iterator[torch.Tensor], target: Path, encoding: Encoding) -> None:
    """Pixels that did not change since the frame before are stored as transparent, so still parts cost nothing.
    With alpha, what lies within the box of the changes is stored whole: drawn over, it would add up.

    The quality setting chooses nothing here: APNG is always lossless.
    """
    delay = (1 / encoding.rate).limit_denominator(65535)
    with target.open("wb") as file:
        file.write(PNG_SIGNATURE)
        header = struct.pack(">IIBBBBB", encoding.width, encoding.height, 8, 6, 0, 0, 0)
        file.write(png_chunk(b"IHDR", header))
        count_at = file.tell()
        file.write(_animation_control(0))
        for key, value in encoding.metadata.items():
            file.write(text_chunk(key, value))
        sequence = count = 0
        previous: np.ndarray | None = None
        for frame in frames:
            pixels = as_bytes(frame)
            (rows, columns), data = _encode(pixels, previous, encoding.alpha)
            control = struct.pack(
                ">IIIIIHHBB",
                *(sequence, columns.stop - columns.start, rows.stop - rows.start, columns.start, rows.start),
                *(delay.numerator, delay.denominator, _KEEP, _OVER if encoding.alpha is None else _SOURCE),
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


def _encode(
    pixels: np.ndarray, previous: np.ndarray | None, alpha: np.ndarray | None
) -> tuple[tuple[slice, slice], list[bytes]]:
    """What of [H, W, 3] uint8 must be drawn over the previous frame: its box and compressed RGBA data."""
    height, width = pixels.shape[:2]
    rgba = np.dstack([pixels, np.full((height, width), 255, np.uint8) if alpha is None else alpha])
    box = slice(0, height), slice(0, width)
    if previous is not None:
        changed = (pixels != previous).any(axis=2)
        box = changed_box(changed)
        rgba = rgba[box] if alpha is not None else rgba[box] * changed[box][..., None]
    buffer = BytesIO()
    Image.fromarray(np.ascontiguousarray(rgba)).save(buffer, "PNG", compress_level=6)
    return box, [payload for kind, payload in png_chunks(buffer.getvalue()) if kind == b"IDAT"]
