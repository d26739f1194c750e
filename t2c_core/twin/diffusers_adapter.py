"""Joint sampling with a diffusers UNet2DConditionModel: attention processors and one forward hook."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from .feature_injection import FeatureInjector
from .joint_sampling import Denoiser
from .layers import AttentionBlock, InjectionLayers, LayerId, choose_layers


@dataclass(frozen=True)
class Conditioning:
    """One prompt as a UNet takes it: context [1, tokens, D]; added: what Stable Diffusion XL also wants, [1, ...]."""

    context: torch.Tensor
    added: Mapping[str, torch.Tensor] = field(default_factory=dict)


def _attention_blocks(unet: Any) -> Iterator[tuple[str, AttentionBlock, Any]]:
    """('input' | 'output', block under its LDM number, its Transformer2DModel) of every block with attention."""
    per_level = unet.config.layers_per_block
    if not isinstance(per_level, int):
        raise ValueError("the UNet has a different number of layers at each level")
    last = len(unet.up_blocks) - 1
    for side, blocks, first, layers in (
        ("input", unet.down_blocks, 1, per_level),
        ("output", unet.up_blocks, 0, per_level + 1),
    ):
        for u, block in enumerate(blocks):
            for r, transformer in enumerate(getattr(block, "attentions", None) or ()):
                # A downsampler counts as a block of its own, an upsampler lies inside the last of its level.
                index = first + u * (per_level + 1) + r if side == "input" else first + u * layers + r
                level = u if side == "input" else last - u
                yield side, AttentionBlock(index, level, len(transformer.transformer_blocks)), transformer


def injection_layers(unet: Any) -> InjectionLayers:
    """The layers chosen for this UNet. Raises ValueError for one that has no decoder to inject into."""
    blocks = list(_attention_blocks(unet))
    encoder = [block for side, block, _ in blocks if side == "input"]
    return choose_layers(encoder, [block for side, block, _ in blocks if side == "output"])


@dataclass
class _Call:
    """Roles of the batch and latent size (h, w) of the UNet call at hand."""

    roles: Sequence[str] = ()
    size: tuple[int, int] = (0, 0)

    def grid(self, level: int) -> tuple[int, int]:
        """(h, w) after ``level`` halvings, rounded up."""
        h, w = self.size
        for _ in range(level):
            h, w = (h + 1) // 2, (w + 1) // 2
        return h, w


class _Processor:
    """Attention as diffusers computes it, whose queries and keys pass through the injector."""

    def __init__(self, injector: FeatureInjector, call: _Call, layer: LayerId, level: int) -> None:
        self.injector, self.call, self.layer, self.level = injector, call, layer, level

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        **_: Any,
    ) -> torch.Tensor:
        text = encoder_hidden_states
        context = hidden_states if text is None else text
        q, k, v = attn.to_q(hidden_states), attn.to_k(context), attn.to_v(context)
        grid = self.call.grid(self.level)
        q, k = self.injector.attention(self.layer, q, k, attn.heads, self.call.roles, grid, cross=text is not None)
        q, k, v = (t.unflatten(2, (attn.heads, -1)).transpose(1, 2) for t in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=attention_mask)
        mixed = mixed.transpose(1, 2).flatten(2).to(hidden_states.dtype)
        return attn.to_out[1](attn.to_out[0](mixed))


@contextlib.contextmanager
def _hooked(unet: Any, injector: FeatureInjector, call: _Call) -> Iterator[None]:
    """Attention processors and the forward hook, for the time of the context; leaves the UNet as it was."""
    before = dict(unet.attn_processors)
    processors = dict(before)
    names = {module: name for name, module in unet.named_modules()}
    for side, block, transformer in _attention_blocks(unet):
        for k, inner in enumerate(transformer.transformer_blocks):
            layer = (side, block.index, k)
            if layer in injector.layers.hooked:
                processors[f"{names[inner.attn1]}.processor"] = _Processor(injector, call, layer, block.level)
            if layer in injector.layers.cross:
                processors[f"{names[inner.attn2]}.processor"] = _Processor(injector, call, layer, block.level)
    u, r = divmod(injector.layers.feature, unet.config.layers_per_block + 1)
    convolution = unet.up_blocks[u].resnets[r].conv2
    hook = convolution.register_forward_hook(lambda _m, _i, output: injector.feature(output, call.roles))
    try:
        unet.set_attn_processor(processors)
        yield
    finally:
        hook.remove()
        unet.set_attn_processor(before)


class DiffusersDenoiser(Denoiser):
    """The denoiser of a diffusers UNet; a context manager that hooks the UNet and unhooks it again.

    prompts: the Conditioning of 'uncond', 'cond' (artistic), 'negative' and 'twin'.
    table: sigmas [T] of the training steps. prediction: 'epsilon' or 'v_prediction'.
    """

    def __init__(
        self,
        unet: Any,
        prompts: Mapping[str, Conditioning],
        table: torch.Tensor,
        injector: FeatureInjector,
        *,
        prediction: str = "epsilon",
    ) -> None:
        self.unet, self.prompts, self.table, self.injector = unet, prompts, table, injector
        self.prediction = prediction
        self._call = _Call()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> DiffusersDenoiser:
        self._stack.enter_context(_hooked(self.unet, self.injector, self._call))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @torch.no_grad()
    def predict(self, x: torch.Tensor, sigma: torch.Tensor, prompts: Mapping[str, str]) -> tuple[torch.Tensor, ...]:
        self._call.roles, self._call.size = list(prompts), (x.shape[-2], x.shape[-1])
        conditionings = [self.prompts[name] for name in prompts.values()]
        timestep = int((self.table.to(sigma) - sigma).abs().argmin())

        def batch(tensors: Sequence[torch.Tensor]) -> torch.Tensor:
            return torch.cat([t.expand(len(x), *t.shape[1:]) for t in tensors]).to(x.device, self.unet.dtype)

        added = {key: batch([c.added[key] for c in conditionings]) for key in conditionings[0].added}
        out = self.unet(
            torch.cat([x / (1.0 + sigma**2).sqrt()] * len(prompts)).to(self.unet.dtype),
            timestep,
            batch([c.context for c in conditionings]),
            added_cond_kwargs=added or None,
        ).sample.to(x)
        return tuple(self._x0(x, predicted, sigma) for predicted in out.chunk(len(prompts)))

    def _x0(self, x: torch.Tensor, predicted: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """x0 of a prediction of noise, or of v (Salimans & Ho 2022)."""
        if self.prediction == "v_prediction":
            return x / (1.0 + sigma**2) - predicted * sigma / (1.0 + sigma**2).sqrt()
        return x - sigma * predicted
