"""Artistic picture and realistic twin, denoised together step by step.

The published code paints the artistic picture first, writes the features of all steps to disk (gigabytes) and reads
them back. Features of a step only meet the twin's same step, so here both take each step one after the other and
features live for one step: the result is the same.

Everything is in sigma space (see `schedule`) and speaks of predicted clean latents x0; a prediction of noise or of v
gives the same x0, and guidance is linear, so one loop serves all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from .exchange import FeatureExchange
from .guidance import Guide, guidance_base, guide
from .settings import LAST_MASK_TIMESTEP, TwinSettings


class Denoiser(Protocol):
    """A diffusion model with its prompts. x: [B, C, h, w] at noise level sigma; every result is an x0 like x."""

    def source(self, x: torch.Tensor, sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Predictions for the empty prompt and the artistic prompt."""

    def twin(self, x: torch.Tensor, sigma: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Predictions for the negative prompt, the empty prompt and the twin's prompt."""


@dataclass(frozen=True)
class TwinStep:
    """Both pictures after a step: latents at the next noise level, and the clean latents predicted in the step."""

    index: int
    source: torch.Tensor
    twin: torch.Tensor
    source_x0: torch.Tensor
    twin_x0: torch.Tensor


def euler(x: torch.Tensor, x0: torch.Tensor, sigma: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
    """One DDIM step (eta = 0) from sigma to the following one: x + (x - x0) / sigma * (following - sigma)."""
    return x + (x - x0) / sigma * (following - sigma)


def start_latent(noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Standard normal noise as the latent of the first step.

    As published, the noise itself is the variance-preserving latent: in sigma space noise * sqrt(1 + sigma^2).
    """
    return noise * (1.0 + sigma**2).sqrt()


def end_latent(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The variance-preserving latent that is decoded: x / sqrt(1 + sigma^2)."""
    return x / (1.0 + sigma**2).sqrt()


def source_step(
    denoiser: Denoiser,
    x: torch.Tensor,
    sigma: torch.Tensor,
    settings: TwinSettings,
    exchange: FeatureExchange,
    index: int,
    timestep: int,
    guide: Guide = guide,
) -> torch.Tensor:
    """The artistic x0 of a step; its features are captured and its attention observed on the way."""
    if exchange.observer is not None:
        exchange.observer.active = timestep <= LAST_MASK_TIMESTEP
    exchange.begin(index, source=True)
    return guide(*denoiser.source(x, sigma), settings.source_scale, x, sigma)


def twin_step(
    denoiser: Denoiser,
    x: torch.Tensor,
    sigma: torch.Tensor,
    settings: TwinSettings,
    exchange: FeatureExchange,
    index: int,
    guide: Guide = guide,
) -> torch.Tensor:
    """The twin's x0 of the same step, with the features injected."""
    exchange.begin(index, source=False)
    # Published are two calls of two prompts each, whose second empty prompt is thrown away: three are the same.
    negative, uncond, cond = denoiser.twin(x, sigma)
    exchange.end()
    base = guidance_base(negative, uncond, settings.uncond_shares()[index])
    return guide(base, cond, settings.twin_scale, x, sigma)


def twin_steps(
    denoiser: Denoiser,
    noise: torch.Tensor,
    sigmas: torch.Tensor,
    timesteps: Sequence[int],
    settings: TwinSettings,
    exchange: FeatureExchange,
    *,
    path: Sequence[torch.Tensor] | None = None,
    guide: Guide = guide,
) -> Iterator[TwinStep]:
    """Yield both pictures after each of the len(sigmas) - 1 steps.

    noise: [B, C, h, w] standard normal, the start of both. timesteps: the training step of each sigma but the last.
    path: the artistic latents at every sigma, of a picture that was inverted (`invert`): its pass then follows them
    exactly instead of drifting, and the twin starts from their first.
    """
    source = path[0] if path is not None else start_latent(noise, sigmas[0])
    twin = source
    for i, timestep in enumerate(timesteps):
        source_x0 = source_step(denoiser, source, sigmas[i], settings, exchange, i, timestep, guide)
        twin_x0 = twin_step(denoiser, twin, sigmas[i], settings, exchange, i, guide)
        source = path[i + 1] if path is not None else euler(source, source_x0, sigmas[i], sigmas[i + 1])
        twin = euler(twin, twin_x0, sigmas[i], sigmas[i + 1])
        yield TwinStep(i, source, twin, source_x0, twin_x0)


def invert(
    predict: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], latent: torch.Tensor, sigmas: torch.Tensor
) -> Iterator[torch.Tensor]:
    """DDIM inversion: the latents of a clean ``latent`` [B, C, h, w] at ``sigmas`` [N + 1], from the last to the first.

    predict(x, sigma) gives x0 for the picture's own prompt without guidance. A last sigma of 0 is allowed: the model is
    asked at the next one. The published code inverts through 999 steps and then samples through 50 others; inverting
    through the very steps that are sampled needs fewer and fits them.
    """
    x = latent
    yield x
    for i in range(len(sigmas) - 1, 0, -1):
        asked = sigmas[i] if sigmas[i] > 0 else sigmas[i - 1]
        x = x + (x - predict(x, asked)) / asked * (sigmas[i - 1] - sigmas[i])
        yield x
