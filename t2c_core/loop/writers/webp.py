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
from .changes import changed_box
from .chunks import riff_chunk, riff_chunks
from .encoding import Encoding

_ANIMATION, _EXIF, _ALPHA = 0x02, 0x08, 0x10
_FOR_EVER = 0
_BLEND_AND_KEEP, _REPLACE_AND_KEEP = 0x00, 0x02
_EXIF_MODEL, _EXIF_MAKE = 0x0110, 0x010F


def write_webp(frames: Iterator[torch.Tensor], target: Path, encoding: Encoding) -> None:
    """Pixels that have never changed are left transparent and so keep the value of the first frame exactly, although
    the compression is lossy (quality 100: lossless). Durations are whole milliseconds; they are rounded so that the
    time never drifts from the frame rate. Where something half transparent moves, the box of what moves is stored
    whole: drawn over, it would add up.
    """
    exif = _exif(encoding.metadata)
    flags = _ANIMATION | _ALPHA | (_EXIF if exif else 0)
    with target.open("wb") as file:
        file.write(b"RIFF\0\0\0\0WEBP")
        file.write(riff_chunk(b"VP8X", struct.pack("<I", flags) + _u24(encoding.width - 1) + _u24(encoding.height - 1)))
        file.write(riff_chunk(b"ANIM", struct.pack("<IH", 0, _FOR_EVER)))
        previous = ever = None
        soft = False
        for index, frame in enumerate(frames):
            pixels = as_bytes(frame)
            if previous is None:
                ever = np.zeros(pixels.shape[:2], bool)
                rows, columns, alpha = slice(0, encoding.height), slice(0, encoding.width), encoding.alpha
            else:
                changed = (pixels != previous).any(axis=2)
                ever |= changed
                rows, columns = changed_box(changed, even=True)
                # Everything that has moved so far is drawn again, not only what changed just now: the shape then
                # hardly varies, which compresses better than a mask full of specks.
                alpha = np.uint8(255) * (ever[rows, columns] & changed.any())
                if encoding.alpha is not None:
                    soft |= bool((ever & (encoding.alpha % 255 > 0)).any())
                    whole = encoding.alpha[rows, columns]
                    alpha = whole if soft else np.minimum(alpha, whole)
            previous = pixels
            start, end = (round(i * 1000 / encoding.rate) for i in (index, index + 1))
            place = columns.start // 2, rows.start // 2
            size = columns.stop - columns.start - 1, rows.stop - rows.start - 1
            header = b"".join(_u24(value) for value in (*place, *size, end - start))
            data = _encode(pixels[rows, columns], alpha, encoding.quality)
            file.write(riff_chunk(b"ANMF", header + bytes([_REPLACE_AND_KEEP if soft else _BLEND_AND_KEEP]) + data))
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
    """The picture chunks (ALPH, VP8, VP8L) of [h, w, 3] uint8 and alpha [h, w] uint8 or None."""
    if alpha is not None:
        pixels = np.dstack([pixels, alpha])
    buffer = BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if quality == 100:
        image.save(buffer, "WEBP", lossless=True, quality=50, method=2)
    else:
        image.save(buffer, "WEBP", quality=quality, alpha_quality=100, method=3)
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
