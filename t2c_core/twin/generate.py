"""Twins from prompts with diffusers' networks: the lockstep from noise or an inverted picture to pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ..errors import InputError
from ..types import Attention
from .diffusers_adapter import DiffusersDenoiser, blocks_of
from .exchange import FeatureExchange
from .load import DiffusionModels, decode, encode_picture, prompts_of, words_of
from .lockstep import TwinStep, end_latent, invert, twin_steps
from .observe import AttentionObserver
from .schedule import ddim_timesteps, sampling_sigmas
from .settings import TwinSettings

LATENT_SCALE = 8
"""Pixels in a latent pixel, along each side."""


@dataclass(frozen=True)
class Twins:
    """artistic, realistic: [1, H, W, 3] float32 in 0..1, of the same size and layout."""

    artistic: torch.Tensor
    realistic: torch.Tensor
    attention: Attention


def generate_twins(
    models: DiffusionModels,
    texts: Mapping[str, str],
    settings: TwinSettings,
    *,
    size: tuple[int, int] = (512, 512),
    seed: int = 0,
    picture: torch.Tensor | None = None,
    on_step: Callable[[int], None] = lambda done: None,
) -> Twins:
    """Paint an artistic picture and its twin.

    texts: prompts by role: 'uncond', 'cond' (artistic), 'negative' and 'twin'. size: (height, width) in pixels,
    multiples of 8. seed: of the noise, drawn on the CPU. picture: [1, H, W, 3], becomes the artistic one unchanged and
    is inverted instead of noise; size does not count then. on_step(done) is called after every step.
    Raises InputError for sizes that cannot be and for latents that are not finite.
    """
    for name, value in zip(("height", "width"), size, strict=True):
        if picture is None and (value % LATENT_SCALE or value < 64):
            raise InputError(name, f"is {value}; it must be a multiple of {LATENT_SCALE} and at least 64.")
    latent = None
    if picture is not None:
        h, w = picture.shape[1:3]
        if min(h, w) < LATENT_SCALE:
            raise InputError("picture", f"is {w}x{h}; both sides need at least {LATENT_SCALE} pixels.")
        padded = F.pad(picture.movedim(-1, 1), (0, -w % LATENT_SCALE, 0, -h % LATENT_SCALE), mode="reflect")
        latent = encode_picture(models, padded.movedim(1, -1))
        size = (padded.shape[2], padded.shape[3])
    shape = (1, 4, size[0] // LATENT_SCALE, size[1] // LATENT_SCALE)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(models.device)
    prompts = prompts_of(models, texts, size)
    observer = AttentionObserver(1, prompts["cond"].context.shape[1])
    exchange = FeatureExchange(settings, blocks_of(models.unet), observer)
    table = models.table.to(models.device)
    sigmas = sampling_sigmas(table, settings.steps, keep_last_noise=settings.keep_last_noise)
    done, path = 0, None
    with DiffusersDenoiser(models.unet, prompts, table, exchange, prediction=models.prediction) as denoiser:
        if latent is not None:
            path = []
            for inverted in invert(denoiser.alone, latent, sigmas):
                path.append(inverted)
                if len(path) > 1:
                    done += 1
                    on_step(done)
            path.reverse()
        last: TwinStep | None = None
        for step in twin_steps(denoiser, noise, sigmas, ddim_timesteps(settings.steps), settings, exchange, path=path):
            last, done = step, done + 1
            on_step(done)
    both = torch.cat([end_latent(last.source, sigmas[-1]), end_latent(last.twin, sigmas[-1])])
    if not torch.isfinite(both).all():
        raise InputError("dtype", "makes NaN or infinite latents with this model.", "Use float32.")
    painted, realistic = decode(models, both).split(1)
    if picture is not None:
        painted, realistic = picture, realistic[:, : picture.shape[1], : picture.shape[2]]
    return Twins(painted, realistic, observer.result(words_of(models, texts["cond"]))[0])
