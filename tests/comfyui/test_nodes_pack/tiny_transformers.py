"""Tiny diffusion transformers of ComfyUI's own classes with weights made by rule, and text features made by rule.

Those whose widths ComfyUI reads off a file are as small as it recognises, and can be saved and loaded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import comfy.sd
import comfy.supported_models
import torch
from comfy.taesd.taehv import TAEHV
from comfy.taesd.taesd import TAESD
from comfy.text_encoders.flux import FluxTokenizer
from comfy.text_encoders.z_image import ZImageTokenizer

from .tiny_models import patcher, randn

TEXT = 64
FLUX = {
    "image_model": "flux",
    "in_channels": 16,
    "out_channels": 16,
    "patch_size": 2,
    "vec_in_dim": 32,
    "context_in_dim": TEXT,
    "hidden_size": 256,
    "mlp_ratio": 4.0,
    "num_heads": 2,
    "depth": 2,
    "depth_single_blocks": 2,
    "axes_dim": [16, 56, 56],
    "theta": 10000,
    "qkv_bias": True,
    "guidance_embed": False,
    "txt_ids_dims": [],
}
LUMINA = {
    "image_model": "lumina2",
    "patch_size": 2,
    "in_channels": 16,
    "dim": 64,
    "cap_feat_dim": TEXT,
    "n_layers": 3,
    "n_refiner_layers": 1,
    "n_heads": 2,
    "n_kv_heads": 1,
    "qk_norm": True,
    "axes_dims": [8, 12, 12],
    "axes_lens": [300, 512, 512],
}
WAN = {
    "image_model": "wan2.1",
    "model_type": "t2v",
    "dim": 256,
    "ffn_dim": 128,
    "num_heads": 2,
    "num_layers": 3,
    "text_dim": 4096,
    "in_dim": 16,
    "out_dim": 16,
}
COSMOS = {
    "image_model": "cosmos_predict2",
    "max_img_h": 240,
    "max_img_w": 240,
    "max_frames": 128,
    "in_channels": 16,
    "out_channels": 16,
    "patch_spatial": 2,
    "patch_temporal": 1,
    "model_channels": 64,
    "num_blocks": 3,
    "num_heads": 2,
    "crossattn_emb_channels": TEXT,
    "pos_emb_cls": "rope3d",
    "pos_emb_learnable": True,
    "pos_emb_interpolation": "crop",
    "use_adaln_lora": True,
    "adaln_lora_dim": 32,
    "mlp_ratio": 2.0,
}


def sd3(**more: Any) -> dict[str, Any]:
    return {
        "input_size": None,
        "patch_size": 2,
        "in_channels": 16,
        "depth": 2,
        "pos_embed_max_size": 32,
        "num_patches": 1024,
        "adm_in_channels": 32,
        "context_embedder_config": {"target": "torch.nn.Linear", "params": {"in_features": TEXT, "out_features": 128}},
        "qk_norm": "rms",
        "context_size": TEXT,
        **more,
    }


@dataclass(frozen=True)
class Tiny:
    """kind: class in comfy.supported_models. text: shape of one token's features. extra: other keys of the conditioning
    and their shapes, 'L' standing for the number of tokens."""

    kind: str
    unet: dict[str, Any]
    text: tuple[int, ...] = (TEXT,)
    extra: dict[str, tuple[Any, ...]] = field(default_factory=dict)


POOLED = {"pooled_output": (1, 32)}
FAMILIES = {
    "Flux": Tiny("Flux", {**FLUX, "guidance_embed": True}, extra=POOLED),
    "Flux schnell": Tiny("FluxSchnell", FLUX, extra=POOLED),
    "Flux.2": Tiny(
        "Flux2",
        {
            **FLUX,
            "image_model": "flux2",
            "in_channels": 128,
            "out_channels": 128,
            "patch_size": 1,
            "vec_in_dim": None,
            "axes_dim": [32, 32, 32, 32],
            "theta": 2000,
            "mlp_ratio": 3.0,
            "qkv_bias": False,
            "ops_bias": False,
            "global_modulation": True,
            "mlp_silu_act": True,
            "guidance_embed": True,
            "txt_ids_dims": [3],
        },
    ),
    "Chroma": Tiny(
        "Chroma",
        {
            **{name: value for name, value in FLUX.items() if name != "guidance_embed"},
            "image_model": "chroma",
            "in_channels": 64,
            "out_channels": 64,
            "in_dim": 64,
            "out_dim": FLUX["hidden_size"],
            "hidden_dim": 64,
            "n_layers": 1,
        },
    ),
    "Z-Image": Tiny(
        "ZImage",
        {**LUMINA, "dim": 256, "n_heads": 8, "n_kv_heads": 8, "z_image_modulation": True, "pad_tokens_multiple": 32},
    ),
    "Lumina 2": Tiny("Lumina2", LUMINA),
    "Qwen-Image": Tiny(
        "QwenImage",
        {
            "image_model": "qwen_image",
            "num_layers": 3,
            "attention_head_dim": 32,
            "num_attention_heads": 2,
            "joint_attention_dim": TEXT,
            "axes_dims_rope": (8, 12, 12),
            "in_channels": 64,
        },
    ),
    "Wan": Tiny("WAN21_T2V", WAN, text=(4096,)),
    "Wan 2.2 5B": Tiny("WAN22_T2V", {**WAN, "in_dim": 48, "out_dim": 48}, text=(4096,)),
    "Cosmos-Predict 2": Tiny("CosmosT2IPredict2", COSMOS),
    "Anima": Tiny("Anima", {**COSMOS, "image_model": "anima", "crossattn_emb_channels": 1024}, text=(1024,)),
    "SD3": Tiny("SD3", sd3(), extra=POOLED),
    "SD3.5": Tiny("SD3", sd3(x_block_self_attn=True, x_block_self_attn_layers=[0, 1]), extra=POOLED),
    "Krea 2": Tiny(
        "Krea2",
        {
            "image_model": "krea2",
            "features": 256,
            "heads": 2,
            "kvheads": 1,
            "txtdim": 40,
            "txtlayers": 2,
            "layers": 3,
        },
        text=(80,),
    ),
    "HiDream": Tiny(
        "HiDream",
        {
            "image_model": "hidream",
            "patch_size": 2,
            "in_channels": 16,
            "out_channels": 16,
            "num_layers": 2,
            "num_single_layers": 2,
            "attention_head_dim": 32,
            "num_attention_heads": 2,
            "caption_channels": [TEXT, TEXT],
            "text_emb_dim": 32,
            "num_routed_experts": 2,
            "num_activated_experts": 1,
            "axes_dims_rope": [16, 8, 8],
            "llama_layers": [0, 1, 2, 3],
        },
        extra={**POOLED, "conditioning_llama3": (1, 4, "L", TEXT)},
    ),
    "OmniGen 2": Tiny(
        "Omnigen2",
        {
            "image_model": "omnigen2",
            "hidden_size": 64,
            "num_layers": 3,
            "num_refiner_layers": 1,
            "num_attention_heads": 2,
            "num_kv_heads": 1,
            "multiple_of": 32,
            "axes_dim_rope": (8, 12, 12),
            "text_feat_dim": TEXT,
        },
        extra={"attention_mask": (1, "L")},
    ),
    "Boogu": Tiny(
        "Boogu",
        {
            "image_model": "boogu",
            "hidden_size": 64,
            "num_layers": 3,
            "num_double_stream_layers": 1,
            "num_refiner_layers": 1,
            "num_attention_heads": 2,
            "num_kv_heads": 1,
            "multiple_of": 32,
            "axes_dim_rope": (8, 12, 12),
            "instruction_feat_dim": TEXT,
        },
        extra={"attention_mask": (1, "L")},
    ),
    "LongCat-Image": Tiny("LongCatImage", {**FLUX, "vec_in_dim": None, "txt_ids_dims": [1, 2]}),
    "HunyuanImage 2.1": Tiny(
        "HunyuanImage21",
        {
            "image_model": "hunyuan_video",
            "in_channels": 64,
            "out_channels": 64,
            "patch_size": [1, 1],
            "vec_in_dim": None,
            "context_in_dim": TEXT,
            "hidden_size": 256,
            "mlp_ratio": 4.0,
            "num_heads": 2,
            "depth": 2,
            "depth_single_blocks": 2,
            "axes_dim": [64, 64],
            "theta": 256,
            "qkv_bias": True,
            "guidance_embed": False,
            "byt5": False,
            "meanflow": False,
            "use_cond_type_embedding": False,
            "vision_in_dim": None,
            "meanflow_sum": False,
        },
    ),
    "Lens": Tiny(
        "Lens",
        {
            "image_model": "lens",
            "num_layers": 3,
            "attention_head_dim": 32,
            "num_attention_heads": 2,
            "enc_hidden_dim": 32,
            "axes_dims_rope": (8, 12, 12),
            "selected_layer_index": (0, 1),
            "in_channels": 128,
        },
        text=(64,),
        extra={"attention_mask": (1, "L")},
    ),
    "Mage-Flow": Tiny(
        "MageFlow",
        {
            "image_model": "mage_flow",
            "num_layers": 3,
            "attention_head_dim": 32,
            "num_attention_heads": 2,
            "joint_attention_dim": TEXT,
            "axes_dims_rope": (8, 12, 12),
        },
    ),
    "JoyImage": Tiny(
        "JoyImage",
        {
            "image_model": "joyimage",
            "hidden_size": 64,
            "num_attention_heads": 2,
            "text_dim": TEXT,
            "mlp_width_ratio": 2.0,
            "num_layers": 3,
            "rope_dim_list": [8, 12, 12],
        },
    ),
    "Kandinsky 5": Tiny(
        "Kandinsky5Image",
        {
            "image_model": "kandinsky5",
            "in_text_dim": TEXT,
            "in_text_dim2": 32,
            "time_dim": 32,
            "model_dim": 64,
            "ff_dim": 128,
            "visual_embed_dim": 64,
            "num_text_blocks": 1,
            "num_visual_blocks": 3,
            "axes_dims": (8, 12, 12),
            "rope_scale_factor": (1.0, 1.0, 1.0),
        },
        extra=POOLED,
    ),
    "AuraFlow": Tiny(
        "AuraFlow",
        {
            "cond_seq_dim": TEXT,
            "dim": 64,
            "n_layers": 4,
            "n_double_layers": 2,
            "n_heads": 2,
            "global_conddim": 64,
            "max_seq": 1024,
        },
    ),
}


NORMS = ("norm_q", "norm_k", "q_norm", "k_norm", "query_norm", "key_norm", "ln_q", "ln_k")


def fill(module: torch.nn.Module, peaked: float) -> None:
    """Parameters by the reference's rule; norms of queries and keys ``peaked`` times as large, so that attention looks
    somewhere."""
    for name, parameter in module.named_parameters():
        value = randn(name, parameter.shape)
        if parameter.ndim > 1:
            value /= max(parameter[0].numel(), 1) ** 0.5
        else:
            norm = any(part in name for part in NORMS)
            value = 0.1 * value + (peaked if norm else 1.0 if name.endswith(("weight", "scale")) else 0.0)
        parameter.data.copy_(value)


def model(family: str, dtype: torch.dtype = torch.float32, peaked: float = 3.0) -> Any:
    """A MODEL of a family above."""
    tiny = FAMILIES[family]
    unet = {**tiny.unet, "dtype": dtype}
    config = getattr(comfy.supported_models, tiny.kind)(unet)
    config.unet_config = unet
    network = config.get_model({}, "")
    fill(network.diffusion_model, peaked)
    return patcher(network.eval())


def conditioning(family: str, text: str) -> list[Any]:
    """Text features by rule, which depend on every word; two tokens for a word and for either end."""
    tiny, length = FAMILIES[family], 2 * len(text.split()) + 4
    extra = {}
    for name, shape in tiny.extra.items():
        shape = tuple(length if side == "L" else side for side in shape)
        extra[name] = (
            torch.ones(shape, dtype=torch.long) if name == "attention_mask" else randn(f"{name}/{text}", shape)
        )
    words = ["<s>", *text.split(), "</s>"]
    rows = [randn(f"{word}/{i}/{part}", tiny.text) for i, word in enumerate(words) for part in "ab"]
    return [[torch.stack(rows)[None], extra]]


TOKENIZERS = {"Flux": FluxTokenizer, "Z-Image": ZImageTokenizer}


class TextByRule:
    """What the sampler needs of a CLIP: ComfyUI's own tokenizer where the family is listed above, features by rule."""

    def __init__(self, family: str) -> None:
        self.family = family
        self.tokenizer = TOKENIZERS[family]() if family in TOKENIZERS else None

    def tokenize(self, text: str) -> dict[str, Any]:
        return self.tokenizer.tokenize_with_weights(text) if self.tokenizer else {"rule": text}

    def encode_from_tokens_scheduled(self, tokens: dict[str, Any]) -> list[Any]:
        if not self.tokenizer:
            return conditioning(self.family, tokens["rule"])
        chain, extra = list(tokens.values())[-1][0], conditioning(self.family, str(tokens))[0][1]
        shape = FAMILIES[self.family].text
        return [[torch.stack([randn(f"{token}/{i}", shape) for i, (token, *_) in enumerate(chain)])[None], extra]]


def vae(channels: int, video: bool) -> Any:
    """A tiny autoencoder of ComfyUI's own, of pictures or of videos, with weights by rule."""
    network = TAEHV(latent_channels=channels, latent_format=None) if video else TAESD(latent_channels=channels)
    fill(network, 1.0)
    return comfy.sd.VAE(sd=network.state_dict())
