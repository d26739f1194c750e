"""Attention of a diffusion transformer shown to a `FeatureInjector`, through ComfyUI's override of every attention.

No forward of a model is copied: hooks say which block runs, the override sees its queries and keys.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import comfy.model_management
import torch
from comfy.patcher_extension import WrappersMP

from ..t2c_core.errors import InputError
from ..t2c_core.twin.feature_injection import FeatureInjector
from ..t2c_core.twin.layers import LayerId
from .transformer_families import Transformer
from .twin_patches import TwinPatches

Pair = tuple[torch.Tensor, torch.Tensor]
OVERRIDE = "optimized_attention_override"


class TransformerPatches(TwinPatches):
    """An override of attention and a wrapper around the network, for a clone of the model's options."""

    def __init__(self, injector: FeatureInjector, transformer: Transformer) -> None:
        super().__init__(injector)
        self.transformer = transformer
        self._following: Callable[..., Any] | None = None
        self._block: tuple[str, int] | None = None
        self._calls = self._seen = self._position = 0
        self._grid = (0, 0)

    def install(self, model_options: dict[str, Any]) -> None:
        """Add the patches to ``model_options``, in front of an override of another node's."""
        options = self.wrapped_options(model_options, WrappersMP.APPLY_MODEL, self._around_model)
        self._following = options.get(OVERRIDE)
        options[OVERRIDE] = self._override

    def _around_model(self, executor: Any, x: Any, t: Any, concat: Any, text: Any, *args: Any, **kwargs: Any) -> Any:
        comfy.model_management.throw_exception_if_processing_interrupted()
        if not self.roles:
            return executor(x, t, concat, text, *args, **kwargs)
        self._grid, self._seen = self.transformer.grid(x), 0
        tokens = kwargs.get("num_tokens") or (0 if text is None else text.shape[1])
        self._position = -(-tokens // self.transformer.multiple) * self.transformer.multiple
        with self._hooks():
            out = executor(x, t, concat, text, *args, **kwargs)
        if not self._seen:
            raise InputError("model", "showed none of its attention.", "Remove what replaces its blocks or attention.")
        return out

    @contextlib.contextmanager
    def _hooks(self) -> Iterator[None]:
        """Know which block runs, for one call of the network."""

        def enter(block: tuple[str, int]) -> Callable[..., None]:
            def hook(*_: Any) -> None:
                self._block, self._calls = block, 0

            return hook

        def leave(*_: Any) -> None:
            self._block = None

        handles = []
        for name, blocks in self.transformer.lists:
            for index, block in enumerate(blocks):
                handles.append(block.register_forward_pre_hook(enter((name, index))))
                handles.append(block.register_forward_hook(leave))
        try:
            yield
        finally:
            self._block = None
            for handle in handles:
                handle.remove()

    def _override(self, attention: Callable[..., Any], q: Any, k: Any, v: Any, *args: Any, **kwargs: Any) -> Any:
        if not self.roles or self._block is None:
            return self._attended(attention, q, k, v, *args, **kwargs)
        layer = (*self._block, self._calls)
        self._calls += 1
        heads = args[0] if args else kwargs["heads"]
        roles = self._batch_roles(kwargs["transformer_options"])
        q, k = self._shared(layer, q, k, heads, roles)
        out = self._attended(attention, q, k, v, *args, **kwargs)
        if self._of_outputs:
            self._record_outputs(layer, out, roles)
        return out

    def _attended(self, attention: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._following is not None:
            return self._following(attention, *args, **kwargs)
        return attention(*args, **kwargs)

    @property
    def _of_outputs(self) -> bool:
        return self.transformer.family.joint and self.injector.settings.word_maps == "outputs"

    def _shared(self, layer: LayerId, q: torch.Tensor, k: torch.Tensor, heads: int, roles: list[str]) -> Pair:
        """The queries and keys to use: those of the image's tokens are looked at, kept or replaced."""
        family, injector, count = self.transformer.family, self.injector, self._grid[0] * self._grid[1]
        if not family.joint and layer[2] > 0:
            self._record_words(layer, q, k, heads, roles)
            return q, k
        start = self._image_start(q.shape[-2], count)
        if start is None or k.shape[-2] != q.shape[-2]:
            return q, k
        self._seen += 1
        rows = slice(start, start + count)
        own_q, own_k = q[..., rows, :], k[..., rows, :]
        if injector.records(layer):
            injector.record(_tokens_of(own_q, heads), _tokens_of(own_k, heads), heads, roles, self._grid)
        if family.joint and not self._of_outputs:
            self._record_words(layer, own_q, self._text(k, start, count), heads, roles)
        if not injector.shares(layer):
            return q, k
        move = self.transformer.moved if family.text_axes else None
        used = injector.share(layer, own_q.contiguous(), own_k.contiguous(), roles, self._position, move)
        if injector.captures:
            return q, k
        q, k = (
            torch.cat([x[..., :start, :], y, x[..., rows.stop :, :]], -2) for x, y in zip((q, k), used, strict=True)
        )
        return q, k

    def _image_start(self, tokens: int, count: int) -> int | None:
        """Where the image's tokens start among ``tokens``; None if they are not among them."""
        padded = -(-count // self.transformer.multiple) * self.transformer.multiple
        if tokens < padded:
            return None
        return 0 if self.transformer.family.image_first else tokens - padded

    def _text(self, x: torch.Tensor, start: int, count: int) -> torch.Tensor:
        """The rows of the text in joint attention, whose image's start at ``start``."""
        family = self.transformer.family
        return x[..., count:, :] if family.image_first else x[..., family.text_start : start, :]

    def _record_outputs(self, layer: LayerId, out: torch.Tensor, roles: list[str]) -> None:
        """Words by how alike the outputs of attention are, of image and text tokens (arXiv 2502.04320)."""
        count = self._grid[0] * self._grid[1]
        start = self._image_start(out.shape[-2], count)
        if start is not None:
            out = _tokens_of(out, 1 if out.ndim == 3 else out.shape[1])
            self._record_words(layer, out[:, start : start + count], self._text(out, start, count), 1, roles)

    def _record_words(self, layer: LayerId, q: torch.Tensor, k: torch.Tensor, heads: int, roles: list[str]) -> None:
        injector = self.injector
        if not k.shape[-2] or not injector.records(layer, cross=True) or injector.store is None:
            return
        words = injector.store.context
        k = k[..., -words:, :] if self.transformer.family.padded_left else k[..., :words, :]
        injector.record(_tokens_of(q, heads), _tokens_of(k, heads), heads, roles, self._grid, cross=True)


def _tokens_of(x: torch.Tensor, heads: int) -> torch.Tensor:
    """[B, tokens, heads * d] of that, or of [B, heads or fewer, tokens, d]."""
    if x.ndim == 3:
        return x
    return x.repeat_interleave(heads // x.shape[1], 1).transpose(1, 2).flatten(2)
