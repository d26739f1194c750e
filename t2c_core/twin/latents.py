"""Images to latents and back, with any of diffusers' autoencoders; on the CPU where a device has not enough memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from .. import memory

Level = tuple[Any, torch.device]


def _scale(vae: Any, like: torch.Tensor) -> tuple[Any, Any]:
    """(mean, scale) of its raw latents: latent = (raw - mean) * scale; of each channel with Qwen-Image's, a video's."""
    config = vae.config
    if "z_dim" in config:
        shape = 1, -1, 1, 1
        mean, deviation = (
            torch.tensor(values).view(shape).to(like) for values in (config.latents_mean, config.latents_std)
        )
        return mean, 1.0 / deviation
    return config.get("shift_factor") or 0.0, config.scaling_factor


@torch.no_grad()
def decode(vae: Any, device: torch.device, latents: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Images float32 [B, 8 h, 8 w, 3] in 0..1, on the CPU, of latents [B, C, h, w], one by one."""

    def run(level: Level, done: int) -> Iterator[torch.Tensor]:
        for latent in latents[done:]:
            latent = latent.to(level[1], torch.float32)
            mean, scale = _scale(vae, latent)
            raw = latent / scale + mean
            frames = "z_dim" in vae.config
            images = level[0].decode(raw[:, :, None]).sample[:, :, 0] if frames else level[0].decode(raw).sample
            yield (images / 2 + 0.5).clamp(0, 1).movedim(1, -1).cpu()

    return list(memory.while_memory_lasts(memory.on_devices(vae, device), run, "decoding"))


@torch.no_grad()
def encode_image(vae: Any, device: torch.device, image: torch.Tensor) -> torch.Tensor:
    """The latents (their mean, scaled), on the CPU, of images [B, H, W, 3] in 0..1; H and W multiples of 8."""
    pixels = image.movedim(-1, 1) * 2 - 1

    def run(level: Level) -> torch.Tensor:
        given = pixels.to(level[1])
        frames = "z_dim" in vae.config
        raw = level[0].encode(given[:, :, None] if frames else given).latent_dist.mean
        raw = raw[:, :, 0] if frames else raw
        mean, scale = _scale(vae, raw)
        return ((raw - mean) * scale).cpu()

    return memory.first_that_fits(memory.on_devices(vae, device), run, "encoding")
