"""Joint sampling of the artistic image (source) and its realistic twin, step by step: DDIM, or Euler on a flow.

The published code samples the source first, writes the features of all steps to disk (gigabytes) and reads them back.
Features of a step only meet the twin's same step, so here both take each step one after the other and features live
for one step: the result is the same.

Everything is in sigma space (see `schedule`) and in terms of predicted clean latents x0; a prediction of noise or of v
gives the same x0, and guidance is linear, so one loop serves all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from .feature_injection import FeatureInjector
from .schedule import Schedule

LAST_MASK_TIMESTEP = 541
"""Self-attention for the mask is stored from this training step (of 1000) to the last; earlier ones are vague. A flow
in a few steps may reach it only with its last one."""
SOURCE: Mapping[str, str] = {"uncond": "uncond", "cond": "cond"}
TWIN: Mapping[str, str] = {"negative": "negative", "uncond": "uncond", "cond": "twin"}
"""Role in a pass -> name of its prompt. Published are two calls of two prompts, whose second 'uncond' is thrown away:
three are the same."""
OnStep = Callable[[int, int, torch.Tensor], None]
"""Called after every step with (steps done, steps in all, latent [1, 4, h, w] to preview); may raise to stop."""


class Denoiser(ABC):
    """A diffusion model with its prompts 'uncond', 'cond' (artistic), 'negative' and 'twin': all a library provides.

    guides_source, guides_twin: whether a pass has guidance; without it runs a single prompt. merges_bases: whether the
    twin is guided from one prompt a step, the one that counts more, instead of a mix of two: a pass less.
    """

    injector: FeatureInjector
    guides_source = guides_twin = True
    merges_bases = False

    @abstractmethod
    def predict(self, x: torch.Tensor, sigma: torch.Tensor, prompts: Mapping[str, str]) -> Sequence[torch.Tensor]:
        """Clean latents x0 predicted from x [B, C, h, w] at noise level sigma: one like x for each of ``prompts``.

        prompts: the prompt's name by the role in which the injector sees it.
        """

    def guide(
        self, uncond: torch.Tensor, cond: torch.Tensor, scale: float, x: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """Classifier-free guidance (Ho & Salimans 2022): uncond + scale * (cond - uncond), of x at sigma."""
        return uncond + scale * (cond - uncond)

    def start(self, noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Standard normal noise as the latent of the first step; see `start_latent`."""
        return start_latent(noise, sigma)

    def end(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """The latent that is decoded; see `end_latent`."""
        return end_latent(x, sigma)


@dataclass(frozen=True)
class TwinStep:
    """Both images after a step: latents at the next noise level, and the clean latents predicted in the step."""

    source: torch.Tensor
    twin: torch.Tensor
    source_x0: torch.Tensor
    twin_x0: torch.Tensor


def velocity(x: torch.Tensor, x0: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """dx / dsigma of x at sigma, whose clean latent is x0: (x - x0) / sigma."""
    return (x - x0) / sigma


def euler(x: torch.Tensor, x0: torch.Tensor, sigma: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
    """One DDIM step (eta = 0) from sigma to the following one: x + velocity * (following - sigma)."""
    return x + velocity(x, x0, sigma) * (following - sigma)


def start_latent(noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Standard normal noise as the latent of the first step.

    As published, the noise itself is the variance-preserving latent: in sigma space noise * sqrt(1 + sigma^2).
    """
    return noise * (1.0 + sigma**2).sqrt()


def end_latent(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The variance-preserving latent that is decoded: x / sqrt(1 + sigma^2)."""
    return x / (1.0 + sigma**2).sqrt()


def source_step(denoiser: Denoiser, x: torch.Tensor, schedule: Schedule, i: int) -> torch.Tensor:
    """The source's x0 of step i; its features are captured and its attention stored on the way."""
    *base, cond = source_predictions(denoiser, x, schedule, i, schedule.sigmas[i])
    scale = denoiser.injector.settings.cfg if base else 1.0
    return denoiser.guide((*base, cond)[0], cond, scale, x, schedule.sigmas[i])


def source_predictions(
    denoiser: Denoiser, x: torch.Tensor, schedule: Schedule, i: int, sigma: torch.Tensor
) -> Sequence[torch.Tensor]:
    """The source's x0 at sigma in step i, of the empty prompt (where there is guidance) and of its own."""
    late = schedule.timesteps[i] <= LAST_MASK_TIMESTEP or i == len(schedule.timesteps) - 1
    denoiser.injector.begin(i, source=True, record=late)
    return denoiser.predict(x, sigma, SOURCE if denoiser.guides_source else {"cond": "cond"})


def twin_step(
    denoiser: Denoiser, x: torch.Tensor, schedule: Schedule, i: int, sigma: torch.Tensor | None = None
) -> torch.Tensor:
    """The twin's x0 of step i with the features injected, guided from a mix of the empty and the negative prompt.

    sigma: of x; None: that of the step.
    """
    injector, sigma = denoiser.injector, schedule.sigmas[i] if sigma is None else sigma
    weight, scale = injector.settings.uncond_weights()[i], injector.settings.twin_cfg
    if not denoiser.guides_twin:
        prompts, scale = {"cond": "twin"}, 1.0
    elif denoiser.merges_bases:
        base = "uncond" if weight >= 0.5 else "negative"
        prompts = {base: base, "cond": "twin"}
    else:
        prompts = TWIN
    injector.begin(i, source=False)
    *bases, cond = denoiser.predict(x, sigma, prompts)
    injector.end()
    base = weight * bases[1] + (1.0 - weight) * bases[0] if len(bases) == 2 else (*bases, cond)[0]
    return denoiser.guide(base, cond, scale, x, sigma)


def joint_steps(
    denoiser: Denoiser, noise: torch.Tensor, schedule: Schedule, path: Sequence[torch.Tensor] | None = None
) -> Iterator[TwinStep]:
    """Yield both images after each step.

    noise: [B, C, h, w] standard normal, the start of both. path: the source's latents at every sigma, of an image that
    was inverted: its pass then follows them exactly instead of drifting, and the twin starts from their first.
    """
    sigmas = schedule.sigmas
    source = path[0] if path is not None else denoiser.start(noise, sigmas[0])
    twin = source
    for i in range(len(schedule.timesteps)):
        source_x0 = source_step(denoiser, source, schedule, i)
        twin_x0 = twin_step(denoiser, twin, schedule, i)
        source = path[i + 1] if path is not None else euler(source, source_x0, sigmas[i], sigmas[i + 1])
        twin = euler(twin, twin_x0, sigmas[i], sigmas[i + 1])
        yield TwinStep(source, twin, source_x0, twin_x0)


def invert(denoiser: Denoiser, latent: torch.Tensor, sigmas: torch.Tensor) -> Iterator[torch.Tensor]:
    """DDIM inversion: latents of a clean ``latent`` [B, C, h, w] at sigmas N - 1 .. 0 of the N + 1 given.

    The prompt 'cond' is used without guidance. A last sigma of 0 is allowed: the model is evaluated at the next one.
    The published code inverts through 999 steps and then samples through 50 others; inverting through the very steps
    that are sampled needs fewer and fits them.
    """
    x = latent
    for i in range(len(sigmas) - 1, 0, -1):
        sigma = sigmas[i] if sigmas[i] > 0 else sigmas[i - 1]
        (x0,) = denoiser.predict(x, sigma, {"cond": "cond"})
        x = x + velocity(x, x0, sigma) * (sigmas[i - 1] - sigmas[i])
        yield x


def sample_twins(
    denoiser: Denoiser,
    noise: torch.Tensor,
    schedule: Schedule,
    *,
    latent: torch.Tensor | None = None,
    on_step: OnStep = lambda done, total, preview: None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Latents [B, C, h, w] of source and twin, ready to decode.

    noise: [B, C, h, w] standard normal. latent: of images to invert; it becomes the source unchanged, and noise is not
    used. Settings are those of ``denoiser.injector``.
    """
    schedule = Schedule(schedule.timesteps, schedule.sigmas.to(noise.device))
    total, path = len(schedule.timesteps), None
    if latent is not None:
        path, total = [latent], 2 * total
        for x in invert(denoiser, latent, schedule.sigmas):
            path.append(x)
            on_step(len(path) - 1, total, x[:1])
        path.reverse()
    source = twin = noise
    first = total - len(schedule.timesteps) + 1
    for done, step in enumerate(joint_steps(denoiser, noise, schedule, path), first):
        source, twin = step.source, step.twin
        on_step(done, total, torch.cat([step.source_x0[:1], step.twin_x0[:1]], -1))
    last = schedule.sigmas[-1]
    return denoiser.end(source, last) if latent is None else latent, denoiser.end(twin, last)
