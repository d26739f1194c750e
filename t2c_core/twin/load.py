"""A Stable Diffusion model for the command line, from a single-file checkpoint or a diffusers folder on this machine.

ComfyUI's own loaders are used inside ComfyUI; this is for `python -m t2c_core generate` and the tests. Nothing is ever
fetched: what a file lacks (the tokenizer) is looked for on this machine only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError
from ..weights import read_weights
from .checkpoint import (
    CLIP_1,
    CLIP_2,
    FAMILIES,
    UNET,
    XL_1,
    XL_2,
    Weights,
    family_of,
    predicts,
    unet_config,
    vae_config,
)
from .diffusers_adapter import Conditioning
from .diffusers_folder import read_folder
from .schedule import noise_table
from .tokenizer import load_tokenizer, token_ids, token_texts
from .words import words_of_tokens

PREDICTIONS: tuple[str, ...] = ("epsilon", "v_prediction")
_QUANTISED = re.compile(r"(^|\.)(scaled_fp8|scale_weight|scale_input|weight_scale|comfy_quant)$")


@dataclass(frozen=True)
class TextEncoder:
    """One of a model's text encoders. hidden: which hidden state is the context (-1: the last, normed)."""

    model: torch.nn.Module
    hidden: int
    padding: int | None
    """Token texts are padded with; None: the end token."""


@dataclass(frozen=True)
class DiffusionModels:
    """Everything of one Stable Diffusion model. family: 'sd1', 'sd2' or 'sdxl'; table: training sigmas [1000]."""

    family: str
    unet: torch.nn.Module
    vae: torch.nn.Module
    encoders: tuple[TextEncoder, ...]
    tokenizer: Any
    prediction: str
    table: torch.Tensor

    @property
    def device(self) -> torch.device:
        return self.unet.device


def load_models(
    path: Path,
    *,
    tokenizer: Path | None = None,
    prediction: str | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> DiffusionModels:
    """Load ``path``: a diffusers folder, or a .safetensors or .ckpt file in the original layout.

    prediction: 'epsilon' or 'v_prediction', where what the file says or hints at is wrong. The VAE stays float32.
    Raises InputError('checkpoint') for what cannot be used, ('tokenizer') if none is found or it does not fit, and
    ('prediction') for any other prediction.
    """
    if not path.exists():
        raise InputError("checkpoint", f"'{path}' does not exist.")
    loaded = load_tokenizer(tokenizer, path)
    parts = _from_folder(path) if path.is_dir() else _from_weights(read_weights(path))
    family, unet, vae, encoders, predicted = parts
    predicted = prediction or predicted
    if predicted not in PREDICTIONS:
        raise InputError("prediction", f"is '{predicted}'; it must be one of {', '.join(PREDICTIONS)}.")
    known = min(encoder.model.get_input_embeddings().num_embeddings for encoder in encoders)
    if len(loaded) > known:
        raise InputError(
            "tokenizer",
            f"has {len(loaded)} tokens, but the text encoder knows only {known}: it belongs to another model.",
            "Name the folder of the model's own with --tokenizer.",
        )
    for module in (unet, vae, *(encoder.model for encoder in encoders)):
        module.eval().requires_grad_(False).to(device)
    if unet.dtype != dtype:
        unet.to(dtype)
    return DiffusionModels(family, unet, vae.float(), encoders, loaded, predicted, noise_table())


Parts = tuple[str, torch.nn.Module, torch.nn.Module, tuple[TextEncoder, ...], str]


def _filled(module: torch.nn.Module, weights: Weights, what: str) -> torch.nn.Module:
    """``module`` with exactly these weights, as float32. Raises InputError that lists what is missing or misshapen."""
    wanted = module.state_dict()
    missing = [key for key in wanted if key not in weights and not key.endswith("position_ids")]
    misshapen = [key for key in wanted if key in weights and weights[key].shape != wanted[key].shape]
    if missing or misshapen:
        listed = ", ".join([*missing, *misshapen][:4])
        raise InputError(
            "checkpoint",
            f"does not fit the {what}: {len(missing)} weights are missing, {len(misshapen)} misshapen ({listed}).",
        )
    module.load_state_dict({key: weights[key].float() for key in wanted if key in weights}, strict=False, assign=True)
    return module


def _widened(weights: Weights) -> Weights:
    """The same numbers, 8-bit ones in 16 bits: torch cannot compute with 8. Raises InputError if they need scaling."""
    scaled = next((key for key in weights if _QUANTISED.search(key)), None)
    if scaled is not None:
        raise InputError("checkpoint", f"is quantised ({scaled}).", "Use the file in 16 or 32 bits.")
    small = {key for key, value in weights.items() if value.is_floating_point() and value.element_size() == 1}
    return {key: value.half() if key in small else value for key, value in weights.items()}


def _from_weights(weights: Weights) -> Parts:
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint

    weights = _widened(weights)
    family = family_of(weights)
    if family != "sdxl" and f"{UNET}label_emb.0.0.weight" in weights:
        works = f"Families that work: {FAMILIES}."
        raise InputError("checkpoint", "takes a picture's embedding beside the prompt: an unCLIP model.", works)
    try:
        config = unet_config(weights, family)
        with torch.device("meta"):
            unet = UNet2DConditionModel(**config)
        unet_weights = convert_ldm_unet_checkpoint(dict(weights), config=dict(unet.config))
        config = vae_config(weights, family)
        with torch.device("meta"):
            vae = AutoencoderKL(**config)
        vae_weights = convert_ldm_vae_checkpoint(dict(weights), config=dict(vae.config))
    except (KeyError, ValueError, StopIteration, IndexError) as error:
        raise InputError("checkpoint", f"lacks parts of its UNet or VAE ({error}).") from error
    encoders = _encoders(weights, family)
    unet, vae = _filled(unet, unet_weights, "UNet"), _filled(vae, vae_weights, "VAE")
    return family, unet, vae, encoders, predicts(weights, family)


def _encoders(weights: Weights, family: str) -> tuple[TextEncoder, ...]:
    if family == "sd1":
        return (TextEncoder(_clip(weights, CLIP_1), -1, None),)
    if family == "sd2":
        return (TextEncoder(_open_clip(weights, CLIP_2, projection=False), -1, 0),)
    first = TextEncoder(_clip(weights, XL_1), -2, None)
    return first, TextEncoder(_open_clip(weights, XL_2, projection=True), -2, 0)


def _text_config(tokens: torch.Tensor, inner: torch.Tensor, layers: int, act: str, projection: int) -> Any:
    from transformers import CLIPTextConfig

    width = tokens.shape[1]
    return CLIPTextConfig(
        vocab_size=tokens.shape[0],
        hidden_size=width,
        intermediate_size=inner.shape[0],
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // 64),
        hidden_act=act,
        projection_dim=projection,
        # The original value; transformers then pools at the highest token number, which is the end of the text.
        eos_token_id=2,
    )


def _named(module: torch.nn.Module, weights: Weights) -> dict[str, torch.Tensor]:
    """Weights under the names this version of transformers uses: with or without 'text_model.'."""
    found = {}
    for key in module.state_dict():
        plain = key.removeprefix("text_model.")
        value = weights.get(f"text_model.{plain}", weights.get(plain))
        if value is not None:
            found[key] = value
    return found


def _clip(weights: Weights, prefix: str) -> torch.nn.Module:
    """OpenAI's CLIP text model, kept under its transformers names in these files."""
    from transformers import CLIPTextModel

    own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    own = {key if key.startswith("text_model.") else f"text_model.{key}": value for key, value in own.items()}
    try:
        tokens = own["text_model.embeddings.token_embedding.weight"]
        inner = own["text_model.encoder.layers.0.mlp.fc1.weight"]
    except KeyError as error:
        raise InputError("checkpoint", f"lacks a part of its text encoder ({error}).") from error
    layers = len({key.split(".")[3] for key in own if key.startswith("text_model.encoder.layers.")})
    model = CLIPTextModel(_text_config(tokens, inner, layers, "quick_gelu", tokens.shape[1]))
    return _filled(model, _named(model, own), "text encoder")


def _open_clip(weights: Weights, prefix: str, *, projection: bool) -> torch.nn.Module:
    """OpenCLIP's text model. Without projection its last layer is left out: the one before is the context (SD 2.x)."""
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    try:
        tokens = weights[f"{prefix}token_embedding.weight"]
        inner = weights[f"{prefix}transformer.resblocks.0.mlp.c_fc.weight"]
    except KeyError as error:
        raise InputError("checkpoint", f"lacks a part of its text encoder ({error}).") from error
    start = f"{prefix}transformer.resblocks."
    layers = len({key.removeprefix(start).split(".")[0] for key in weights if key.startswith(start)})
    config = _text_config(tokens, inner, layers if projection else layers - 1, "gelu", tokens.shape[1])
    model = (CLIPTextModelWithProjection if projection else CLIPTextModel)(config)
    renamed = convert_open_clip_checkpoint(model, dict(weights), prefix=prefix)
    named = _named(model, renamed)
    if "text_projection.weight" in renamed:
        named["text_projection.weight"] = renamed["text_projection.weight"]
    return _filled(model, named, "text encoder")


def _from_folder(path: Path) -> Parts:
    found = read_folder(path)
    if len(found.texts) == 2:
        encoders = TextEncoder(found.texts[0], -2, None), TextEncoder(found.texts[1], -2, 0)
        return "sdxl", found.unet, found.vae, encoders, found.prediction
    two = found.unet.config.cross_attention_dim != 768 and bool(found.unet.config.use_linear_projection)
    encoders = (TextEncoder(found.texts[0], -1, 0 if two else None),)
    return "sd2" if two else "sd1", found.unet, found.vae, encoders, found.prediction


@torch.no_grad()
def encode_text(models: DiffusionModels, text: str, size: tuple[int, int]) -> Conditioning:
    """A prompt as the UNet takes it: no weighting syntax, cut at 77 tokens. size: (height, width) in pixels, for XL."""
    contexts, pooled = [], None
    for encoder in models.encoders:
        ids = torch.tensor([token_ids(models.tokenizer, text, encoder.padding)], device=models.device)
        out = encoder.model(ids, output_hidden_states=True)
        contexts.append(out.last_hidden_state if encoder.hidden == -1 else out.hidden_states[encoder.hidden])
        pooled = getattr(out, "text_embeds", None)
    context = torch.cat(contexts, -1)
    if models.family != "sdxl":
        return Conditioning(context)
    # Original size, upper left corner of the crop, target size.
    sizes = torch.tensor([[*size, 0, 0, *size]], device=models.device, dtype=torch.float32)
    return Conditioning(context, {"text_embeds": pooled, "time_ids": sizes})


def words_of(models: DiffusionModels, text: str) -> list[tuple[str, list[int]]]:
    """The words of a prompt and where their tokens are."""
    return words_of_tokens(token_texts(models.tokenizer, token_ids(models.tokenizer, text)))


@torch.no_grad()
def decode(models: DiffusionModels, latent: torch.Tensor) -> torch.Tensor:
    """Pictures float32 [B, 8 h, 8 w, 3] in 0..1 of latents [B, 4, h, w], on the CPU."""
    pictures = models.vae.decode(latent.float() / models.vae.config.scaling_factor).sample
    return (pictures / 2 + 0.5).clamp(0, 1).movedim(1, -1).cpu()


@torch.no_grad()
def encode_picture(models: DiffusionModels, picture: torch.Tensor) -> torch.Tensor:
    """The latents (their mean, scaled) of pictures [B, H, W, 3] in 0..1; H and W multiples of 8."""
    pixels = picture.movedim(-1, 1).to(models.device) * 2 - 1
    return models.vae.encode(pixels).latent_dist.mean * models.vae.config.scaling_factor


def prompts_of(models: DiffusionModels, texts: Mapping[str, str], size: tuple[int, int]) -> dict[str, Conditioning]:
    """`encode_text` of several prompts by role."""
    return {role: encode_text(models, text, size) for role, text in texts.items()}
