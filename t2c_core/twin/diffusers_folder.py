"""A Stable Diffusion model from a folder in diffusers' layout, complete or not at all.

diffusers and transformers fill what a folder lacks with random numbers and a warning; here that is an error.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError
from ..io.files import read_json
from ..io.weights import check_complete
from ..memory import reading
from .checkpoint import WORKS, Parts

_WEIGHTS = re.compile(r"(diffusion_pytorch_model|pytorch_model|model)[.-].*(safetensors|bin)")


def read_folder(path: Path, dtype: torch.dtype) -> Parts:
    """Read a folder saved by a StableDiffusionPipeline or StableDiffusionXLPipeline, from this machine only.

    The UNet is read as ``dtype``, all else as float32; the prediction is that of the scheduler.
    Raises InputError('checkpoint') that names the part that is missing, damaged, incomplete or of another family.
    """
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    scheduler = read_json_or_nothing(path / "scheduler" / "scheduler_config.json")
    unet = part(UNet2DConditionModel, path, "unet", dtype)
    _check_inputs(unet.config)
    vae = part(AutoencoderKL, path, "vae")
    texts = [part(CLIPTextModel, path, "text_encoder")]
    family = "sd2" if unet.config.cross_attention_dim != 768 and unet.config.use_linear_projection else "sd1"
    if unet.config.addition_embed_type == "text_time":
        family = "sdxl"
        texts.append(part(CLIPTextModelWithProjection, path, "text_encoder_2"))
    return Parts(family, unet, vae, texts, scheduler.get("prediction_type", "epsilon"))


def read_json_or_nothing(file: Path) -> dict[str, Any]:
    """A JSON file's object; {} if there is no such file."""
    return read_json(file, "checkpoint") if file.is_file() else {}


def check_parts(path: Path) -> None:
    """Raise InputError('checkpoint') unless a folder holds what `read_folder` reads."""
    parts = ("model_index.json", "unet", "vae", "text_encoder")
    missing = [name for name in parts if not (path / name).exists()]
    if missing == ["text_encoder"] and (path / "text_encoder_2").exists():
        raise InputError("checkpoint", "is the refiner of Stable Diffusion XL.", WORKS)
    if missing:
        pipeline = read_json_or_nothing(path / "model_index.json").get("_class_name")
        kind = f"holds a {pipeline}" if pipeline else "is no diffusers folder"
        raise InputError("checkpoint", f"'{path}' {kind}: it lacks {', '.join(missing)}.", WORKS)


def _check_inputs(config: Any) -> None:
    """Raise InputError for a UNet that wants more than a latent, a time and a prompt."""
    if config.in_channels != 4:
        kind = f"takes {config.in_channels} channels: an inpainting or editing model."
        raise InputError("checkpoint", kind, WORKS)
    extra = [name for name in ("class_embed_type", "num_class_embeds", "encoder_hid_dim_type") if config.get(name)]
    if config.addition_embed_type not in (None, "text_time"):
        extra.append("addition_embed_type")
    if extra:
        raise InputError("checkpoint", f"takes more than a prompt (its UNet's {', '.join(extra)}).", WORKS)


def _variant(folder: Path) -> str | None:
    """'fp16' where the weights are there in no other form."""
    names = [file.name for file in folder.iterdir() if _WEIGHTS.fullmatch(file.name)] if folder.is_dir() else []
    return "fp16" if names and all(".fp16" in name for name in names) else None


def part(kind: Any, path: Path, name: str, dtype: torch.dtype | None = None, *, safe: bool = False) -> Any:
    """One network of a folder, as ``dtype``, by default float32. safe: from .safetensors files only.

    kind: its class in diffusers or transformers. Raises InputError('checkpoint').
    """
    options: dict[str, Any] = {"local_files_only": True, "output_loading_info": True, "variant": _variant(path / name)}
    if safe:
        options["use_safetensors"] = True
    if dtype is not None and kind.__module__.startswith("diffusers"):
        options["torch_dtype"] = dtype
    if not (path / name).is_dir():
        raise InputError("checkpoint", f"'{path}' lacks {name}.")
    if safe and not any((path / name).glob("*.safetensors")):
        remedy = "Pickles are not read here: 't2c convert pytorch_model.bin model.safetensors' makes one of them."
        raise InputError("checkpoint", f"'{path / name}' holds no .safetensors file.", remedy)
    with reading("checkpoint", f"'{path / name}' cannot be read"):
        module, report = kind.from_pretrained(str(path), subfolder=name, **options)
    check_complete(module, report["missing_keys"], "checkpoint", str(path / name))
    # transformers keeps the precision of the file.
    dtype = dtype or torch.float32
    return module if module.dtype == dtype else module.to(dtype)
