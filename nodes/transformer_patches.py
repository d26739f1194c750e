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
from ..t2c_core.twin.joint_attention import Rows, record_outputs, record_words, share_rows
from .transformer_families import Transformer
from .twin_patches import TwinPatches

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
        layer, injector = (*self._block, self._calls), self.injector
        self._calls += 1
        heads = args[0] if args else kwargs["heads"]
        roles = self._batch_roles(kwargs["transformer_options"])
        crosses = not self.transformer.family.joint and layer[2] > 0
        if crosses:
            record_words(injector, layer, q, k[..., self._words(0, k.shape[-2]), :], heads, roles, self._grid)
        rows = None if crosses else self._rows(q, k)
        if rows is None:
            return self._attended(attention, q, k, v, *args, **kwargs)
        self._seen += 1
        move = self.transformer.moved if self.transformer.family.text_axes else None
        q, k = share_rows(injector, layer, q, k, heads, rows, roles, self._position, move)
        out = self._attended(attention, q, k, v, *args, **kwargs)
        record_outputs(injector, layer, out, rows, roles)
        return out

    def _attended(self, attention: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self._following is not None:
            return self._following(attention, *args, **kwargs)
        return attention(*args, **kwargs)

    def _rows(self, q: torch.Tensor, k: torch.Tensor) -> Rows | None:
        """Where the image's tokens and the text's are; None where the image's are not."""
        family, count, tokens = self.transformer.family, self._grid[0] * self._grid[1], q.shape[-2]
        padded = -(-count // self.transformer.multiple) * self.transformer.multiple
        if tokens < padded or k.shape[-2] != tokens:
            return None
        start = 0 if family.image_first else tokens - padded
        text = slice(0)
        if family.joint:
            text = self._words(count, tokens) if family.image_first else self._words(family.text_start, start)
        return Rows(slice(start, start + count), text, self._grid)

    def _words(self, start: int, stop: int) -> slice:
        """The tokens of the prompt among those of the text."""
        store = self.injector.store
        words = store.context if store is not None else 0
        if self.transformer.family.padded_left:
            return slice(max(start, stop - words), stop)
        return slice(start, min(stop, start + words))
