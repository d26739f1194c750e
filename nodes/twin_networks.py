"""What the twin sampler needs to know of a MODEL, UNet or transformer: its layers, schedule and conditioning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.samplers
import node_helpers
import torch

from ..t2c_core.errors import InputError
from ..t2c_core.twin.layers import InjectionLayers
from ..t2c_core.twin.schedule import Schedule, ddim_schedule, timesteps_of
from ..t2c_core.twin.settings import TwinSettings
from .transformer_families import Transformer, transformer_of
from .unet_families import context_width, injection_layers, unet_of

SCHEDULER = "simple"
"""ComfyUI's own for flow models."""


@dataclass(frozen=True)
class TwinNetwork:
    """layers: that take part in injection. text_channels: of the text features it takes; None: not known."""

    settings: TwinSettings
    layers: InjectionLayers
    schedule: Schedule
    text_channels: int | None
    transformer: Transformer | None = None

    @classmethod
    def of(cls, model: Any, settings: TwinSettings) -> TwinNetwork:
        """Raises InputError('model') for a kind of network that does not work, naming those that do."""
        sampling, found = model.get_model_object("model_sampling"), transformer_of(model)
        if found is None:
            unet = unet_of(model)
            schedule = ddim_schedule(sampling.sigmas.cpu(), settings.steps, keep_last_noise=settings.keep_last_noise)
            return cls(settings, injection_layers(unet), schedule, context_width(unet))
        try:
            layers = found.layers(settings.first_block, settings.last_block)
        except ValueError as error:
            raise InputError("model", f"cannot be used: {error}.") from error
        return cls(settings, layers, flow_schedule(sampling, settings.steps), found.text_channels, found)

    @property
    def shared_blocks(self) -> int:
        """How many blocks take part in injection."""
        return len({layer[:2] for layer in self.layers.injected})

    @property
    def patch(self) -> int:
        """Sides of a latent are multiples of this."""
        return self.transformer.patch if self.transformer else 1

    def guided(self, prompts: dict[str, Any]) -> dict[str, Any]:
        """The prompts' conditioning, with cfg and twin_cfg as guidance for networks that take it as an input."""
        if self.transformer is None or not self.transformer.takes_guidance:
            return prompts
        given = {name: self.settings.twin_cfg if name == "twin" else self.settings.cfg for name in prompts}
        return {n: node_helpers.conditioning_set_values(p, {"guidance": given[n]}) for n, p in prompts.items()}

    def summary(self, round_trip: float | None = None) -> str:
        """What was chosen for this MODEL, in one line. round_trip: error of an inverted picture."""
        settings, found = self.settings, self.transformer
        if found is None:
            return f"UNet: {settings.steps} DDIM steps, features of {settings.attention_steps} of them shared"
        guided = "guidance" if found.guides(settings.cfg) else "no guidance"
        guided = "guidance as an input" if found.takes_guidance else guided
        blocks = f"{self.shared_blocks} of {sum(len(blocks) for _, blocks in found.lists)} blocks"
        steps = f"{settings.attention_steps} of {settings.steps} steps"
        trip = "" if round_trip is None else f"; inverted, round trip {round_trip:.1%} off"
        return f"{found.family.name}: {guided}, attention of {blocks} shared in {steps}{trip}"

    def held_bytes(self, latent: tuple[int, ...], dtype: torch.dtype) -> int:
        """Bytes of the queries and keys that one step holds for latents of this shape."""
        found = self.transformer
        if found is None or not self.settings.attention_steps:
            return 0
        rows, columns = found.grid(torch.empty(latent, device="meta"))
        prompts = 1 + found.guides(self.settings.cfg)
        return 2 * latent[0] * prompts * self.shared_blocks * rows * columns * found.width * dtype.itemsize


def flow_schedule(sampling: Any, steps: int) -> Schedule:
    """ComfyUI's noise levels of a flow model, with its shift, for Euler's method."""
    sigmas = comfy.samplers.calculate_sigmas(sampling, SCHEDULER, steps).float()
    zero, one = torch.zeros(1), torch.ones(1)
    ratios = [sampling.noise_scaling(s, one, zero) / sampling.noise_scaling(s, zero, one) for s in sigmas[:-1]]
    return Schedule(timesteps_of(torch.cat(ratios)), sigmas)
