"""Pictures from files to tensors and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import InputError


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey levels of 16 bits or floats in 0..1 scaled to 8 bits: Pillow's own conversion cuts them off at 255."""
    if image.mode.startswith("I"):
        levels = np.asarray(image, np.float32) / 257.0
    elif image.mode == "F":
        levels = np.nan_to_num(np.asarray(image, np.float32)) * 255.0
    else:
        return image
    return Image.fromarray(levels.round().clip(0, 255).astype(np.uint8))


def _open(path: str | Path, input: str) -> Image.Image:
    """The picture in a file, read and turned upright. Raises InputError(input)."""
    try:
        with Image.open(path) as opened:
            return _eight_bits(ImageOps.exif_transpose(opened))
    except FileNotFoundError:
        raise InputError(input, f"'{path}' does not exist.") from None
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError(input, f"'{path}' cannot be read ({error}).") from error


def load_picture(path: str | Path, *, longer_side: int | None = None) -> torch.Tensor:
    """A picture file as [1, H, W, 3] float32 in 0..1, turned upright; made smaller if a longer side is given.

    Raises InputError('picture') for a file that is missing or no picture, InputError('size') for a side below 1.
    """
    if longer_side is not None and longer_side < 1:
        raise InputError("size", f"is {longer_side}; it must be at least 1.")
    picture = _open(path, "picture").convert("RGB")
    if longer_side and max(picture.size) > longer_side:
        scale = longer_side / max(picture.size)
        picture = picture.resize([max(1, round(s * scale)) for s in picture.size], Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(picture, np.float32) / 255.0)[None]


def load_mask(path: str | Path, height: int, width: int) -> torch.Tensor:
    """A mask file as [1, height, width] float32 in 0..1 (white moves), turned upright and scaled to that size.

    Raises InputError('mask') for a file that is missing or no picture.
    """
    mask = _open(path, "mask").convert("L").resize((width, height), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(mask, np.float32) / 255.0)[None]


def save_picture(picture: torch.Tensor, path: str | Path) -> Path:
    """Write a picture [H, W, 3] or mask [H, W] in 0..1 as PNG (or what the name's ending says); returns the path."""
    target = Path(path)
    temporary = target.with_name(f".{target.stem}.part{target.suffix}")
    try:
        Image.fromarray((picture.cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy()).save(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return target
