"""Latents of the twin sampler: where sampling starts, and the pictures that come out."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import comfy.sample
import torch

from ..t2c_core.errors import InputError
from ..t2c_core.twin.padding import check_size, pad_image

Latent = dict[str, Any]


def start_latents(
    model: Any,
    vae: Any,
    image: torch.Tensor | None,
    latent: Latent | None,
    size: tuple[int, int],
    batch_size: int,
    patch: int = 1,
) -> torch.Tensor:
    """Latents [B, C, h, w], or [B, C, 1, h, w] for models of video, to invert; all zero: sample from noise.

    size: (height, width) in pixels, of new pictures. patch: sides become multiples of it; what is too much is cut off
    the decoded pictures. Raises InputError('latent'), ('vae'), ('height') or ('width').
    """
    form = model.get_model_object("latent_format")
    scale = patch * form.spacial_downscale_ratio
    if image is not None and latent is not None:
        raise InputError("latent", "and image are both connected.", "Connect one: each says where to start.")
    if (channels := getattr(vae, "latent_channels", form.latent_channels)) != form.latent_channels:
        problem = f"has latents of {channels} channels, but the model needs {form.latent_channels}."
        raise InputError("vae", problem, "Load the VAE of the model's family.")
    if image is not None:
        padded = pad_image(image, scale)
        # One by one: a VAE of videos takes a batch for one video.
        return torch.cat([vae.encode(picture) for picture in padded.split(1)])
    if latent is not None:
        samples = latent["samples"]
        if not samples.is_nested:
            samples = comfy.sample.fix_empty_latent_channels(model, samples, latent.get("downscale_ratio_spacial"))
        if samples.is_nested or samples.shape[1] != form.latent_channels or samples.ndim != form.latent_dimensions + 2:
            raise InputError("latent", "is not of this model's kind.", "Use 'Empty Latent Image'.")
        if samples.ndim == 5 and samples.shape[2] != 1:
            raise InputError("latent", f"is a video of {samples.shape[2]} latent frames.", "Use 'Empty Latent Image'.")
        return samples.float()
    check_size(*size)
    grid = [-(-side // scale) * patch for side in size]
    shape = (batch_size, form.latent_channels, *([1] if form.latent_dimensions == 3 else []), *grid)
    return torch.zeros(shape, device=comfy.model_management.intermediate_device())


def decoded(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Pictures [B, H, W, 3] of latents."""
    pictures = vae.decode(latents)
    return pictures.reshape(-1, *pictures.shape[-3:])
