"""The steps of the published sampler: DDIM timesteps, noise levels, and how the negative prompt's weight changes.

Noise levels are sigmas, sqrt(1 - abar) / sqrt(abar), as in k-diffusion: x_sigma = x0 + sigma * noise. The paper's code
keeps x / sqrt(1 + sigma^2) instead; a DDIM step without added noise (Song et al. 2021, eta = 0) is an Euler step here.
"""

from __future__ import annotations

import torch

from ..errors import InputError

NEGATIVE_SCHEDULES: tuple[str, ...] = ("linear", "constant", "exp")


def noise_table(steps: int = 1000, start: float = 0.00085, end: float = 0.012) -> torch.Tensor:
    """Sigmas [steps] float32 of Stable Diffusion's training steps 0 .. steps - 1 ("scaled linear" betas)."""
    betas = torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1.0 - betas, 0).float()
    return sigmas_of(alphas)


def sigmas_of(alphas_cumprod: torch.Tensor) -> torch.Tensor:
    """Sigmas float32 of cumulative alphas: sqrt((1 - abar) / abar)."""
    return ((1.0 - alphas_cumprod) / alphas_cumprod).sqrt().float()


def ddim_timesteps(steps: int, training_steps: int = 1000) -> list[int]:
    """The ``steps`` training steps the published sampler visits, from the noisiest on: 1 + c * j, c = floor(T / steps).

    There are exactly ``steps`` of them even where steps does not divide T. Raises InputError('steps') outside
    1 .. T - 1.
    """
    if not 1 <= steps < training_steps:
        raise InputError("steps", f"is {steps}; it must lie between 1 and {training_steps - 1}.")
    stride = training_steps // steps
    return [1 + stride * j for j in reversed(range(steps))]


def sampling_sigmas(table: torch.Tensor, steps: int, *, keep_last_noise: bool = True) -> torch.Tensor:
    """Sigmas [steps + 1] to visit, descending, of a model whose training noise levels are ``table`` [T].

    keep_last_noise ends at training step 0 (sigma 0.029), whose noise stays in the picture, as published; else at 0.
    """
    last = table[:1] if keep_last_noise else torch.zeros_like(table[:1])
    return torch.cat([table[ddim_timesteps(steps, len(table))], last])


def uncond_shares(schedule: str, steps: int, strength: float = 0.75, *, rising: bool = True) -> list[float]:
    """For each step how much of the guidance's base is the empty prompt (0..1); the rest is the negative prompt.

    strength * linspace(1, 0), 1 or exp(-6 * linspace(0, 1)). As published the empty prompt's share falls, so that the
    negative prompt weighs more and more although the code calls it attenuation; with ``rising`` False the order is
    turned round. Raises InputError for an unknown schedule or a strength outside 0..1.
    """
    if not 0.0 <= strength <= 1.0:
        raise InputError("negative_strength", f"is {strength}; it must lie between 0 and 1.")
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    if schedule not in NEGATIVE_SCHEDULES:
        raise InputError("negative_schedule", f"is '{schedule}'; choose one of {', '.join(NEGATIVE_SCHEDULES)}.")
    shapes = {"linear": 1.0 - ramp, "constant": torch.ones_like(ramp), "exp": torch.exp(-6.0 * ramp)}
    shares = (strength * shapes[schedule]).tolist()
    return shares if rising else shares[::-1]
