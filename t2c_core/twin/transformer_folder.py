"""Flux, Stable Diffusion 3 and Qwen-Image from a folder in diffusers' layout, complete or not at all.

Only .safetensors are read, nothing is downloaded, and the texts are encoded by diffusers' own pipelines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .. import memory
from ..errors import InputError
from .diffusers_folder import part, read_json_or_nothing
from .padding import LATENT_SCALE
from .prompts import words_in_pieces

Inputs = Mapping[str, Any]
"""A prompt as arguments of the network."""
SCHEDULER = "FlowMatchEulerDiscreteScheduler"


def _flux_inputs(pipeline: Any, text: str, device: torch.device) -> Inputs:
    context, pooled, positions = pipeline.encode_prompt(text, None, device=device)
    return {"encoder_hidden_states": context, "pooled_projections": pooled, "txt_ids": positions}


def _sd3_inputs(pipeline: Any, text: str, device: torch.device) -> Inputs:
    encoded = pipeline.encode_prompt(text, None, None, device=device, do_classifier_free_guidance=False)
    return {"encoder_hidden_states": encoded[0], "pooled_projections": encoded[2]}


def _qwen_inputs(pipeline: Any, text: str, device: torch.device) -> Inputs:
    context, mask = pipeline.encode_prompt(text, device=device)
    return {"encoder_hidden_states": context, "encoder_hidden_states_mask": mask}


@dataclass(frozen=True)
class Family:
    """What is particular about one family.

    name: for people. parts, tokenizers: folder -> class, of diffusers or transformers. encode: a prompt by the
    pipeline. reader: the tokenizer whose tokens come first in the text context. optional: folders that may be missing.
    blocks: lists of blocks, in running order. image_first: whether the image's tokens come before the text's. packed:
    whether the pipeline makes tokens of 2 x 2 latent pixels, counts time from 0 to 1 and spaces the noise levels
    itself. rescaled: whether guidance leaves each token's prediction its length.
    """

    name: str
    transformer: str
    parts: Mapping[str, str]
    tokenizers: Mapping[str, str]
    encode: Callable[[Any, str, torch.device], Inputs]
    reader: str = "tokenizer"
    optional: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ("transformer_blocks",)
    vae: str = "AutoencoderKL"
    image_first: bool = False
    packed: bool = True
    rescaled: bool = False


TABLE = {
    "FluxPipeline": Family(
        "Flux",
        "FluxTransformer2DModel",
        {"text_encoder": "CLIPTextModel", "text_encoder_2": "T5EncoderModel"},
        {"tokenizer": "CLIPTokenizerFast", "tokenizer_2": "T5TokenizerFast"},
        _flux_inputs,
        reader="tokenizer_2",
        blocks=("transformer_blocks", "single_transformer_blocks"),
    ),
    "StableDiffusion3Pipeline": Family(
        "Stable Diffusion 3",
        "SD3Transformer2DModel",
        {
            "text_encoder": "CLIPTextModelWithProjection",
            "text_encoder_2": "CLIPTextModelWithProjection",
            "text_encoder_3": "T5EncoderModel",
        },
        {"tokenizer": "CLIPTokenizerFast", "tokenizer_2": "CLIPTokenizerFast", "tokenizer_3": "T5TokenizerFast"},
        _sd3_inputs,
        optional=("text_encoder_3", "tokenizer_3"),
        image_first=True,
        packed=False,
    ),
    "QwenImagePipeline": Family(
        "Qwen-Image",
        "QwenImageTransformer2DModel",
        {"text_encoder": "Qwen2_5_VLForConditionalGeneration"},
        {"tokenizer": "Qwen2TokenizerFast"},
        _qwen_inputs,
        vae="AutoencoderKLQwenImage",
        rescaled=True,
    ),
}
"""By the pipeline that a folder's model_index.json names."""


@dataclass(frozen=True)
class TransformerModels:
    """Everything of one model: diffusers' pipeline of its parts, which wait on the CPU, but for the VAE. device: where
    they work."""

    family: Family
    pipeline: Any
    device: torch.device

    @property
    def transformer(self) -> Any:
        return self.pipeline.transformer

    @property
    def vae(self) -> Any:
        return self.pipeline.vae

    @property
    def dtype(self) -> torch.dtype:
        return self.transformer.dtype

    @property
    def native_size(self) -> int:
        """Side in px of the images the family was trained on."""
        return self.transformer.config.get("sample_size", 128) * LATENT_SCALE

    @property
    def multiple(self) -> int:
        """Pixels in a token, along each side."""
        return LATENT_SCALE * (2 if self.family.packed else self.transformer.config.patch_size)

    @property
    def latent_channels(self) -> int:
        return self.transformer.config.in_channels // (4 if self.family.packed else 1)

    @property
    def takes_guidance(self) -> bool:
        """Whether guidance is an input of the network (distilled), so that a step is a single pass."""
        return bool(self.transformer.config.get("guidance_embeds"))

    def check_size(self, height: int, width: int) -> None:
        """Raise InputError('height') or ('width') above what the network's positions reach."""
        most = self.transformer.config.get("pos_embed_max_size")
        for name, side in (("height", height), ("width", width)):
            if most is not None and side > most * self.multiple:
                raise InputError(name, f"is {side}; this model's positions reach {most * self.multiple}.")

    @contextmanager
    def working(self, device: torch.device, *names: str) -> Iterator[None]:
        """These parts on ``device``, for the time of the context."""
        modules = [module for name in names if (module := getattr(self.pipeline, name)) is not None]
        try:
            for module in modules:
                module.to(device)
            yield
        finally:
            for module in modules:
                module.to("cpu")

    @torch.no_grad()
    def encode(self, texts: Mapping[str, str]) -> dict[str, Inputs]:
        """The prompts as the network takes them, on the device, or on the CPU where that has too little memory."""

        def run(device: torch.device) -> dict[str, Inputs]:
            with self.working(device, *self.family.parts):
                return {name: self.family.encode(self.pipeline, text, device) for name, text in texts.items()}

        return memory.first_that_fits(self.levels(), run, "reading the prompts")

    def levels(self) -> list[torch.device]:
        """Levels of memory: the device, then the CPU."""
        return list(dict.fromkeys((self.device, torch.device("cpu"))))

    def words(self, text: str, length: int) -> list[tuple[str, list[int]]]:
        """The words of a prompt and where their tokens are in a text context of this length."""
        tokenizer = getattr(self.pipeline, self.family.reader)
        # Qwen-Image's prompt stands in a template, whose beginning is cut off.
        template = getattr(self.pipeline, "prompt_template_encode", "{}")
        first = getattr(self.pipeline, "prompt_template_encode_start_idx", 0)
        ids = tokenizer(template.format(text), truncation=True).input_ids[first:][:length]
        special = set(tokenizer.all_special_ids)
        return words_in_pieces([None if i in special else tokenizer.decode([i]).encode() for i in ids], text)


def family_of_folder(path: Path) -> Family | None:
    """The family of a diffusers folder; None for any other. Raises InputError('checkpoint') for a damaged index."""
    return TABLE.get(read_json_or_nothing(path / "model_index.json").get("_class_name", ""))


def read_transformer_folder(path: Path, family: Family, device: torch.device, dtype: torch.dtype) -> TransformerModels:
    """Read a folder saved by the family's pipeline, from this machine only.

    The transformer is read as ``dtype``, the text encoders too, but as bfloat16 where that is float16, which T5 and
    Qwen leave; the VAE as float32. Raises InputError('checkpoint') that names the part that is missing, damaged,
    incomplete or of another kind.
    """
    import diffusers
    import transformers

    pipeline = next(name for name, row in TABLE.items() if row is family)
    for library, names in (
        (diffusers, (pipeline, family.transformer, family.vae)),
        (transformers, family.parts.values()),
    ):
        missing = [name for name in names if not hasattr(library, name)]
        if missing:
            kind = f"'{path}' needs {missing[0]}, which {library.__name__} {library.__version__} lacks."
            raise InputError("checkpoint", kind, f"Install a newer one: pip install -U {library.__name__}")
    _check_parts(path, pipeline, ["transformer", "vae", *family.parts, *family.tokenizers], family.optional)
    parts: dict[str, Any] = {"scheduler": _scheduler(path), **dict.fromkeys(family.optional)}
    texts_dtype = torch.bfloat16 if dtype == torch.float16 else dtype
    for name, kind in family.tokenizers.items():
        if (path / name).is_dir():
            parts[name] = _tokenizer(getattr(transformers, kind), path / name)
    parts["transformer"] = part(getattr(diffusers, family.transformer), path, "transformer", dtype, safe=True)
    parts["vae"] = part(getattr(diffusers, family.vae), path, "vae", safe=True)
    for name, kind in family.parts.items():
        if (path / name).is_dir():
            parts[name] = part(getattr(transformers, kind), path, name, texts_dtype, safe=True)
    for module in parts.values():
        if isinstance(module, torch.nn.Module):
            module.eval().requires_grad_(False)
    models = TransformerModels(family, getattr(diffusers, pipeline)(**parts), device)
    _check_fit(path, models)
    models.vae.to(device)
    return models


def _check_parts(path: Path, pipeline: str, wanted: list[str], optional: tuple[str, ...]) -> None:
    missing = [name for name in wanted if not (path / name).is_dir() and name not in optional]
    if missing:
        problem = f"'{path}' holds a {pipeline}, but lacks {', '.join(missing)}."
        raise InputError("checkpoint", problem, "Get the whole folder again.")


def _scheduler(path: Path) -> Any:
    from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

    config = read_json_or_nothing(path / "scheduler" / "scheduler_config.json")
    if config.get("_class_name") != SCHEDULER:
        problem = f"'{path / 'scheduler'}' holds {config.get('_class_name', 'no scheduler_config.json')}."
        raise InputError("checkpoint", problem, f"It must be a {SCHEDULER}, as the model was published with.")
    return FlowMatchEulerDiscreteScheduler.from_config(config)


def _tokenizer(kind: Any, folder: Path) -> Any:
    with memory.reading("checkpoint", f"'{folder}' cannot be read", "Get the folder again."):
        return kind.from_pretrained(str(folder), local_files_only=True)


def _check_fit(path: Path, models: TransformerModels) -> None:
    """Raise InputError where parts belong to other models, or take more than a latent, a time and a prompt."""
    vae = models.vae.config
    halvings = len(vae["temperal_downsample"]) if "z_dim" in vae else len(vae["block_out_channels"]) - 1
    channels, scale = vae.get("z_dim", vae.get("latent_channels")), 2**halvings
    if models.latent_channels != channels or scale != LATENT_SCALE:
        takes = f"takes latents of {models.latent_channels} channels, 1/{LATENT_SCALE} of the picture's size"
        gives = f"its VAE's have {channels}, 1/{scale}"
        raise InputError("checkpoint", f"'{path}' {takes}; {gives}.", "Use a base text-to-image model.")
    for name in models.family.tokenizers:
        tokenizer, encoder = getattr(models.pipeline, name), getattr(models.pipeline, f"text_encoder{name[9:]}")
        known = 0 if encoder is None else encoder.get_input_embeddings().num_embeddings
        if encoder is not None and len(tokenizer) > known:
            problem = f"'{path / name}' has {len(tokenizer)} tokens, but its text encoder knows only {known}."
            raise InputError("checkpoint", problem, "Get the folder again.")
