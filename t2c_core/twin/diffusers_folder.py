"""A Stable Diffusion model from a folder in diffusers' layout, complete or not at all.

diffusers and transformers fill what a folder lacks with random numbers and a warning; here that is an error.
"""

from __future__ import annotations

import json
import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError
from .checkpoint import FAMILIES

_WORKS = f"Families that work: {FAMILIES}."
_WEIGHTS = re.compile(r"(diffusion_pytorch_model|pytorch_model|model)[.-].*(safetensors|bin)")


@dataclass(frozen=True)
class Folder:
    """What a folder holds, all float32. texts: one text encoder, two for XL; prediction: as its scheduler says."""

    unet: torch.nn.Module
    vae: torch.nn.Module
    texts: tuple[torch.nn.Module, ...]
    prediction: str


def read_folder(path: Path) -> Folder:
    """Read a folder saved by a StableDiffusionPipeline or StableDiffusionXLPipeline, from this machine only.

    Raises InputError('checkpoint') that names the part that is missing, damaged, incomplete or of another family.
    """
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    _check_parts(path)
    scheduler = _settings(path / "scheduler" / "scheduler_config.json")
    unet = _part(UNet2DConditionModel, path, "unet")
    _check_inputs(unet.config)
    vae = _part(AutoencoderKL, path, "vae")
    texts = [_part(CLIPTextModel, path, "text_encoder")]
    if unet.config.addition_embed_type == "text_time":
        texts.append(_part(CLIPTextModelWithProjection, path, "text_encoder_2"))
    return Folder(unet, vae, tuple(texts), scheduler.get("prediction_type", "epsilon"))


def _settings(file: Path) -> dict[str, Any]:
    """A JSON file's object; {} if there is no such file."""
    try:
        found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise InputError("checkpoint", f"'{file}' is no valid JSON ({error}).") from error
    return found if isinstance(found, dict) else {}


def _check_parts(path: Path) -> None:
    parts = ("model_index.json", "unet", "vae", "text_encoder")
    missing = [name for name in parts if not (path / name).exists()]
    if missing == ["text_encoder"] and (path / "text_encoder_2").exists():
        raise InputError("checkpoint", "is the refiner of Stable Diffusion XL.", _WORKS)
    if missing:
        pipeline = _settings(path / "model_index.json").get("_class_name")
        kind = f"holds a {pipeline}" if pipeline else "is no diffusers folder"
        raise InputError("checkpoint", f"'{path}' {kind}: it lacks {', '.join(missing)}.", _WORKS)


def _check_inputs(config: Any) -> None:
    """Raise InputError for a UNet that wants more than a latent, a time and a prompt."""
    if config.in_channels != 4:
        kind = f"takes {config.in_channels} channels: an inpainting or editing model."
        raise InputError("checkpoint", kind, _WORKS)
    extra = [name for name in ("class_embed_type", "num_class_embeds", "encoder_hid_dim_type") if config.get(name)]
    if config.addition_embed_type not in (None, "text_time"):
        extra.append("addition_embed_type")
    if extra:
        raise InputError("checkpoint", f"takes more than a prompt (its UNet's {', '.join(extra)}).", _WORKS)


def _variant(folder: Path) -> str | None:
    """'fp16' where the weights are there in no other form."""
    names = [file.name for file in folder.iterdir() if _WEIGHTS.fullmatch(file.name)] if folder.is_dir() else []
    return "fp16" if names and all(".fp16" in name for name in names) else None


def _part(kind: Any, path: Path, name: str) -> torch.nn.Module:
    from safetensors import SafetensorError

    how = {"local_files_only": True, "output_loading_info": True, "variant": _variant(path / name)}
    if not (path / name).is_dir():
        raise InputError("checkpoint", f"'{path}' lacks {name}.")
    try:
        module, report = kind.from_pretrained(str(path), subfolder=name, **how)
    except (OSError, ValueError, RuntimeError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError("checkpoint", f"'{path / name}' is damaged or incomplete ({said}).") from error
    missing = sorted(key for key in report["missing_keys"] if not key.endswith("position_ids"))
    if missing:
        listed = ", ".join(missing[:4])
        raise InputError("checkpoint", f"'{path / name}' is incomplete: {len(missing)} weights are missing ({listed}).")
    for key, value in module.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise InputError("checkpoint", f"'{path / name}' contains NaN or infinite weights, for example in {key}.")
    # transformers keeps the precision of the file.
    return module.float()
