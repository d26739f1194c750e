"""Animated GIF that plays for ever: 255 colours for the whole loop. Format: "Graphics Interchange Format 89a"."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from PIL import GifImagePlugin, Image

from ..frames import as_bytes
from .changes import changed_box
from .encoding import Encoding
from .palette import Palette

_SHORTEST_DELAY = 2
_TRANSPARENT = 255
_SAMPLE_BYTES = 64 * 2**20
_PALETTE_FRAMES = 8
_KEEP = 1


def gif_delay(rate: Fraction) -> int:
    """Hundredths of a second for which every frame is shown: GIF knows no finer unit, and browsers play anything
    shorter than 2 as 10. 30 frames/s become 33.3, 25 stay 25, 24 become 25, 60 become 50.
    """
    return max(_SHORTEST_DELAY, round(100 / rate))


def write_gif(frames: Iterator[torch.Tensor], target: Path, encoding: Encoding) -> None:
    """The palette comes from the first frames (as many as fit 64 MiB; in a cinemagraph every frame has the same
    colours), so the frames are needed only once. The quality setting scales the number of colours (32..255).
    """
    pixels = map(as_bytes, frames)
    sample: list[np.ndarray] = []
    held = max(1, _SAMPLE_BYTES // (encoding.width * encoding.height * 3))
    for frame in pixels:
        sample.append(frame)
        if len(sample) >= held:
            break
    chosen = np.linspace(0, len(sample) - 1, min(len(sample), _PALETTE_FRAMES)).round().astype(int)
    colours = round(32 + (255 - 32) * min(1.0, encoding.quality / 90))
    palette = Palette.from_frames([sample[i] for i in chosen], colours)
    delay = gif_delay(encoding.rate)
    with target.open("wb") as file:
        file.write(_header(encoding, palette))
        screen = np.zeros((encoding.height, encoding.width), np.uint8)
        previous: np.ndarray | None = None
        for frame in chain(_drain(sample), pixels):
            moved = np.ones(screen.shape, bool) if previous is None else (frame != previous).any(axis=2)
            entries = screen.copy()
            entries[moved] = palette.apply(frame, moved)
            file.writelines(_frame(entries, None if previous is None else screen, delay))
            previous, screen = frame, entries
        file.write(b";")


def _drain(items: list[np.ndarray]) -> Iterator[np.ndarray]:
    items.reverse()
    while items:
        yield items.pop()


def _header(encoding: Encoding, palette: Palette) -> bytes:
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette.colours)] = palette.colours
    screen = b"GIF89a" + struct.pack("<HHBBB", encoding.width, encoding.height, 0xF7, 0, 0)
    for_ever = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
    return screen + table.tobytes() + for_ever + b"".join(_comment(k, v) for k, v in encoding.metadata.items())


def _comment(key: str, value: str) -> bytes:
    text = f"{key}:{value}".encode()
    blocks = (text[i : i + 255] for i in range(0, len(text), 255))
    return b"\x21\xfe" + b"".join(bytes([len(b)]) + b for b in blocks) + b"\0"


def _frame(entries: np.ndarray, previous: np.ndarray | None, delay: int) -> list[bytes]:
    """One frame [H, W] of palette entries; what is unchanged is transparent, which LZW packs into almost nothing."""
    origin, transparency = (0, 0), {}
    if previous is not None:
        changed = entries != previous
        box = changed_box(changed)
        entries = np.where(changed, entries, np.uint8(_TRANSPARENT))[box]
        origin = box[1].start, box[0].start
        transparency = {"transparency": _TRANSPARENT}
    image = Image.fromarray(np.ascontiguousarray(entries), "L")
    # Pillow gives the delay in ms and calls greyscale and palette entries alike: 8-bit codes.
    return GifImagePlugin.getdata(image, origin, duration=delay * 10, disposal=_KEEP, **transparency)
