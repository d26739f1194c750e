"""Image sizes a latent diffusion model takes: multiples of 8, at least 64 px for a new image."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..errors import InputError

LATENT_SCALE = 8
"""Pixels in a latent pixel, along each side."""
MIN_SIZE = 64


def check_size(height: int, width: int) -> None:
    """Raise InputError('height') or ('width') unless both are multiples of 8 from 64 on."""
    for name, value in (("height", height), ("width", width)):
        if value % LATENT_SCALE or value < MIN_SIZE:
            raise InputError(name, f"is {value}; it must be a multiple of {LATENT_SCALE} and at least {MIN_SIZE}.")


def pad_image(image: torch.Tensor, multiple: int = LATENT_SCALE) -> torch.Tensor:
    """``image`` [B, H, W, 3] mirrored at the right and bottom to multiples of 8: a VAE would crop it instead.

    multiple: of a VAE with another scale. Raises InputError('image') for a side below it.
    """
    height, width = image.shape[1:3]
    if min(height, width) < multiple:
        raise InputError("image", f"is {width}x{height}; both sides need at least {multiple} pixels.")
    padding = (0, -width % multiple, 0, -height % multiple)
    return F.pad(image.movedim(-1, 1), padding, mode="reflect").movedim(1, -1)
