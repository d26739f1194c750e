"""Pictures from files to tensors and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import InputError


def load_picture(path: str | Path, *, longer_side: int | None = None) -> torch.Tensor:
    """A picture file as [1, H, W, 3] float32 in 0..1, turned upright; made smaller if a longer side is given.

    Raises InputError('picture') for a file that is missing or no picture.
    """
    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGB")
    except FileNotFoundError:
        raise InputError("picture", f"'{path}' does not exist.") from None
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InputError("picture", f"'{path}' cannot be read ({error}).") from error
    if longer_side and max(picture.size) > longer_side:
        scale = longer_side / max(picture.size)
        picture = picture.resize([max(1, round(s * scale)) for s in picture.size], Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(picture, np.float32) / 255.0)[None]


def load_mask(path: str | Path, height: int, width: int) -> torch.Tensor:
    """A mask file as [1, height, width] float32 in 0..1 (white moves), scaled to that size. Raises InputError."""
    try:
        with Image.open(path) as opened:
            mask = opened.convert("L").resize((width, height), Image.Resampling.BILINEAR)
    except OSError as error:
        raise InputError("mask", f"'{path}' cannot be read ({error}).") from error
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
