"""UNets that the twin sampler can work on."""

from __future__ import annotations

from typing import Any

import comfy.model_base
import comfy.model_sampling
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample, UNetModel, Upsample

from ..t2c_core.errors import InputError
from ..t2c_core.twin.layers import AttentionBlock, InjectionLayers, choose_layers
from .transformer_families import WORKS

_OTHER_UNETS = (comfy.model_base.SDXLRefiner, comfy.model_base.SD21UNCLIP)


def unet_of(model: Any) -> Any:
    """The UNet of a MODEL. Raises InputError('model') for every other kind of network, naming what works."""
    unet = model.get_model_object("diffusion_model")
    name = type(model.model).__name__
    if not isinstance(unet, UNetModel) or isinstance(model.model, _OTHER_UNETS):
        problem = f"is of the kind '{name}', whose attention cannot be shared"
        raise InputError("model", f"{problem}.", WORKS)
    if unet.in_channels != 4 or unet.out_channels != 4:
        problem = f"takes {unet.in_channels} channels, not 4: an inpainting, editing or video model ('{name}')"
        raise InputError("model", f"{problem}.", WORKS)
    if not isinstance(model.get_model_object("model_sampling"), comfy.model_sampling.ModelSamplingDiscrete):
        problem = "samples with continuous noise levels (EDM), not with training steps"
        raise InputError("model", f"{problem}.", WORKS)
    return unet


def _attention_blocks(modules: Any, level: int, direction: int) -> list[AttentionBlock]:
    blocks = []
    for index, module in enumerate(modules):
        for layer in module:
            if isinstance(layer, SpatialTransformer):
                blocks.append(AttentionBlock(index, level, len(layer.transformer_blocks)))
        if any(isinstance(layer, (Downsample, Upsample)) for layer in module):
            level += direction
    return blocks


def injection_layers(unet: Any) -> InjectionLayers:
    """The layers chosen for this UNet. Raises InputError('model') for a UNet with almost no attention."""
    encoder = _attention_blocks(unet.input_blocks, 0, 1)
    deepest = sum(any(isinstance(layer, Downsample) for layer in module) for module in unet.input_blocks)
    try:
        return choose_layers(encoder, _attention_blocks(unet.output_blocks, deepest, -1))
    except ValueError as error:
        raise InputError("model", f"cannot be used: {error}.", WORKS) from error


def context_width(unet: Any) -> int | None:
    """The number of channels of the text context the UNet expects, or None if it has no cross-attention."""
    transformers: Any = (m.transformer_blocks for m in unet.modules() if isinstance(m, SpatialTransformer))
    return next((blocks[0].attn2.to_k.in_features for blocks in transformers), None)
