"""Diffusers folders of Flux, Stable Diffusion 3 and Qwen-Image: the pipelines' own classes, tiny, weights by rule."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import transformers

from tests.core.tiny_checkpoints import WORDS, tiny_vocabulary
from tests.vectors import weight

FAMILIES = {
    "flux": "FluxPipeline",
    "schnell": "FluxPipeline",
    "sd3": "StableDiffusion3Pipeline",
    "qwen": "QwenImagePipeline",
}
WIDTH = 32
SHAPE = {"num_attention_heads": 2, "attention_head_dim": 16, "joint_attention_dim": WIDTH, "num_layers": 3}
ROPE = {"in_channels": 16, "axes_dims_rope": (4, 6, 6)}


def pipeline(family: str) -> Any:
    """A tiny pipeline of the family, its networks as float32 on the CPU."""
    with_clip = transformers.CLIPTextModelWithProjection if family == "sd3" else transformers.CLIPTextModel
    parts: dict[str, Any] = {"scheduler": _scheduler(family)}
    if family == "qwen":
        parts |= {"tokenizer": _qwen_tokenizer(), "text_encoder": _qwen()}
        mean, deviation = [0.1, -0.2, 0.3, 0.0], [1.5, 2.0, 1.2, 0.8]
        parts["vae"] = diffusers.AutoencoderKLQwenImage(
            base_dim=8, z_dim=4, num_res_blocks=1, latents_mean=mean, latents_std=deviation
        )
        parts["transformer"] = diffusers.QwenImageTransformer2DModel(**SHAPE, **ROPE, out_channels=4)
    else:
        parts |= {"tokenizer": _clip_tokenizer(), "text_encoder": with_clip(_clip())}
        parts["vae"] = _vae()
    if family in ("flux", "schnell"):
        parts |= {"tokenizer_2": _t5_tokenizer(), "text_encoder_2": _t5()}
        kind = {"guidance_embeds": family == "flux", "pooled_projection_dim": WIDTH // 2, "num_single_layers": 2}
        parts["transformer"] = diffusers.FluxTransformer2DModel(**SHAPE, **ROPE, **kind)
    if family == "sd3":
        parts |= {"tokenizer_2": _clip_tokenizer(), "text_encoder_2": with_clip(_clip())}
        parts |= {"tokenizer_3": _t5_tokenizer(), "text_encoder_3": _t5()}
        kind = {"caption_projection_dim": WIDTH, "pooled_projection_dim": WIDTH, "dual_attention_layers": (0,)}
        positions = {"sample_size": 16, "pos_embed_max_size": 16, "qk_norm": "rms_norm", "in_channels": 4}
        parts["transformer"] = diffusers.SD3Transformer2DModel(**SHAPE, **kind, **positions, out_channels=4)
    for name, part in parts.items():
        for key, value in _weights(part):
            value.data = weight(f"{name}.{key}", value.shape)
    made = getattr(diffusers, FAMILIES[family])(**parts)
    made.set_progress_bar_config(disable=True)
    return made


def folder(family: str, path: Path) -> Path:
    """The pipeline, saved there."""
    pipeline(family).save_pretrained(path)
    return path


def _weights(part: Any) -> Iterator[tuple[str, Any]]:
    return part.named_parameters() if hasattr(part, "named_parameters") else iter(())


def _scheduler(family: str) -> Any:
    how = {"shift": 3.0} if family in ("sd3", "qwen") else {}
    how |= {"use_dynamic_shifting": family in ("flux", "qwen")}
    return diffusers.FlowMatchEulerDiscreteScheduler(**how, **({"shift_terminal": 0.02} if family == "qwen" else {}))


def _vae() -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        scaling_factor=0.4,
        shift_factor=0.1,
    )


def _clip() -> Any:
    size = {"hidden_size": WIDTH // 2, "intermediate_size": WIDTH, "num_attention_heads": 2, "num_hidden_layers": 3}
    return transformers.CLIPTextConfig(
        vocab_size=len(tiny_vocabulary()[0]), projection_dim=WIDTH // 2, eos_token_id=2, **size
    )


def _t5() -> Any:
    size = {"d_model": WIDTH, "d_kv": 8, "d_ff": 64, "num_heads": 4, "num_layers": 2}
    known = len(_t5_tokenizer())
    return transformers.T5EncoderModel(transformers.T5Config(vocab_size=known, feed_forward_proj="gated-gelu", **size))


def _qwen() -> Any:
    size = {"hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    text = {**size, "num_key_value_heads": 2, "vocab_size": len(_qwen_tokenizer())}
    text["rope_parameters"] = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0}
    vision = {"hidden_size": 16, "intermediate_size": 16, "depth": 1, "num_heads": 2, "out_hidden_size": WIDTH}
    config = transformers.Qwen2_5_VLConfig(text_config=text, vision_config=vision)
    return transformers.Qwen2_5_VLForConditionalGeneration(config)


def _clip_tokenizer() -> Any:
    vocabulary, merges = tiny_vocabulary()
    pairs = [tuple(merge.split()) for merge in merges]
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=pairs, model_max_length=77)


def _t5_tokenizer() -> Any:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(f"▁{word}", -3.0) for word in WORDS] + [(chr(c), -9.0) for c in range(33, 127)]
    return transformers.T5TokenizerFast(vocab=pieces, extra_ids=0, model_max_length=512)


def _qwen_tokenizer() -> Any:
    letters = [*(chr(c) for c in range(33, 127)), "Ġ", "Ċ", "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    made = transformers.Qwen2Tokenizer(
        vocab={letter: i for i, letter in enumerate(letters)}, merges=[], model_max_length=2048
    )
    made.add_special_tokens({"additional_special_tokens": letters[-2:]})
    return made
