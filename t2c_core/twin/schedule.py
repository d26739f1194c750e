"""DDIM timesteps and noise levels of the published sampler.

Noise levels are sigmas, sqrt(1 - abar) / sqrt(abar), as in k-diffusion: x_sigma = x0 + sigma * noise. The paper's code
keeps x / sqrt(1 + sigma^2) instead; a DDIM step without added noise (Song et al. 2021, eta = 0) is an Euler step here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from ..errors import InputError


class Schedule(NamedTuple):
    """The N training steps to visit, noisiest first, and N + 1 descending sigmas: theirs and the last one reached."""

    timesteps: list[int]
    sigmas: torch.Tensor


def training_sigmas() -> torch.Tensor:
    """Sigmas [1000] float32 of Stable Diffusion's training steps: "scaled linear" betas, 0.00085 .. 0.012."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return sigmas_from_alphas(torch.cumprod(1.0 - betas, 0).float())


def timesteps_of(noise_to_signal: torch.Tensor) -> list[int]:
    """The training steps of Stable Diffusion with these ratios of noise to signal [N], for models that have others."""
    return torch.searchsorted(training_sigmas(), noise_to_signal.float().cpu()).clamp(max=999).tolist()


def sigmas_from_alphas(alphas_cumprod: torch.Tensor) -> torch.Tensor:
    """Sigmas float32 of cumulative alphas: sqrt((1 - abar) / abar)."""
    return ((1.0 - alphas_cumprod) / alphas_cumprod).sqrt().float()


def ddim_schedule(table: torch.Tensor, steps: int, *, keep_last_noise: bool = True) -> Schedule:
    """The schedule of a model whose training noise levels are ``table`` [T].

    The published sampler visits training steps 1 + c * j, c = floor(T / steps): exactly ``steps`` of them even where
    steps does not divide T. keep_last_noise ends at training step 0 (sigma 0.029), whose noise stays in the image, as
    published; else at 0. Raises InputError('steps') outside 1 .. T - 1.
    """
    if not 1 <= steps < len(table):
        raise InputError("steps", f"is {steps}; it must lie between 1 and {len(table) - 1}.")
    timesteps = [1 + len(table) // steps * j for j in reversed(range(steps))]
    last = table[:1] if keep_last_noise else torch.zeros_like(table[:1])
    return Schedule(timesteps, torch.cat([table[timesteps], last]))
