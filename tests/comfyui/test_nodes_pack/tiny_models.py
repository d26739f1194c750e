"""Tiny networks of the true topology with weights made by rule, as ComfyUI's own MODEL, CLIP and VAE."""

from __future__ import annotations

import hashlib
import math
import os
from pathlib import Path
from typing import Any

import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.sd1_clip
import comfy.sdxl_clip
import comfy.supported_models
import numpy as np
import torch

CONTEXT = 64
with np.load(Path(os.environ["T2C_VECTORS"]) / "unet.npz") as vectors:
    PREFIX = str(vectors["prefix"])
TEXT = {"hidden_size": CONTEXT, "intermediate_size": 128, "num_attention_heads": 4, "num_hidden_layers": 3}
HALF = {**TEXT, "hidden_size": CONTEXT // 2, "projection_dim": CONTEXT // 2}


def randn(key: str, shape: Any) -> torch.Tensor:
    """The reference's rule: normal numbers that depend on a name and on the vector file's prefix."""
    seed = int.from_bytes(hashlib.sha256((PREFIX + key).encode()).digest()[:4], "little")
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))


def by_rule(module: torch.nn.Module, prefix: str = "") -> None:
    """Fill a module's parameters by the reference's rule, from their names."""
    for name, parameter in module.named_parameters():
        value = randn(prefix + name, parameter.shape)
        if parameter.ndim > 1:
            value /= math.sqrt(math.prod(parameter.shape[1:]))
        else:
            value = 0.1 * value + (1.0 if name.endswith("weight") else 0.0)
        parameter.data.copy_(value)


UNETS: dict[str, dict[str, Any]] = {
    "sd1": {
        "model_channels": 32,
        "num_res_blocks": [2, 2, 2, 2],
        "channel_mult": [1, 2, 4, 4],
        "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
        "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
        "transformer_depth_middle": 1,
        "num_heads": 8,
        "num_head_channels": -1,
        "use_linear_in_transformer": False,
        "adm_in_channels": None,
    },
    "sdxl": {
        "model_channels": 32,
        "num_res_blocks": [2, 2, 2],
        "channel_mult": [1, 2, 4],
        "transformer_depth": [0, 0, 1, 1, 3, 3],
        "transformer_depth_output": [0, 0, 0, 1, 1, 1, 3, 3, 3],
        "transformer_depth_middle": 3,
        "num_heads": -1,
        "num_head_channels": 32,
        "use_linear_in_transformer": True,
        "adm_in_channels": CONTEXT // 2 + 6 * 256,
        "num_classes": "sequential",
    },
}
UNETS["sd2v"] = {**UNETS["sd1"], "num_heads": -1, "num_head_channels": 32, "use_linear_in_transformer": True}
COMMON = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "context_dim": CONTEXT,
    "use_spatial_transformer": True,
    "legacy": False,
    "use_temporal_attention": False,
}


def model(family: str, dtype: torch.dtype = torch.float32, in_channels: int = 4) -> Any:
    """A MODEL of 'sd1', 'sd2v' (v-prediction) or 'sdxl'."""
    config_class = {"sd1": "SD15", "sd2v": "SD20", "sdxl": "SDXL"}[family]
    unet = {**COMMON, **UNETS[family], "dtype": dtype, "in_channels": in_channels}
    config = getattr(comfy.supported_models, config_class)(unet)
    config.unet_config = unet
    kind = comfy.model_base.ModelType.V_PREDICTION if family == "sd2v" else comfy.model_base.ModelType.EPS
    base = comfy.model_base.SDXL if family == "sdxl" else comfy.model_base.BaseModel
    network = base(config, model_type=kind)
    by_rule(network.diffusion_model)
    return patcher(network)


def patcher(network: torch.nn.Module) -> Any:
    manage = comfy.model_management
    device, offload = manage.get_torch_device(), manage.unet_offload_device()
    return comfy.model_patcher.CoreModelPatcher(network, load_device=device, offload_device=offload)


class _Target:
    params: dict[str, Any] = {}  # noqa: RUF012 - what comfy.sd.CLIP wants

    def __init__(self, family: str) -> None:
        xl = family == "sdxl"
        self.clip = comfy.sdxl_clip.SDXLClipModel if xl else comfy.sd1_clip.SD1ClipModel
        self.tokenizer = comfy.sdxl_clip.SDXLTokenizer if xl else comfy.sd1_clip.SD1Tokenizer


def clip(family: str, context: int = CONTEXT) -> Any:
    """A CLIP with the real tokenizer, for the UNets above unless ``context`` says otherwise."""
    options = {"clip_l_model_config": HALF if family == "sdxl" else {**TEXT, "hidden_size": context}}
    options["clip_g_model_config"] = HALF
    made = comfy.sd.CLIP(_Target(family), model_options=options)
    by_rule(made.cond_stage_model)
    return made


def vae() -> Any:
    """A VAE that halves three times, like the real one."""
    config = {
        "embed_dim": 4,
        "ddconfig": {
            "double_z": True,
            "z_channels": 4,
            "resolution": 256,
            "in_channels": 3,
            "out_ch": 3,
            "ch": 32,
            "ch_mult": [1, 1, 1, 1],
            "num_res_blocks": 1,
            "attn_resolutions": [],
            "dropout": 0.0,
        },
    }
    made = comfy.sd.VAE(sd={}, config={"params": config}, dtype=torch.float32)
    by_rule(made.first_stage_model)
    return made
