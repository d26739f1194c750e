"""Diffusion transformers that the twin sampler can work on: where their blocks and the image's tokens are.

One adapter (`transformer_patches`) serves them all; a family is a row of the table.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

import torch

from ..t2c_core.errors import InputError
from ..t2c_core.twin.checkpoint import FAMILIES as UNETS
from ..t2c_core.twin.layers import InjectionLayers, choose_blocks

JOINT = ("double_blocks", "single_blocks")


@dataclass(frozen=True)
class Family:
    """What is particular about one family; paths are attributes of ComfyUI's network.

    name: for people. blocks: lists of blocks, in running order. joint: whether text and image tokens meet in one
    attention, else self- and cross-attention follow each other. image_first: whether the image's tokens come before the
    text's. patch: latent pixels to a token, a path or a number. text_width: the layer whose inputs are text features.
    text_start: how many other tokens come before the text's. padded_left: whether the text is padded in front. rope,
    text_axes: the rotary embedding, and those of its axes on which an image token's position counts from the text's
    length.
    """

    name: str
    blocks: tuple[str, ...] = JOINT
    joint: bool = True
    image_first: bool = False
    patch: str | int = "patch_size"
    text_width: str = ""
    text_start: int = 0
    padded_left: bool = False
    rope: str = ""
    text_axes: tuple[int, ...] = ()


REFINED = {"blocks": ("noise_refiner", "layers"), "rope": "rope_embedder", "text_axes": (0,)}
TABLE = {
    "Flux": Family("Flux", text_width="txt_in"),
    "Flux2": Family("Flux.2", text_width="txt_in", padded_left=True),
    "Chroma": Family("Chroma", text_width="txt_in"),
    "Lumina2": Family("Z-Image and Lumina 2", text_width="cap_embedder.1", **REFINED),
    "QwenImage": Family("Qwen-Image", ("transformer_blocks",), text_width="txt_in"),
    "WAN21": Family("Wan", ("blocks",), joint=False, text_width="text_embedding.0"),
    "WAN22": Family("Wan", ("blocks",), joint=False, text_width="text_embedding.0"),
    "CosmosPredict2": Family("Cosmos-Predict 2", ("blocks",), joint=False, patch="patch_spatial"),
    "Anima": Family("Anima", ("blocks",), joint=False, patch="patch_spatial"),
    "SD3": Family("Stable Diffusion 3", ("joint_blocks",), text_width="context_embedder"),
    "Krea2": Family("Krea 2", ("blocks",), patch="patch"),
    "HiDream": Family("HiDream", ("double_stream_blocks", "single_stream_blocks"), image_first=True),
    "Omnigen2": Family("OmniGen 2", **{**REFINED, "rope": "rope_embedder.rope_embedder"}),
    "Boogu": Family(
        "Boogu",
        ("noise_refiner", "double_stream_layers", "single_stream_layers"),
        rope="rope_embedder.rope_embedder",
        text_axes=(0,),
    ),
    "LongCatImage": Family("LongCat-Image", text_width="txt_in", rope="pe_embedder", text_axes=(1, 2)),
    "HunyuanImage21": Family("HunyuanImage 2.1"),
    "Lens": Family("Lens", ("transformer_blocks",), image_first=True),
    "MageFlow": Family("Mage-Flow", ("transformer_blocks",), text_width="txt_in"),
    "JoyImage": Family("JoyImage", ("double_blocks",), image_first=True),
    "Kandinsky5Image": Family("Kandinsky 5", ("visual_transformer_blocks",), joint=False),
    "AuraFlow": Family("AuraFlow", ("double_layers", "single_layers"), text_start=8),
}
"""By the name of the class in comfy.model_base."""
EXAMPLES = "Stable Diffusion 1.x to 3.5 and XL, Flux, Z-Image, Qwen-Image, Wan and more (docs/models.md)"
FAMILIES = ", ".join([UNETS, *dict.fromkeys(family.name for family in TABLE.values())])
WORKS = f"Families that work, as text-to-image base models: {FAMILIES}."


@dataclass(frozen=True)
class Transformer:
    """A diffusion transformer and its family's row."""

    network: Any
    family: Family

    def get(self, path: str) -> Any:
        """What is at a path; None without one."""
        return _at(self.network, path)

    @property
    def lists(self) -> list[tuple[str, Any]]:
        """The lists of blocks, in running order."""
        return [(name, blocks) for name in self.family.blocks if (blocks := self.get(name)) is not None]

    @property
    def patch(self) -> int:
        """Latent pixels to a token along a side."""
        patch = self.family.patch
        size = patch if isinstance(patch, int) else self.get(patch)
        return size if isinstance(size, int) else size[-1]

    def grid(self, latent: torch.Tensor) -> tuple[int, int]:
        """(rows, columns) of the image's tokens of a latent [..., h, w]."""
        h, w = (math.ceil(side / self.patch) for side in latent.shape[-2:])
        return h, w

    @property
    def multiple(self) -> int:
        """Image and text tokens are padded to a multiple of this each."""
        return self.get("pad_tokens_multiple") or 1

    @property
    def text_channels(self) -> int | None:
        """Channels of the text features that it takes; None: not known."""
        return getattr(self.get(self.family.text_width), "in_features", None)

    @property
    def takes_guidance(self) -> bool:
        """Whether guidance is an input of the network (distilled), so that a step is a single pass."""
        return bool(getattr(self.get("params"), "guidance_embed", False))

    def guides(self, scale: float) -> bool:
        """Whether classifier-free guidance of this scale runs: two prompts a step instead of one."""
        return not (self.takes_guidance or scale == 1.0)

    @property
    def width(self) -> int:
        """Channels of its tokens."""
        block = self.lists[-1][1][0]
        return statistics.mode(m.in_features for m in block.modules() if hasattr(m, "in_features"))

    def layers(self, first: float, last: float) -> InjectionLayers:
        """Those of `choose_blocks`."""
        return choose_blocks([(name, len(blocks)) for name, blocks in self.lists], first, last, joint=self.family.joint)

    def moved(self, value: torch.Tensor, by: int) -> torch.Tensor:
        """Rotated queries or keys [..., d] of the image as they are after ``by`` text tokens more."""
        embed = self.get(self.family.rope)
        ids = torch.zeros(1, 1, len(embed.axes_dim), device=value.device)
        ids[..., list(self.family.text_axes)] = by
        turn = embed(ids)[0, 0, 0]
        return (turn * value.float().unflatten(-1, (-1, 1, 2))).sum(-1).flatten(-2).to(value.dtype)


def _at(root: Any, path: str) -> Any:
    for name in path.split(".") if path else ["missing"]:
        root = root[int(name)] if name.isdigit() else getattr(root, name, None)
        if root is None:
            return None
    return root


def transformer_of(model: Any) -> Transformer | None:
    """The diffusion transformer of a MODEL; None for another kind of network. Raises InputError('model') for a variant
    that paints from a picture, and for what runs a model in parts."""
    kind = type(model.model).__name__
    if kind not in TABLE:
        return None
    found = Transformer(model.get_model_object("diffusion_model"), TABLE[kind])
    config = getattr(model.model.model_config, "unet_config", {})
    channels, out = config.get("in_channels"), config.get("out_channels")
    image = kind != "WAN22" and getattr(model.model, "image_to_video", False)  # which paints from a prompt too
    if image or (kind == "Flux" and channels and out and channels > out):
        raise InputError("model", f"is a {found.family.name} that needs a picture beside the prompt.", WORKS)
    if "context_handler" in model.model_options:
        raise InputError("model", "runs in context windows, whose parts cannot share.", "Remove them.")
    if model.get_additional_models_with_key("multigpu"):
        raise InputError("model", "is shared out to several cards, whose parts cannot share.", "Use one card.")
    return found
