"""Twins from prompts with diffusers' networks: joint sampling from noise or an inverted image to pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch

from ..errors import InputError
from ..memory import first_that_fits
from ..types import Attention
from . import transformer_adapter
from .attention_store import AttentionStore
from .diffusers_adapter import DiffusersDenoiser, injection_layers
from .feature_injection import FeatureInjector
from .flow_inversion import twin_of_picture
from .joint_sampling import OnStep, sample_twins
from .latents import decode, encode_image
from .load import DiffusionModels, encode_text, on_devices, prompt_words
from .padding import LATENT_SCALE, check_size, pad_image
from .prompts import TwinPrompts
from .schedule import ddim_schedule
from .settings import TwinSettings
from .transformer_folder import TransformerModels

WORK = "painting the twins"


@dataclass(frozen=True)
class Twins:
    """artistic, realistic: [1, H, W, 3] float32 in 0..1, of the same size and layout. attention: the artistic one's.

    round_trip: relative error of an inverted image's latent, where it is known (transformers).
    """

    artistic: torch.Tensor
    realistic: torch.Tensor
    attention: Attention
    round_trip: float | None = None


class _Task(NamedTuple):
    """What is sampled: texts by the names of `joint_sampling.Denoiser`, noise and latent [1, C, h, w], size in px."""

    texts: Mapping[str, str]
    settings: TwinSettings
    noise: torch.Tensor
    latent: torch.Tensor | None
    size: tuple[int, int]
    on_step: OnStep


class _Sampled(NamedTuple):
    """Latents of source and twin, and what was stored on the way."""

    latents: tuple[torch.Tensor, torch.Tensor]
    attention: Attention
    round_trip: float | None = None


def generate_twins(
    models: DiffusionModels | TransformerModels,
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
    padded = None if image is None else pad_image(image, models.multiple)
    if image is not None:
        size = (image.shape[1], image.shape[2])
    else:
        size = size or (models.native_size, models.native_size)
        check_size(*size)
    height, width = (-(-side // models.multiple) * models.multiple for side in size)
    models.check_size(height, width)
    texts = prompts.by_name()
    latent = None if padded is None else encode_image(models.vae, models.device, padded)
    shape = (1, models.latent_channels, height // LATENT_SCALE, width // LATENT_SCALE)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    task = _Task(texts, settings, noise, latent, (height, width), lambda done, total, preview: on_step(done, total))
    sampled = _with_unet(models, task) if isinstance(models, DiffusionModels) else _with_transformer(models, task)
    if not all(torch.isfinite(x).all() for x in sampled.latents):
        if models.dtype == torch.float32:
            raise InputError("checkpoint", "makes NaN or infinite latents, in float32 too.")
        kind = str(models.dtype).removeprefix("torch.")
        raise InputError("dtype", f"{kind}: this model makes NaN or infinite latents.", "Try float32.")
    new = sampled.latents if image is None else sampled.latents[1:]
    decoded = [picture[:, : size[0], : size[1]] for picture in decode(models.vae, models.device, new)]
    return Twins(decoded[0] if image is None else image, decoded[-1], sampled.attention, sampled.round_trip)


def _with_unet(models: DiffusionModels, task: _Task) -> _Sampled:
    schedule = ddim_schedule(models.table, task.settings.steps, keep_last_noise=task.settings.keep_last_noise)

    def sample(models: DiffusionModels) -> tuple[tuple[torch.Tensor, torch.Tensor], AttentionStore]:
        encoded = {name: encode_text(models, text, task.size) for name, text in task.texts.items()}
        store = AttentionStore(1, encoded["cond"].context.shape[1])
        injector = FeatureInjector(task.settings, injection_layers(models.unet), store)
        latent, noise = _on(models.device, task)
        with DiffusersDenoiser(models.unet, encoded, models.table, injector, prediction=models.prediction) as denoiser:
            return sample_twins(denoiser, noise, schedule, latent=latent, on_step=task.on_step), store

    latents, store = first_that_fits(on_devices(models), sample, WORK)
    return _Sampled(latents, store.result(prompt_words(models, task.texts["cond"]))[0])


def _with_transformer(models: TransformerModels, task: _Task) -> _Sampled:
    settings = task.settings
    schedule = transformer_adapter.flow_schedule(models, settings.steps, task.size)
    layers = transformer_adapter.injection_layers(models, settings)
    guided = any(transformer_adapter.guides(models, settings))
    encoded = models.encode({name: text for name, text in task.texts.items() if guided or name in ("cond", "twin")})

    def sample(device: torch.device) -> _Sampled:
        store = AttentionStore(1, encoded["cond"]["encoder_hidden_states"].shape[1])
        injector, round_trip = FeatureInjector(settings, layers, store), None
        latent, noise = _on(device, task)
        denoiser = transformer_adapter.TransformerDenoiser(models, encoded, injector)
        with models.working(device, "transformer"), denoiser:
            if latent is None:
                latents = sample_twins(denoiser, noise, schedule, on_step=task.on_step)
            else:
                twin, round_trip = twin_of_picture(denoiser, latent, schedule, task.on_step)
                latents = latent, twin
        return _Sampled(latents, store.result(models.words(task.texts["cond"], store.context))[0], round_trip)

    return first_that_fits(models.levels(), sample, WORK)


def _on(device: torch.device, task: _Task) -> tuple[torch.Tensor | None, torch.Tensor]:
    """The task's latent and noise there."""
    return None if task.latent is None else task.latent.to(device), task.noise.to(device)
