"""Family, prediction type and network configurations of single-file Stable Diffusion checkpoints.

All are inferred from the names and shapes of the weights, so files of any width load.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import InputError
from ..io.weights import check_finite

FAMILIES = "Stable Diffusion 1.x, 2.x and XL"
WORKS = (
    f"What works here: {FAMILIES} (base models), and diffusers folders of Flux, Stable Diffusion 3 and Qwen-Image. "
    "Others work in ComfyUI."
)
UNET = "model.diffusion_model."
VAE = "first_stage_model."
CLIP_1 = "cond_stage_model.transformer."
CLIP_2 = "cond_stage_model.model."
XL_1, XL_2 = "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."
Weights = Mapping[str, torch.Tensor]
_OTHER_KINDS = {
    r"lora_|\.lora": "a LoRA",
    r"double_blocks\.": "a Flux model",
    r"joint_blocks\.": "an SD3 model",
    r"^(decoder|encoder|first_stage_model)\.": "a VAE",
}


@dataclass(frozen=True)
class Parts:
    """The networks of one model. family: 'sd1', 'sd2' or 'sdxl'; texts: one text encoder, two for XL."""

    family: str
    unet: Any
    vae: Any
    texts: Sequence[Any]
    prediction: str


def family_of(weights: Weights) -> str:
    """'sd1', 'sd2' or 'sdxl'. Raises InputError('checkpoint') that names the kind of any other file."""
    first = weights.get(f"{UNET}input_blocks.0.0.weight")
    if first is None:
        kinds = (kind for pattern, kind in _OTHER_KINDS.items() if any(re.search(pattern, key) for key in weights))
        raise InputError("checkpoint", f"is {next(kinds, 'no checkpoint of a UNet')}.", WORKS)
    if first.shape[1] != 4:
        raise InputError("checkpoint", f"takes {first.shape[1]} channels: an inpainting or editing model.", WORKS)
    missing = [] if any(key.startswith(VAE) for key in weights) else ["VAE"]
    if any(key.startswith(XL_2) for key in weights) and any(key.startswith(XL_1) for key in weights):
        family = "sdxl"
    elif any(key.startswith(CLIP_2) for key in weights):
        family = "sd2"
    elif any(key.startswith(CLIP_1) for key in weights):
        family = "sd1"
    elif any(key.startswith("conditioner.embedders.0.model.") for key in weights):
        raise InputError("checkpoint", "is the refiner of Stable Diffusion XL.", WORKS)
    else:
        family = ""
        missing.append("text encoder")
    if missing:
        raise InputError("checkpoint", f"holds no {' and no '.join(missing)}.", WORKS)
    check_finite(weights, "checkpoint")
    return family


def infer_prediction_type(weights: Weights, family: str) -> str:
    """'epsilon' or 'v_prediction'. XL files say so; in 2.x a layer norm's bias is spread wider in v-models."""
    if family == "sdxl":
        return "v_prediction" if "v_pred" in weights else "epsilon"
    bias = weights.get(f"{UNET}output_blocks.11.1.transformer_blocks.0.norm1.bias")
    wide = family == "sd2" and bias is not None and float(bias.float().std()) > 0.09
    return "v_prediction" if wide else "epsilon"


def _transformers(weights: Weights, block: str) -> int:
    """How many transformers a UNet block holds; 0 without attention."""
    pattern = re.compile(re.escape(f"{UNET}{block}.1.transformer_blocks.") + r"(\d+)\.")
    return len({match[1] for key in weights if (match := pattern.match(key))})


def unet_config(weights: Weights, family: str) -> dict[str, Any]:
    """Arguments of diffusers' UNet2DConditionModel for these weights."""
    convolutions = re.compile(re.escape(UNET) + r"input_blocks\.(\d+)\.0\.in_layers\.2\.weight")
    widths = {int(m[1]): value.shape[0] for key, value in weights.items() if (m := convolutions.fullmatch(key))}
    downsampler = re.compile(re.escape(UNET) + r"input_blocks\.(\d+)\.0\.op\.weight")
    starts = [1, *sorted(int(m[1]) + 1 for key in weights if (m := downsampler.fullmatch(key)))]
    depths = [_transformers(weights, f"input_blocks.{i}") for i in starts]
    heads = [8] * len(starts) if family == "sd1" else [max(1, widths[i] // 64) for i in starts]
    context = next(v.shape[1] for k, v in weights.items() if k.startswith(UNET) and k.endswith("attn2.to_k.weight"))
    layers = sum(1 for i in widths if i < (starts[1] if len(starts) > 1 else 10**6)) or 2
    inside = next(v for k, v in weights.items() if k.startswith(UNET) and k.endswith("proj_in.weight"))
    config: dict[str, Any] = {
        "sample_size": 64,
        "block_out_channels": tuple(widths[i] for i in starts),
        "layers_per_block": layers,
        "cross_attention_dim": context,
        "attention_head_dim": tuple(heads),
        "use_linear_projection": inside.ndim == 2,
        "down_block_types": tuple("CrossAttnDownBlock2D" if d else "DownBlock2D" for d in depths),
        "up_block_types": tuple("CrossAttnUpBlock2D" if d else "UpBlock2D" for d in depths[::-1]),
        "transformer_layers_per_block": tuple(max(1, d) for d in depths),
    }
    if family == "sdxl":
        config.update(
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=weights[f"{UNET}label_emb.0.0.weight"].shape[1],
        )
    return config


def vae_config(weights: Weights, family: str) -> dict[str, Any]:
    """Arguments of diffusers' AutoencoderKL for these weights."""
    pattern = re.compile(re.escape(VAE) + r"encoder\.down\.(\d+)\.block\.(\d+)\.conv1\.weight")
    blocks = {(int(m[1]), int(m[2])): v.shape[0] for key, v in weights.items() if (m := pattern.fullmatch(key))}
    levels = 1 + max(level for level, _ in blocks)
    return {
        "block_out_channels": tuple(blocks[level, 0] for level in range(levels)),
        "layers_per_block": 1 + max(block for _, block in blocks),
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "latent_channels": 4,
        "norm_num_groups": 32,
        "sample_size": 512,
        "scaling_factor": 0.13025 if family == "sdxl" else 0.18215,
    }
