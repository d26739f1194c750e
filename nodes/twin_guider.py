"""The lockstep on ComfyUI's MODEL: a guider with four prompts, and the patches that show it the UNet's features."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import comfy.model_management
import comfy.patcher_extension
import comfy.samplers
import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy.patcher_extension import WrappersMP

from ..t2c_core.twin.blocks import Site
from ..t2c_core.twin.exchange import FeatureExchange
from ..t2c_core.twin.lockstep import end_latent, invert, twin_steps
from ..t2c_core.twin.settings import TwinSettings

WRAPPER = "text2cinemagraph_twin"
SOURCE = {"uncond": "uncond", "cond": "cond"}
TWIN = {"negative": "negative", "uncond": "uncond", "cond": "twin"}
"""Role in a pass -> name of the conditioning."""


class Patches:
    """What is put into a clone of the model's options; the MODEL itself is never touched.

    ``roles`` names the prompts of the pass going on. Between passes it is empty and everything goes by untouched, so
    patches of other packs may run the UNet for purposes of their own.
    """

    def __init__(self, exchange: FeatureExchange) -> None:
        self.exchange = exchange
        self.roles: Sequence[str] = ()
        self._hooked: set[int] = set()

    def install(self, model_options: dict[str, Any]) -> None:
        """Add the patches to ``model_options``, in front of those other nodes have put on the same blocks."""
        options = model_options["transformer_options"] = dict(model_options.get("transformer_options", {}))
        replace = options["patches_replace"] = dict(options.get("patches_replace", {}))
        for name, sites, look in (
            ("attn1", self.exchange.blocks.watched, self._self_attention),
            ("attn2", self.exchange.blocks.words, self._cross_attention),
        ):
            patches = replace[name] = dict(replace.get(name, {}))
            for site in sites:
                following = patches.get(site, patches.get(site[:2]))
                patches[site] = self._patch(site, look, following)
        wrappers = options["wrappers"] = {kind: dict(keyed) for kind, keyed in options.get("wrappers", {}).items()}
        kind = wrappers.setdefault(WrappersMP.DIFFUSION_MODEL, {})
        kind[WRAPPER] = [self._around_unet]

    @contextlib.contextmanager
    def during(self, roles: Sequence[str]) -> Iterator[None]:
        """A pass of the UNet whose conds are these roles, in this order."""
        self.roles = roles
        try:
            yield
        finally:
            self.roles = ()

    def _of(self, options: dict[str, Any]) -> list[str]:
        return [self.roles[index] for index in options["cond_or_uncond"]]

    def _patch(self, site: Site, look: Callable[..., Any], following: Callable[..., Any] | None) -> Callable[..., Any]:
        def patch(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
            if self.roles:
                q, k = look(site, q, k, options)
            if following is not None:
                return following(q, k, v, options)
            return optimized_attention(
                q, k, v, options["n_heads"], attn_precision=options["attn_precision"], transformer_options=options
            )

        return patch

    def _self_attention(
        self, site: Site, q: torch.Tensor, k: torch.Tensor, options: dict[str, Any]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        grid = tuple(options["activations_shape"][-2:])
        return self.exchange.self_attention(site, q, k, options["n_heads"], self._of(options), grid)

    def _cross_attention(
        self, site: Site, q: torch.Tensor, k: torch.Tensor, options: dict[str, Any]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        grid = tuple(options["activations_shape"][-2:])
        self.exchange.cross_attention(site, q, k, options["n_heads"], self._of(options), grid)
        return q, k

    def _around_unet(self, executor: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Hook the feature block for one call of the UNet: no patch of ComfyUI's reaches what its residual adds."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        if not self.roles:
            return executor(*args, **kwargs)
        options = kwargs.get("transformer_options") or args[5]
        roles = self._of(options)
        layers = executor.class_obj.output_blocks[self.exchange.blocks.feature][0].out_layers
        hook = layers.register_forward_hook(lambda _m, _i, output: self.exchange.feature(output, roles))
        try:
            return executor(*args, **kwargs)
        finally:
            hook.remove()


class TwinGuider(comfy.samplers.CFGGuider):
    """Loads the model and its prompts as every guider does; `TwinSampler` does the steps.

    prompts: conditioning of 'uncond', 'cond' (artistic), 'negative' and 'twin'.
    """

    def __init__(self, model: Any, prompts: dict[str, Any]) -> None:
        super().__init__(model)
        self.inner_set_conds(prompts)


class ComfyDenoiser:
    """`lockstep.Denoiser` over the guider's loaded model."""

    def __init__(self, guider: TwinGuider, model_options: dict[str, Any], patches: Patches) -> None:
        self.model, self.conds = guider.inner_model, guider.conds
        self.options, self.patches = model_options, patches

    def source(self, x: torch.Tensor, sigma: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self._predict(x, sigma, SOURCE)

    def twin(self, x: torch.Tensor, sigma: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self._predict(x, sigma, TWIN)

    def alone(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """The prediction of the artistic prompt without guidance, unseen by the exchange."""
        return comfy.samplers.calc_cond_batch(self.model, [self.conds["cond"]], x, sigma.expand(len(x)), self.options)[
            0
        ]

    def _predict(self, x: torch.Tensor, sigma: torch.Tensor, roles: dict[str, str]) -> tuple[torch.Tensor, ...]:
        conds = [self.conds[name] for name in roles.values()]
        with self.patches.during(list(roles)):
            return tuple(comfy.samplers.calc_cond_batch(self.model, conds, x, sigma.expand(len(x)), self.options))

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


class TwinSampler(comfy.samplers.Sampler):
    """Noise [B, 4, h, w] in; latents [2 * B, 4, h, w] out, the artistic pictures first.

    on_step(done, latent [1, 4, h, w]) is called after every step with what it would be good to look at: both clean
    pictures side by side, or the picture that is being inverted.
    """

    def __init__(
        self,
        settings: TwinSettings,
        timesteps: Sequence[int],
        exchange: FeatureExchange,
        on_step: Callable[[int, torch.Tensor], None],
        *,
        inverted: bool = False,
    ) -> None:
        self.settings, self.timesteps, self.exchange = settings, timesteps, exchange
        self.on_step, self.inverted = on_step, inverted

    def sample(
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
        options = extra_args["model_options"]
        patches = Patches(self.exchange)
        patches.install(options)
        denoiser = ComfyDenoiser(model_wrap, options, patches)
        done, path = 0, None
        if self.inverted:
            path = []
            for latent in invert(denoiser.alone, latent_image, sigmas):
                if path:
                    done += 1
                    self.on_step(done, latent[:1])
                path.append(latent)
            path.reverse()
        step = None
        for step in twin_steps(
            denoiser, noise, sigmas, self.timesteps, self.settings, self.exchange, path=path, guide=denoiser.guide
        ):
            done += 1
            self.on_step(done, torch.cat([step.source_x0[:1], step.twin_x0[:1]], 3))
        source = latent_image if self.inverted else end_latent(step.source, sigmas[-1])
        return torch.cat([source, end_latent(step.twin, sigmas[-1])])
