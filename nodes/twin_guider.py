"""Joint sampling with a ComfyUI MODEL: a guider with four prompts, and denoisers for UNets and for transformers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import comfy.samplers
import torch
from comfy.patcher_extension import WrappersMP

from ..t2c_core.twin.feature_injection import FeatureInjector
from ..t2c_core.twin.flow_inversion import twin_of_picture
from ..t2c_core.twin.joint_sampling import Denoiser, OnStep, sample_twins
from .transformer_families import Transformer
from .transformer_patches import TransformerPatches
from .twin_networks import TwinNetwork
from .twin_patches import WRAPPER, TwinPatches, UNetPatches


class TwinGuider(comfy.samplers.CFGGuider):
    """A guider with four prompts, for `TwinSampler`.

    prompts: conditioning of 'uncond', 'cond' (artistic), 'negative' and 'twin'.
    """

    def __init__(self, model: Any, network: TwinNetwork, prompts: dict[str, Any]) -> None:
        super().__init__(model.clone())
        self.network = network
        self.model_patcher.add_wrapper_with_key(WrappersMP.PREPARE_SAMPLING, WRAPPER, self._ask_for_memory)
        self.inner_set_conds(network.guided(prompts))

    def _ask_for_memory(self, executor: Any, model: Any, shape: Any, *args: Any, **kwargs: Any) -> Any:
        """Ask for room for what injection holds, which ComfyUI counts in pictures of a batch."""
        held = self.network.held_bytes(tuple(shape), model.model_dtype())
        more = math.ceil(held / max(model.model.memory_required([1, *shape[1:]]), 1))
        return executor(model, [shape[0] + more, *shape[1:]], *args, **kwargs)


class ComfyDenoiser(Denoiser):
    """The denoiser of the guider's loaded UNet."""

    def __init__(self, guider: TwinGuider, model_options: dict[str, Any], injector: FeatureInjector) -> None:
        self.model, self.conds, self.options, self.injector = guider.inner_model, guider.conds, model_options, injector
        self.patches = self._patches()
        self.patches.install(model_options)

    def _patches(self) -> TwinPatches:
        return UNetPatches(self.injector)

    def predict(self, x: torch.Tensor, sigma: torch.Tensor, prompts: Mapping[str, str]) -> Sequence[torch.Tensor]:
        conds = [self.conds[name] for name in prompts.values()]
        with self.patches.active_roles(prompts):
            return comfy.samplers.calc_cond_batch(self.model, conds, x, sigma.expand(len(x)), self.options)

    def guide(
        self, uncond: torch.Tensor, cond: torch.Tensor, scale: float, x: torch.Tensor, sigma: torch.Tensor
    ) -> torch.Tensor:
        """Classifier-free guidance through whatever other nodes have put on the MODEL (rescaled CFG and the like)."""
        conds, out = [self.conds["cond"], self.conds["uncond"]], [cond, uncond]
        sigmas = sigma.expand(len(x))
        for change in self.options.get("sampler_pre_cfg_function", []):
            out = change(
                {
                    "conds": conds,
                    "conds_out": out,
                    "cond_scale": scale,
                    "timestep": sigmas,
                    "input": x,
                    "sigma": sigmas,
                    "model": self.model,
                    "model_options": self.options,
                }
            )
        return comfy.samplers.cfg_function(self.model, out[0], out[1], scale, x, sigmas, self.options, *conds)


class TransformerDenoiser(ComfyDenoiser):
    """The denoiser of the guider's loaded diffusion transformer, in ComfyUI's own noise levels and scaling.

    Without guidance (cfg 1, or guidance that is an input of the network) a step is one pass for each picture.
    """

    merges_bases = True

    def __init__(self, *args: Any, transformer: Transformer) -> None:
        self.transformer = transformer
        super().__init__(*args)
        settings = self.injector.settings
        self.guides_source, self.guides_twin = map(transformer.guides, (settings.cfg, settings.twin_cfg))

    def _patches(self) -> TwinPatches:
        return TransformerPatches(self.injector, self.transformer)

    def start(self, noise: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return self.model.model_sampling.noise_scaling(sigma, noise, torch.zeros_like(noise), True)

    def end(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return self.model.model_sampling.inverse_noise_scaling(sigma, x)


class TwinSampler(comfy.samplers.Sampler):
    """`joint_sampling.sample_twins` as a sampler: noise [B, C, ...] in, latents [2 * B, C, ...] out, sources first.

    inverted: whether the latent image is inverted instead of noise. round_trip: the relative error of that, afterwards;
    None where it is not known.
    """

    def __init__(
        self,
        injector: FeatureInjector,
        network: TwinNetwork,
        on_step: OnStep,
        *,
        inverted: bool,
    ) -> None:
        self.injector, self.network, self.on_step, self.inverted = injector, network, on_step, inverted
        self.round_trip: float | None = None

    def sample(  # pyright: ignore[reportIncompatibleMethodOverride] - the base class only names it
        self,
        model_wrap: TwinGuider,
        sigmas: torch.Tensor,
        extra_args: dict[str, Any],
        callback: Any,
        noise: torch.Tensor,
        latent_image: torch.Tensor | None = None,
        denoise_mask: torch.Tensor | None = None,
        disable_pbar: bool = False,
    ) -> torch.Tensor:
        given = model_wrap, extra_args["model_options"], self.injector
        found = self.network.transformer
        denoiser = TransformerDenoiser(*given, transformer=found) if found else ComfyDenoiser(*given)
        latent, schedule = latent_image if self.inverted else None, self.network.schedule
        if found is None or latent is None:
            return torch.cat(sample_twins(denoiser, noise, schedule, latent=latent, on_step=self.on_step))
        twin, self.round_trip = twin_of_picture(denoiser, latent, schedule, self.on_step)
        return torch.cat([latent, twin])
