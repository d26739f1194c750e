"""Pictures inverted on a flow model, and their twins, by midpoints whose velocities are used again (FireFlow, Deng et
al. 2024, arXiv 2412.07517): second order for one evaluation a step.

The velocity is u = dx / dsigma = (x - x0) / sigma. A step from sigma to the following one evaluates it in the middle,
where the velocity of the step before has led: x_mid = x + (mid - sigma) * u_before, then x' = x + (following - sigma) *
u_mid. Both directions take the same steps, so that their errors are alike.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from .joint_sampling import Denoiser, OnStep, source_predictions, twin_step, velocity
from .schedule import Schedule


def invert_flow(
    denoiser: Denoiser, latent: torch.Tensor, sigmas: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Latents at sigmas N - 1 .. 0 of the N + 1 given, and the velocities that led there.

    latent: [B, C, ...], clean. The prompt 'cond' is used without guidance; N + 1 evaluations.
    """
    x, before = latent, None
    for i in range(len(sigmas) - 1, 0, -1):
        start, end = sigmas[i], sigmas[i - 1]
        middle = (start + end) / 2
        if before is None:  # the model knows no velocity at sigma 0
            before = velocity(x, denoiser.predict(x, middle, {"cond": "cond"})[0], middle)
        at = x + (middle - start) * before
        before = velocity(at, denoiser.predict(at, middle, {"cond": "cond"})[0], middle)
        x = x + (end - start) * before
        yield x, before


def twin_of_picture(
    denoiser: Denoiser, latent: torch.Tensor, schedule: Schedule, on_step: OnStep
) -> tuple[torch.Tensor, float]:
    """The latent of the twin of a picture's clean latent [B, C, ...], and the error of the round trip.

    The picture is inverted, and sampled again beside its twin with its own prompt alone, to give it its features; the
    error is |x - latent| / |latent| of what comes out.
    """
    sigmas, total, done = schedule.sigmas.to(latent), 2 * len(schedule.timesteps), 0
    source = led = latent
    for x, before in invert_flow(denoiser, latent, sigmas):
        source, led, done = x, before, done + 1
        on_step(done, total, source[:1])
    twin, twin_led = source, led
    for i in range(len(schedule.timesteps)):
        start, end = sigmas[i], sigmas[i + 1]
        middle = (start + end) / 2
        at, twin_at = source + (middle - start) * led, twin + (middle - start) * twin_led
        source_x0 = source_predictions(denoiser, at, schedule, i, middle)[-1]
        twin_x0 = twin_step(denoiser, twin_at, schedule, i, middle)
        led, twin_led = velocity(at, source_x0, middle), velocity(twin_at, twin_x0, middle)
        source, twin = source + (end - start) * led, twin + (end - start) * twin_led
        done += 1
        on_step(done, total, torch.cat([source_x0[:1], twin_x0[:1]], -1))
    return denoiser.end(twin, sigmas[-1]), float((source - latent).norm() / latent.norm().clamp(min=1e-12))
