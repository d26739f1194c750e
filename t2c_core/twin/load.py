"""Diffusion models from a single-file checkpoint or a diffusers folder, for use without ComfyUI.

Nothing is downloaded: the tokenizer, which a file lacks, is searched on this machine only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from .. import memory
from ..errors import InputError, first_line
from ..io.weights import read_weights
from .checkpoint import (
    CLIP_1,
    CLIP_2,
    UNET,
    WORKS,
    XL_1,
    XL_2,
    Parts,
    Weights,
    family_of,
    infer_prediction_type,
    unet_config,
    vae_config,
)
from .diffusers_adapter import Conditioning
from .diffusers_folder import check_parts, read_folder
from .padding import LATENT_SCALE
from .prompts import word_positions
from .schedule import training_sigmas
from .tokenizer import load_tokenizer, token_ids, token_texts
from .transformer_folder import TransformerModels, family_of_folder, read_transformer_folder

PREDICTIONS: tuple[str, ...] = ("epsilon", "v_prediction")
_QUANTISED = re.compile(r"(^|\.)(scaled_fp8|scale_weight|scale_input|weight_scale|comfy_quant)$")


_TEXT_ENCODERS = {"sd1": ((-1, None),), "sd2": ((-1, 0),), "sdxl": ((-2, None), (-2, 0))}
"""Family -> of each text encoder (the hidden state that is the context, -1: the last, normed; the token its texts are
padded with, None: the end token)."""


@dataclass(frozen=True)
class DiffusionModels(Parts):
    """Everything of one Stable Diffusion model. table: training sigmas [1000]."""

    tokenizer: Any
    table: torch.Tensor

    @property
    def native_size(self) -> int:
        """Side in px of the images the family was trained on."""
        return {"sd1": 512, "sd2": 768, "sdxl": 1024}[self.family]

    @property
    def device(self) -> torch.device:
        return self.unet.device

    @property
    def dtype(self) -> torch.dtype:
        return self.unet.dtype

    multiple = LATENT_SCALE
    latent_channels = 4

    def check_size(self, height: int, width: int) -> None:
        """Any size will do."""


def on_devices(models: DiffusionModels) -> Iterator[DiffusionModels]:
    """Levels of memory for UNet and text encoders: where they are, then as float32 on the CPU, unless they are so."""
    yield models
    if models.device.type != "cpu" or models.unet.dtype != torch.float32:
        yield replace(models, unet=memory.copy_on_cpu(models.unet), texts=[memory.copy_on_cpu(t) for t in models.texts])


def load_models(
    path: Path,
    *,
    tokenizer: Path | None = None,
    prediction: str | None = None,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> DiffusionModels | TransformerModels:
    """Load ``path``: a diffusers folder, or a .safetensors or .ckpt file of a UNet in the original layout.

    prediction: a UNet's, 'epsilon' or 'v_prediction', where what the file says or hints at is wrong. tokenizer: a
    UNet's. The VAE stays float32. Raises InputError('checkpoint') for what cannot be used, ('tokenizer') if none is
    found or it does not fit, and ('prediction') for any other prediction.
    """
    if not path.exists():
        raise InputError("checkpoint", f"'{path}' does not exist.")
    if path.is_dir():
        if family := family_of_folder(path):
            for name, given in (("tokenizer", tokenizer), ("prediction", prediction)):
                if given is not None:
                    problem = f"is for Stable Diffusion 1.x to XL; {family.name} brings its own."
                    raise InputError(name, problem, "Leave it out.")
            return read_transformer_folder(path, family, torch.device(device), dtype)
        check_parts(path)
    loaded = load_tokenizer(tokenizer, path)
    parts = read_folder(path, dtype) if path.is_dir() else _from_weights(read_weights(path), dtype)
    predicted = prediction or parts.prediction
    if predicted not in PREDICTIONS:
        raise InputError("prediction", f"is '{predicted}'; it must be one of {', '.join(PREDICTIONS)}.")
    known = min(text.get_input_embeddings().num_embeddings for text in parts.texts)
    if len(loaded) > known:
        problem = f"has {len(loaded)} tokens, but the text encoder knows only {known}: it belongs to another model."
        raise InputError("tokenizer", problem, "Name the folder of this model's tokenizer.")
    for module in (parts.unet, parts.vae, *parts.texts):
        module.eval().requires_grad_(False).to(device)
    return DiffusionModels(parts.family, parts.unet, parts.vae, parts.texts, predicted, loaded, training_sigmas())


def _assign(module: Any, weights: Weights, name: str, dtype: torch.dtype = torch.float32) -> Any:
    """``module`` with exactly these weights, those of ``dtype`` not copied. Raises InputError for missing ones."""
    wanted = module.state_dict()
    missing = [key for key in wanted if key not in weights and not key.endswith("position_ids")]
    misshapen = [key for key in wanted if key in weights and weights[key].shape != wanted[key].shape]
    if missing or misshapen:
        listed = ", ".join([*missing, *misshapen][:4])
        counted = f"{len(missing)} weights are missing, {len(misshapen)} misshapen ({listed})"
        raise InputError("checkpoint", f"does not fit the {name}: {counted}.")
    cast = {key: weights[key].to(dtype) for key in wanted if key in weights}
    module.load_state_dict(cast, strict=False, assign=True)
    for owner in module.modules():
        # The one buffer that files leave out.
        if getattr(getattr(owner, "position_ids", None), "is_meta", False):
            owner.position_ids = torch.arange(owner.position_ids.shape[-1])[None]
    return module


def _without_8_bits(weights: Weights) -> Weights:
    """8-bit weights in 16 bits: torch cannot compute with 8. Raises InputError if they need scaling."""
    scaled = next((key for key in weights if _QUANTISED.search(key)), None)
    if scaled is not None:
        raise InputError("checkpoint", f"is quantised ({scaled}).", "Use the file in 16 or 32 bits.")
    small = {key for key, value in weights.items() if value.is_floating_point() and value.element_size() == 1}
    return {key: value.half() if key in small else value for key, value in weights.items()}


def _from_weights(weights: Weights, dtype: torch.dtype) -> Parts:
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    weights = _without_8_bits(weights)
    family = family_of(weights)
    if family != "sdxl" and f"{UNET}label_emb.0.0.weight" in weights:
        raise InputError("checkpoint", "takes an image's embedding beside the prompt: an unCLIP model.", WORKS)
    try:
        configs = unet_config(weights, family), vae_config(weights, family)
        with torch.device("meta"):
            unet, vae = UNet2DConditionModel(**configs[0]), AutoencoderKL(**configs[1])
        unet_weights = convert_ldm_unet_checkpoint(dict(weights), config=dict(unet.config))
        vae_weights = convert_ldm_vae_checkpoint(dict(weights), config=dict(vae.config))
        texts = _text_encoders(weights, family)
    except InputError:
        raise
    except (KeyError, ValueError, StopIteration, IndexError) as error:
        problem = (
            f"cannot be taken apart into UNet, VAE and text encoder ({type(error).__name__}: {first_line(error)})."
        )
        raise InputError("checkpoint", problem) from error
    unet, vae = _assign(unet, unet_weights, "UNet", dtype), _assign(vae, vae_weights, "VAE")
    return Parts(family, unet, vae, texts, infer_prediction_type(weights, family))


def _text_encoders(weights: Weights, family: str) -> list[torch.nn.Module]:
    if family == "sd1":
        return [_clip(weights, CLIP_1)]
    if family == "sd2":
        return [_open_clip(weights, CLIP_2, projection=False)]
    return [_clip(weights, XL_1), _open_clip(weights, XL_2, projection=True)]


def _text_config(tokens: torch.Tensor, inner: torch.Tensor, layers: int, act: str) -> Any:
    from transformers import CLIPTextConfig

    width = tokens.shape[1]
    return CLIPTextConfig(
        vocab_size=tokens.shape[0],
        hidden_size=width,
        intermediate_size=inner.shape[0],
        num_hidden_layers=layers,
        num_attention_heads=max(1, width // 64),
        hidden_act=act,
        projection_dim=width,
        # The original value; transformers then pools at the highest token number, which is the end of the text.
        eos_token_id=2,
    )


def _renamed(module: torch.nn.Module, weights: Weights) -> dict[str, torch.Tensor]:
    """Weights under the names this version of transformers uses: with or without 'text_model.'."""
    values = {}
    for key in module.state_dict():
        plain = key.removeprefix("text_model.")
        value = weights.get(f"text_model.{plain}", weights.get(plain))
        if value is not None:
            values[key] = value
    return values


def _clip(weights: Weights, prefix: str) -> torch.nn.Module:
    """OpenAI's CLIP text model, kept under its transformers names in these files."""
    from transformers import CLIPTextModel

    prefix += "text_model." * any(key.startswith(f"{prefix}text_model.") for key in weights)
    weights = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    layers = len({key.split(".")[2] for key in weights if key.startswith("encoder.layers.")})
    tokens, inner = weights["embeddings.token_embedding.weight"], weights["encoder.layers.0.mlp.fc1.weight"]
    with torch.device("meta"):  # no random weights, which would draw from the global generator
        model = CLIPTextModel(_text_config(tokens, inner, layers, "quick_gelu"))
    return _assign(model, _renamed(model, weights), "text encoder")


def _open_clip(weights: Weights, prefix: str, *, projection: bool) -> torch.nn.Module:
    """OpenCLIP's text model. Without projection its last layer is left out: the one before is the context (SD 2.x)."""
    from diffusers.loaders.single_file_utils import convert_open_clip_checkpoint
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    start = f"{prefix}transformer.resblocks."
    layers = len({key.removeprefix(start).split(".")[0] for key in weights if key.startswith(start)})
    tokens, inner = weights[f"{prefix}token_embedding.weight"], weights[f"{start}0.mlp.c_fc.weight"]
    config = _text_config(tokens, inner, layers if projection else layers - 1, "gelu")
    with torch.device("meta"):
        model = (CLIPTextModelWithProjection if projection else CLIPTextModel)(config)
    renamed = convert_open_clip_checkpoint(model, dict(weights), prefix=prefix)
    named = _renamed(model, renamed)
    if "text_projection.weight" in renamed:
        named["text_projection.weight"] = renamed["text_projection.weight"]
    return _assign(model, named, "text encoder")


@torch.no_grad()
def encode_text(models: DiffusionModels, text: str, size: tuple[int, int]) -> Conditioning:
    """A prompt as the UNet takes it: no weighting syntax, cut at 77 tokens. size: (height, width) in pixels, for XL."""
    contexts: list[torch.Tensor] = []
    pooled: Any = None
    for encoder, (hidden, padding) in zip(models.texts, _TEXT_ENCODERS[models.family], strict=True):
        ids = torch.tensor([token_ids(models.tokenizer, text, padding)], device=models.device)
        out = encoder(ids, output_hidden_states=True)
        contexts.append(out.last_hidden_state if hidden == -1 else out.hidden_states[hidden])
        pooled = getattr(out, "text_embeds", None)
    context = torch.cat(contexts, -1)
    if models.family != "sdxl":
        return Conditioning(context)
    # Original size, upper left corner of the crop, target size.
    sizes = torch.tensor([[*size, 0, 0, *size]], device=models.device, dtype=torch.float32)
    return Conditioning(context, {"text_embeds": pooled, "time_ids": sizes})


def prompt_words(models: DiffusionModels, text: str) -> list[tuple[str, list[int]]]:
    """The words of a prompt and where their tokens are."""
    return word_positions(token_texts(models.tokenizer, token_ids(models.tokenizer, text)))
