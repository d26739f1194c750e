"""The reference's tiny UNet in diffusers, its weights and text features made by the reference's rule."""

from __future__ import annotations

import functools

import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

from t2c_core.twin.diffusers_adapter import Conditioning
from tests.vectors import randn, vectors, weight

WIDTHS = (32, 64, 128, 128)
CROSS = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"


@functools.cache
def reference_unet() -> UNet2DConditionModel:
    """The UNet of unet.npz and sampler.npz: 32 channels, [1, 2, 4, 4], 8 heads, context 64. Do not change it."""
    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=WIDTHS,
        layers_per_block=2,
        cross_attention_dim=64,
        attention_head_dim=8,
        down_block_types=(CROSS[0],) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + (CROSS[1],) * 3,
    ).eval()
    keys = [str(key) for key in vectors("unet")["weight_keys"]]
    # Numbers stand for the weights while diffusers finds out which name of its own belongs to which.
    numbered = {f"model.diffusion_model.{key}": torch.tensor(float(i)) for i, key in enumerate(keys)}
    renamed = convert_ldm_unet_checkpoint(numbered, config=dict(unet.config))
    shapes = {name: tuple(t.shape) for name, t in unet.state_dict().items()}
    unet.load_state_dict({name: weight(keys[int(i)], shapes[name]) for name, i in renamed.items()})
    return unet.requires_grad_(False)


def embedding(name: str) -> Conditioning:
    """'uncond', 'source', 'twin' or 'negative2'."""
    return Conditioning(randn(f"input/emb/{name}", (77, 64), "sampler")[None])


def prompts(negative: str = "source", twin: str = "twin") -> dict[str, Conditioning]:
    names = {"uncond": "uncond", "cond": "source", "negative": negative, "twin": twin}
    return {role: embedding(name) for role, name in names.items()}
