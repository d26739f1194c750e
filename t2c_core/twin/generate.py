"""Twins from prompts with diffusers' networks: joint sampling from noise or an inverted image to pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..errors import InputError
from ..memory import first_that_fits
from ..types import Attention
from .attention_store import AttentionStore
from .diffusers_adapter import DiffusersDenoiser, injection_layers
from .feature_injection import FeatureInjector
from .joint_sampling import sample_twins
from .load import DiffusionModels, decode, encode_image, encode_text, on_devices, prompt_words
from .padding import LATENT_SCALE, check_size, pad_image
from .prompts import TwinPrompts
from .schedule import ddim_schedule
from .settings import TwinSettings


@dataclass(frozen=True)
class Twins:
    """artistic, realistic: [1, H, W, 3] float32 in 0..1, of the same size and layout. attention: the artistic one's."""

    artistic: torch.Tensor
    realistic: torch.Tensor
    attention: Attention


def generate_twins(
    models: DiffusionModels,
    prompts: TwinPrompts,
    settings: TwinSettings = TwinSettings(),
    *,
    image: torch.Tensor | None = None,
    size: tuple[int, int] | None = None,
    seed: int = 0,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> Twins:
    """Sample an artistic image and its realistic twin.

    image: [1, H, W, 3] float32 in 0..1, becomes the artistic one unchanged and is inverted instead of noise; size and
    seed do not count then. size: (height, width) in pixels, multiples of 8; None: the model's own. seed: of the noise,
    drawn on the CPU. on_step(done, total) is called after every step.
    Where a device has not enough memory the CPU takes over. Raises InputError('width'), ('height') or ('image') for
    sizes that cannot be, ('prompt') for an empty one, ('dtype' or 'checkpoint') for latents that are not finite.
    """
    padded = None if image is None else pad_image(image)
    if padded is not None:
        size = (padded.shape[1], padded.shape[2])
    else:
        size = size or (models.native_size, models.native_size)
        check_size(*size)
    texts = prompts.by_name()
    latent = None if padded is None else encode_image(models, padded)
    shape = (1, 4, size[0] // LATENT_SCALE, size[1] // LATENT_SCALE)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    schedule = ddim_schedule(models.table, settings.steps, keep_last_noise=settings.keep_last_noise)

    def sample(models: DiffusionModels) -> tuple[tuple[torch.Tensor, torch.Tensor], AttentionStore]:
        encoded = {name: encode_text(models, text, size) for name, text in texts.items()}
        store = AttentionStore(1, encoded["cond"].context.shape[1])
        injector = FeatureInjector(settings, injection_layers(models.unet), store)
        start = None if latent is None else latent.to(models.device)
        with DiffusersDenoiser(models.unet, encoded, models.table, injector, prediction=models.prediction) as denoiser:
            latents = sample_twins(
                denoiser,
                noise.to(models.device),
                schedule,
                latent=start,
                on_step=lambda done, total, preview: on_step(done, total),
            )
        return latents, store

    latents, store = first_that_fits(on_devices(models), sample, "painting the twins")
    if not all(torch.isfinite(x).all() for x in latents):
        if models.unet.dtype == torch.float32:
            raise InputError("checkpoint", "makes NaN or infinite latents, in float32 too.")
        kind = str(models.unet.dtype).removeprefix("torch.")
        raise InputError("dtype", f"{kind}: this model makes NaN or infinite latents.", "Try float32.")
    artistic, realistic = decode(models, latents) if image is None else (image, *decode(models, latents[1:]))
    realistic = realistic[:, : artistic.shape[1], : artistic.shape[2]]
    return Twins(artistic, realistic, store.result(prompt_words(models, texts["cond"]))[0])
