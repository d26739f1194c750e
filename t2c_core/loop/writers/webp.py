"""Animated WebP that plays for ever. Frames are written as they come; the container is put together here because
libwebp's own animation encoder keeps the whole file in memory and merges equal frames.

Format: "WebP Container Specification" (RFC 9649), chunks VP8X, ANIM, ANMF. Pillow's libwebp encodes the pictures.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ...errors import InputError
from ..frames import as_bytes
from .changes import Box, bounding_box
from .chunks import riff_chunk, riff_chunks
from .settings import Settings

LARGEST = 16383
_ANIMATION, _EXIF, _ALPHA = 0x02, 0x08, 0x10
_FOR_EVER = 0
_BLEND_AND_KEEP = 0x00
_EXIF_MODEL, _EXIF_MAKE = 0x0110, 0x010F


def write_webp(frames: Iterator[torch.Tensor], target: Path, settings: Settings) -> None:
    """Pixels that have never changed are left transparent and so keep the value of the first frame exactly, although
    the compression is lossy (quality 100: lossless). Durations are whole milliseconds; they are rounded so that the
    time never drifts from the frame rate.
    """
    if max(settings.width, settings.height) > LARGEST:
        raise InputError(
            "format",
            f"webp cannot hold a picture of {settings.width}x{settings.height} pixels.",
            f"Its limit is {LARGEST} on a side; choose another format or a smaller picture.",
        )
    exif = _exif(settings.metadata)
    flags = _ANIMATION | _ALPHA | (_EXIF if exif else 0)
    with target.open("wb") as file:
        file.write(b"RIFF\0\0\0\0WEBP")
        file.write(riff_chunk(b"VP8X", struct.pack("<I", flags) + _u24(settings.width - 1) + _u24(settings.height - 1)))
        file.write(riff_chunk(b"ANIM", struct.pack("<IH", 0, _FOR_EVER)))
        previous = ever = None
        for index, frame in enumerate(frames):
            pixels = as_bytes(frame)
            if previous is None:
                ever = np.zeros(pixels.shape[:2], bool)
                box, alpha = Box(0, 0, settings.width, settings.height), None
            else:
                changed = (pixels != previous).any(axis=2)
                ever |= changed
                box = bounding_box(changed, even=True)
                # Everything that has moved so far is drawn again, not only what changed just now: the shape then
                # hardly varies, which compresses better than a mask full of specks.
                alpha = ever[box.rows_columns] & changed.any()
            previous = pixels
            start, end = (round(i * 1000 / settings.rate) for i in (index, index + 1))
            header = b"".join(
                _u24(v)
                for v in (box.left // 2, box.top // 2, box.right - box.left - 1, box.bottom - box.top - 1, end - start)
            )
            data = _encode(pixels[box.rows_columns], alpha, settings.quality)
            file.write(riff_chunk(b"ANMF", header + bytes([_BLEND_AND_KEEP]) + data))
        if exif:
            file.write(riff_chunk(b"EXIF", exif))
        size = file.tell() - 8
        if size >= 2**32:
            raise InputError("format", "the webp file would exceed its limit of 4 GiB.", "Choose mp4 or png.")
        file.seek(4)
        file.write(struct.pack("<I", size))


def _u24(value: int) -> bytes:
    return struct.pack("<I", value)[:3]


def _encode(pixels: np.ndarray, alpha: np.ndarray | None, quality: int) -> bytes:
    """The picture chunks (ALPH, VP8, VP8L) of [h, w, 3] uint8 with an optional bool alpha [h, w]."""
    if alpha is not None:
        pixels = np.dstack([pixels, alpha.astype(np.uint8) * 255])
    buffer = BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    if quality == 100:
        picture.save(buffer, "WEBP", lossless=True, quality=50, method=2)
    else:
        picture.save(buffer, "WEBP", quality=quality, alpha_quality=100, method=3)
    kept = (b"ALPH", b"VP8 ", b"VP8L")
    return b"".join(riff_chunk(kind, data) for kind, data in riff_chunks(buffer.getvalue()) if kind in kept)


def _exif(metadata: dict[str, str]) -> bytes:
    """Text as 'key:value' in the tags where ComfyUI looks for it: the prompt in Model, others from Make downwards."""
    if not metadata:
        return b""
    exif = Image.Exif()
    others = iter(range(_EXIF_MAKE, 0, -1))
    for key, value in metadata.items():
        exif[_EXIF_MODEL if key == "prompt" else next(others)] = f"{key}:{value}".encode()
    return exif.tobytes()
