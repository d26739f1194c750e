"""Image files to tensors and back."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from ..errors import InputError
from ..geometry import fit_longest_side
from .decode import WHITE, Pixels, decode, opened, upright_size
from .files import atomic_write

MAX_PIXELS = 2**26
"""Of a picture: 8192 x 8192, 0.8 GB as float32. The largest loops have an eighth of it."""


class Picture(NamedTuple):
    """image: [1, H, W, 3] float32 in 0..1, sRGB, not multiplied by alpha; alpha: [1, H, W] in 0..1, None where all is
    opaque; note: sentences on what was done to the file's pixels, or ''.
    """

    image: torch.Tensor
    alpha: torch.Tensor | None
    note: str


def read_picture(path: str | Path, *, longer_side: int | None = None) -> Picture:
    """A picture file, upright and sRGB, with its alpha; made smaller if a longer side (px) is given.

    Colours that alpha hides entirely are replaced by the nearest visible ones. Raises InputError('picture') for a file
    that is missing, no image or of over MAX_PIXELS once it is made smaller, InputError('size') for a side below 1.
    """
    if longer_side is not None and longer_side < 1:
        raise InputError("size", f"is {longer_side}; it must be at least 1.")
    with opened(path, "picture") as file:
        # The head says the size; a file of a few bytes may claim any.
        width, height = upright_size(file)
        rows, columns = fit_longest_side(height, width, longer_side or max(height, width))
        if rows * columns > MAX_PIXELS:
            problem = f"'{path}' is {width}x{height}; at most {MAX_PIXELS / 1e6:.0f} megapixels are read."
            raise InputError("picture", problem, "Make it smaller ('size').")
        pixels = decode(file)
    layers = pixels.with_hidden_filled(), pixels.alpha
    image, alpha = (None if layer is None else _fitted(layer, longer_side) for layer in layers)
    assert image is not None
    return Picture(image, alpha, f"'{path}': {pixels.note}" if pixels.note else "")


def load_image(path: str | Path, *, longer_side: int | None = None) -> torch.Tensor:
    """The image of :func:`read_picture`, [1, H, W, 3], what is transparent laid over white. Raises the same."""
    return over_white(read_picture(path, longer_side=longer_side))


def over_white(picture: Picture) -> torch.Tensor:
    """[1, H, W, 3]: the image, what is transparent laid over white."""
    image, alpha, _ = picture
    return image if alpha is None else torch.lerp(torch.ones_like(image), image, alpha[..., None])


def _fitted(layer: np.ndarray, longer_side: int | None) -> torch.Tensor:
    """[1, H, W, ...] float32 in 0..1 of uint8 levels."""
    height, width = layer.shape[:2]
    size = fit_longest_side(height, width, longer_side or max(height, width))
    if size != (height, width):
        layer = np.asarray(Image.fromarray(layer).resize((size[1], size[0]), Image.Resampling.LANCZOS))
    levels = layer.astype(np.float32)
    levels /= 255.0  # in place: large pictures take gigabytes
    return torch.from_numpy(levels)[None]


def read_mask(path: str | Path, height: int, width: int) -> tuple[torch.Tensor, str]:
    """A mask file as [1, height, width] float32 in 0..1 (1 moves), upright and scaled to that size, and a sentence on
    what was taken for the mask ('' for a plain picture of that size whose bright parts move).

    Of a file with alpha: what is painted in one colour is the mask; black and white strokes on nothing are read over
    black; a picture with holes, as ComfyUI's mask editor saves it, moves where it is transparent. A row or column that
    video formats add to odd sizes is not scaled. Raises InputError('mask') for a file that is missing or no image.
    """
    with opened(path, "mask") as file:
        levels, note = _mask_levels(decode(file))
    missing = height - levels.shape[0], width - levels.shape[1]
    if not all(0 <= m <= 1 for m in missing):
        note += f" It was scaled from {levels.shape[1]}x{levels.shape[0]} to {width}x{height}."
        levels = np.asarray(Image.fromarray(levels).resize((width, height), Image.Resampling.BILINEAR))
        missing = 0, 0
    values = np.pad(levels.astype(np.float32) / 255.0, [(0, m) for m in missing], mode="edge")
    return torch.from_numpy(values)[None], f"'{path}': {note.strip()}" if note else ""


def load_mask(path: str | Path, height: int, width: int) -> torch.Tensor:
    """The mask of :func:`read_mask`, [1, height, width]. Raises the same."""
    return read_mask(path, height, width)[0]


_ONE_COLOUR = 8
_DRAWN_SHARE = 0.95


def _mask_levels(pixels: Pixels) -> tuple[np.ndarray, str]:
    """[H, W] uint8 (255 moves) and a sentence on where it was found."""
    alpha = pixels.alpha
    if alpha is None or alpha.min() == alpha.max():
        return _grey(pixels.on(WHITE)), ""
    visible = pixels.rgb[alpha > 127] if (alpha > 127).any() else pixels.rgb[alpha > 0]
    if (np.ptp(np.percentile(visible, (2, 98), axis=0), axis=0) <= _ONE_COLOUR).all():
        return alpha, "what is painted in it moves, what is transparent stays still."
    ends = ((visible <= _ONE_COLOUR).all(axis=1) | (visible >= 255 - _ONE_COLOUR).all(axis=1)).mean()
    if ends >= _DRAWN_SHARE:
        return _grey(pixels.on(0)), "what is white in it moves, what is black or transparent stays still."
    return 255 - alpha, "what is transparent in it moves, as ComfyUI's mask editor saves it."


def _grey(rgb: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(rgb).convert("L"))


def to_uint8(image: torch.Tensor) -> np.ndarray:
    """uint8 of an image [H, W, 3] or mask [H, W] in 0..1, rounded to the nearest level."""
    return (image.detach().float().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def save_image(image: torch.Tensor, path: str | Path) -> Path:
    """Write an image [H, W, 3] or mask [H, W] in 0..1 as PNG (or what the name's suffix says); returns the path."""
    target = Path(path)
    with atomic_write(target) as temporary:
        Image.fromarray(to_uint8(image)).save(temporary)
    return target
