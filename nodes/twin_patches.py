"""What shows a running network to a `FeatureInjector`: the UNets' attention patches, and what all patches share."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import comfy.model_management
import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy.patcher_extension import WrappersMP

from ..t2c_core.twin.feature_injection import FeatureInjector
from ..t2c_core.twin.layers import LayerId

WRAPPER = "text2cinemagraph_twin"


class TwinPatches(ABC):
    """Patches for a clone of the model's options; the MODEL itself is never touched.

    ``roles``: of the prompts of the running pass. Between passes it is empty and nothing is injected or stored, so
    patches of other packs may run the network for purposes of their own.
    """

    def __init__(self, injector: FeatureInjector) -> None:
        self.injector = injector
        self.roles: list[str] = []

    @abstractmethod
    def install(self, model_options: dict[str, Any]) -> None:
        """Add the patches to ``model_options``."""

    @contextlib.contextmanager
    def active_roles(self, roles: Iterable[str]) -> Iterator[None]:
        """A pass of the network whose conds are these roles, in this order."""
        self.roles = list(roles)
        try:
            yield
        finally:
            self.roles = []

    @staticmethod
    def wrapped_options(model_options: dict[str, Any], kind: str, wrapper: Callable[..., Any]) -> dict[str, Any]:
        """A copy of the transformer options, put into ``model_options``, with a wrapper of this kind more."""
        options = model_options["transformer_options"] = dict(model_options.get("transformer_options", {}))
        wrappers = options["wrappers"] = {kind: dict(keyed) for kind, keyed in options.get("wrappers", {}).items()}
        wrappers.setdefault(kind, {})[WRAPPER] = [wrapper]
        return options

    def _batch_roles(self, options: dict[str, Any]) -> list[str]:
        return [self.roles[index] for index in options["cond_or_uncond"]]


class UNetPatches(TwinPatches):
    """Attention patches and a wrapper around the UNet."""

    def install(self, model_options: dict[str, Any]) -> None:
        """Add the patches to ``model_options``, in front of those other nodes have put on the same blocks."""
        options = self.wrapped_options(model_options, WrappersMP.DIFFUSION_MODEL, self._around_unet)
        replace = options["patches_replace"] = dict(options.get("patches_replace", {}))
        for name, layers in (("attn1", self.injector.layers.hooked), ("attn2", self.injector.layers.cross)):
            patches = replace[name] = dict(replace.get(name, {}))
            for layer in layers:
                following = patches.get(layer, patches.get(layer[:2]))
                patches[layer] = self._patch(layer, following, cross=name == "attn2")

    def _patch(self, layer: LayerId, following: Callable[..., Any] | None, *, cross: bool) -> Callable[..., Any]:
        def patch(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
            if self.roles:
                grid = tuple(options["activations_shape"][-2:])
                roles = self._batch_roles(options)
                q, k = self.injector.attention(layer, q, k, options["n_heads"], roles, grid, cross=cross)
            if following is not None:
                return following(q, k, v, options)
            return optimized_attention(
                q, k, v, options["n_heads"], attn_precision=options["attn_precision"], transformer_options=options
            )

        return patch

    def _around_unet(self, executor: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Hook the feature block for one call of the UNet: no patch of ComfyUI's reaches what its residual adds."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        if not self.roles:
            return executor(*args, **kwargs)
        options = kwargs.get("transformer_options") or args[5]
        roles = self._batch_roles(options)
        layers = executor.class_obj.output_blocks[self.injector.layers.feature][0].out_layers
        hook = layers.register_forward_hook(lambda _m, _i, output: self.injector.feature(output, roles))
        try:
            return executor(*args, **kwargs)
        finally:
            hook.remove()
