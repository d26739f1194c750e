"""The lockstep on a diffusers UNet2DConditionModel: attention processors and one forward hook."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F

from .blocks import AttentionBlock, BlockChoice, Site, choose_blocks
from .exchange import FeatureExchange


@dataclass(frozen=True)
class Conditioning:
    """One prompt as a UNet takes it: context [1, tokens, D]; added: what Stable Diffusion XL also wants, [1, ...]."""

    context: torch.Tensor
    added: Mapping[str, torch.Tensor] = field(default_factory=dict)


def _numbered(unet: torch.nn.Module) -> Iterator[tuple[str, AttentionBlock, torch.nn.Module]]:
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


def blocks_of(unet: torch.nn.Module) -> BlockChoice:
    """The blocks chosen for this UNet. Raises ValueError for one that has no decoder to inject into."""
    found = list(_numbered(unet))
    return choose_blocks(
        [block for side, block, _ in found if side == "input"], [block for side, block, _ in found if side == "output"]
    )


@dataclass
class _Call:
    """What the processors must know of the UNet call at hand."""

    roles: Sequence[str] = ()
    size: tuple[int, int] = (0, 0)

    def grid(self, level: int) -> tuple[int, int]:
        """(h, w) after ``level`` halvings, rounded up."""
        h, w = self.size
        for _ in range(level):
            h, w = (h + 1) // 2, (w + 1) // 2
        return h, w


class _Processor:
    """Attention as diffusers computes it, with queries and keys shown to (and taken from) the exchange."""

    def __init__(self, exchange: FeatureExchange, call: _Call, site: Site, level: int) -> None:
        self.exchange, self.call, self.site, self.level = exchange, call, site, level

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
        seen = (self.site, q, k, attn.heads, self.call.roles, self.call.grid(self.level))
        if text is None:
            q, k = self.exchange.self_attention(*seen)
        else:
            self.exchange.cross_attention(*seen)
        q, k, v = (t.unflatten(2, (attn.heads, -1)).transpose(1, 2) for t in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=attention_mask)
        mixed = mixed.transpose(1, 2).flatten(2).to(hidden_states.dtype)
        return attn.to_out[1](attn.to_out[0](mixed))


@contextlib.contextmanager
def _hooked(unet: torch.nn.Module, exchange: FeatureExchange, call: _Call) -> Iterator[None]:
    """Put the processors and the hook in place for the time of the context; leaves the UNet as it was."""
    before = dict(unet.attn_processors)
    chosen = dict(before)
    names = {module: name for name, module in unet.named_modules()}
    for side, block, transformer in _numbered(unet):
        for k, inner in enumerate(transformer.transformer_blocks):
            site = (side, block.index, k)
            if site in exchange.blocks.watched:
                chosen[f"{names[inner.attn1]}.processor"] = _Processor(exchange, call, site, block.level)
            if site in exchange.blocks.words:
                chosen[f"{names[inner.attn2]}.processor"] = _Processor(exchange, call, site, block.level)
    level, layer = divmod(exchange.blocks.feature, unet.config.layers_per_block + 1)
    convolution = unet.up_blocks[level].resnets[layer].conv2
    hook = convolution.register_forward_hook(lambda _m, _i, output: exchange.feature(output, call.roles))
    try:
        unet.set_attn_processor(chosen)
        yield
    finally:
        hook.remove()
        unet.set_attn_processor(before)


class DiffusersDenoiser:
    """`lockstep.Denoiser` over a diffusers UNet; use as a context manager, which hooks the UNet and unhooks it again.

    prompts: the Conditioning of 'uncond', 'cond' (artistic), 'negative' and 'twin'.
    table: sigmas [T] of the training steps. prediction: 'epsilon' or 'v_prediction'.
    together: whether prompts are computed in one batch, or one after the other, which needs less memory.
    """

    def __init__(
        self,
        unet: torch.nn.Module,
        prompts: Mapping[str, Conditioning],
        table: torch.Tensor,
        exchange: FeatureExchange,
        *,
        prediction: str = "epsilon",
        together: bool = True,
    ) -> None:
        self.unet, self.prompts, self.table, self.exchange = unet, prompts, table, exchange
        self.prediction, self.together = prediction, together
        self._call = _Call()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> DiffusersDenoiser:
        self._stack.enter_context(_hooked(self.unet, self.exchange, self._call))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def source(self, x: torch.Tensor, sigma: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self._predict(x, sigma, {"uncond": "uncond", "cond": "cond"})

    def twin(self, x: torch.Tensor, sigma: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self._predict(x, sigma, {"negative": "negative", "uncond": "uncond", "cond": "twin"})

    def alone(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """The prediction of the artistic prompt without guidance, as inversion needs it. Call it outside of steps."""
        return self._predict(x, sigma, {"cond": "cond"})[0]

    def _predict(self, x: torch.Tensor, sigma: torch.Tensor, roles: Mapping[str, str]) -> tuple[torch.Tensor, ...]:
        batches = [list(roles)] if self.together else [[role] for role in roles]
        return tuple(x0 for batch in batches for x0 in self._batch(x, sigma, batch, [roles[r] for r in batch]))

    @torch.no_grad()
    def _batch(
        self, x: torch.Tensor, sigma: torch.Tensor, roles: Sequence[str], prompts: Sequence[str]
    ) -> tuple[torch.Tensor, ...]:
        self._call.roles, self._call.size = roles, tuple(x.shape[-2:])
        timestep = int((self.table.to(sigma) - sigma).abs().argmin())
        norm = (1.0 + sigma**2).sqrt()
        given = [self.prompts[name] for name in prompts]
        many = len(x)

        def stacked(parts: Sequence[torch.Tensor]) -> torch.Tensor:
            return torch.cat([p.expand(many, *p.shape[1:]) for p in parts]).to(x.device, self.unet.dtype)

        added = {key: stacked([g.added[key] for g in given]) for key in given[0].added}
        out = self.unet(
            torch.cat([x / norm] * len(roles)).to(self.unet.dtype),
            timestep,
            stacked([g.context for g in given]),
            added_cond_kwargs=added or None,
        ).sample.to(x)
        return tuple(self._clean(x, part, sigma) for part in out.chunk(len(roles)))

    def _clean(self, x: torch.Tensor, predicted: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """x0 of a prediction of noise, or of v (Salimans & Ho 2022)."""
        if self.prediction == "v_prediction":
            return x / (1.0 + sigma**2) - predicted * sigma / (1.0 + sigma**2).sqrt()
        return x - sigma * predicted
