"""Which MODELs the twin sampler can work on."""

from __future__ import annotations

from typing import Any

import comfy.model_base
import comfy.model_sampling
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample, UNetModel, Upsample

from ..t2c_core.errors import InputError
from ..t2c_core.twin.blocks import AttentionBlock, BlockChoice, choose_blocks

FAMILIES = "Stable Diffusion 1.x, 2.x and XL"
_OTHER_UNETS = (comfy.model_base.SDXLRefiner, comfy.model_base.SD21UNCLIP)


def unet_of(model: Any) -> UNetModel:
    """The UNet of a MODEL. Raises InputError('model') for every other kind of network, naming what works."""
    unet = model.get_model_object("diffusion_model")
    name = type(model.model).__name__
    if not isinstance(unet, UNetModel) or isinstance(model.model, _OTHER_UNETS):
        problem = f"is of the kind '{name}', which has no decoder whose features can be shared"
        raise InputError("model", f"{problem}.", f"Families that work: {FAMILIES} (base models).")
    if unet.in_channels != 4 or unet.out_channels != 4:
        problem = f"takes {unet.in_channels} channels, not 4: an inpainting, editing or video model ('{name}')"
        raise InputError("model", f"{problem}.", f"Use a text-to-image model: {FAMILIES}.")
    if not isinstance(model.get_model_object("model_sampling"), comfy.model_sampling.ModelSamplingDiscrete):
        problem = "samples with continuous noise levels (EDM), not with training steps"
        raise InputError("model", f"{problem}.", f"Families that work: {FAMILIES}.")
    return unet


def _blocks(modules: Any, level: int, direction: int) -> list[AttentionBlock]:
    found = []
    for index, module in enumerate(modules):
        for layer in module:
            if isinstance(layer, SpatialTransformer):
                found.append(AttentionBlock(index, level, len(layer.transformer_blocks)))
        if any(isinstance(layer, (Downsample, Upsample)) for layer in module):
            level += direction
    return found


def blocks_of(unet: UNetModel) -> BlockChoice:
    """The blocks whose features matter. Raises InputError('model') for a UNet with almost no attention."""
    encoder = _blocks(unet.input_blocks, 0, 1)
    deepest = sum(any(isinstance(layer, Downsample) for layer in module) for module in unet.input_blocks)
    try:
        return choose_blocks(encoder, _blocks(unet.output_blocks, deepest, -1))
    except ValueError as error:
        raise InputError("model", f"cannot be used: {error}.", f"Families that work: {FAMILIES}.") from error


def context_width(unet: UNetModel) -> int | None:
    """The number of channels of the text context the UNet expects, or None if it has no cross-attention."""
    for module in unet.modules():
        if isinstance(module, SpatialTransformer):
            return module.transformer_blocks[0].attn2.to_k.in_features
    return None
