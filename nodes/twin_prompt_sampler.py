"""From one prompt an artistic picture and a pixel-aligned realistic twin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.sample
import latent_preview
import torch
import torch.nn.functional as F
from comfy_api.latest import io, ui

from ..t2c_core.errors import InputError
from ..t2c_core.prompt.twin_prompt import twin_prompt as derived_twin_prompt
from ..t2c_core.twin.exchange import FeatureExchange
from ..t2c_core.twin.observe import AttentionObserver
from ..t2c_core.twin.schedule import NEGATIVE_SCHEDULES, ddim_timesteps, sampling_sigmas
from ..t2c_core.twin.settings import PRESETS, TwinSettings
from . import sockets, twin_prompts
from .support import explained, handed_on, pictures
from .twin_families import FAMILIES, blocks_of, context_width, unet_of
from .twin_guider import TwinGuider, TwinSampler

LATENT_SCALE = 8
"""Pixels in a latent pixel, along each side."""


class TwinPromptSampler(io.ComfyNode):
    """MODEL, CLIP, VAE and a prompt in; twins, attention and the twin's prompt out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TwinPromptSampler",
            display_name="Twin Prompt Sampler",
            category=sockets.CATEGORY,
            description="Paints two pictures of one prompt in lockstep: the artistic one, which you animate, and a "
            "realistic twin with the same layout, in which water is easy to find and to understand. Works with "
            f"{FAMILIES}, LoRAs and other patches included. Each picture of a batch goes its own way through the nodes "
            "that follow.",
            search_aliases=["text to cinemagraph", "plug and play", "twin image", "ksampler", "inversion"],
            inputs=[
                io.Model.Input("model", tooltip=f"From any loader, with any LoRA: {FAMILIES}."),
                io.Clip.Input("clip", tooltip="The CLIP of the same checkpoint."),
                io.Vae.Input("vae", tooltip="The VAE of the same checkpoint, or a better one of its family."),
                io.String.Input(
                    "prompt",
                    multiline=True,
                    default="a large waterfall falling from hills in the style of Leonid Afremov",
                    dynamic_prompts=True,
                    tooltip="What the artistic picture shows, style included. With a picture to invert: what it shows; "
                    "may be empty.",
                ),
                io.String.Input(
                    "twin_prompt",
                    multiline=True,
                    default="",
                    tooltip="What the realistic twin shows. Empty: the scene's nouns of the prompt and 'nature, "
                    "bright, realistic, photography', without style and direction words.",
                ),
                io.String.Input(
                    "negative",
                    multiline=True,
                    default="",
                    tooltip="What neither picture shows. The paper leaves it empty.",
                ),
                io.String.Input(
                    "twin_negative",
                    multiline=True,
                    default="",
                    tooltip="What the twin is led away from besides. Empty: the artistic prompt itself, so that the "
                    "style goes, as in the paper.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Both pictures start from the noise of this seed.",
                ),
                io.Int.Input(
                    "width",
                    default=512,
                    min=64,
                    max=8192,
                    step=LATENT_SCALE,
                    tooltip="Any multiple of 8; 512 for SD 1.x, 768 for SD 2.x, 1024 for SDXL. Not used with a latent "
                    "or a picture.",
                ),
                io.Int.Input(
                    "height",
                    default=512,
                    min=64,
                    max=8192,
                    step=LATENT_SCALE,
                    tooltip="As the width: any multiple of 8.",
                ),
                io.Int.Input("batch_size", default=1, min=1, max=64, tooltip="How many pairs. Not used with a latent."),
                io.Int.Input("steps", default=50, min=1, max=999, tooltip="DDIM steps; 50 in the paper, 20 will do."),
                io.Float.Input(
                    "cfg",
                    default=5.0,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="How closely the artistic picture follows its prompt.",
                ),
                io.Float.Input(
                    "twin_cfg",
                    default=7.5,
                    min=0.0,
                    max=100.0,
                    step=0.1,
                    tooltip="How closely the twin follows its prompt.",
                ),
                io.Float.Input(
                    "attention_injection",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="For which part of the steps the twin takes over the artistic picture's self-attention: "
                    "the layout. 0: never. Lower if style leaks into the twin.",
                ),
                io.Float.Input(
                    "feature_injection",
                    default=0.8,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="The same for one residual feature: shapes and borders. Raise it if the twin drifts away.",
                ),
                io.Combo.Input(
                    "negative_schedule",
                    options=[*NEGATIVE_SCHEDULES, "off"],
                    default="linear",
                    tooltip="How the weight of 'twin negative' changes over the steps; 'off' leaves only 'negative'.",
                ),
                io.Combo.Input(
                    "preset",
                    options=list(PRESETS),
                    default="paper",
                    tooltip="'paper' repeats the published sampler exactly. 'clean': injection ends on the step it "
                    "says, the last noise is removed, the negative fades out instead of in, its branch gets the "
                    "artistic prompt's features.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="A picture (a painting, say) that gets a realistic twin: it is inverted to noise, and the "
                    "artistic output is the picture itself, unchanged.",
                ),
                io.Latent.Input(
                    "latent",
                    optional=True,
                    tooltip="An empty latent sets size and batch; one with content is inverted like a picture. Its "
                    "noise mask is not used.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="artistic", is_output_list=True, tooltip="The picture to animate."),
                io.Image.Output(
                    display_name="realistic", is_output_list=True, tooltip="Its twin: find mask and motion in it."
                ),
                sockets.Attention.Output(
                    display_name="attention",
                    is_output_list=True,
                    tooltip="What the model knows of regions and words, for Real Image Segmenter.",
                ),
                io.String.Output(display_name="twin prompt", tooltip="The prompt the twin was painted from."),
            ],
        )

    @classmethod
    @explained()
    def execute(
        cls,
        model: Any,
        clip: Any,
        vae: Any,
        prompt: str,
        twin_prompt: str,
        negative: str,
        twin_negative: str,
        seed: int,
        width: int,
        height: int,
        batch_size: int,
        steps: int,
        cfg: float,
        twin_cfg: float,
        attention_injection: float,
        feature_injection: float,
        negative_schedule: str,
        preset: str,
        image: torch.Tensor | None = None,
        latent: dict[str, torch.Tensor] | None = None,
    ) -> io.NodeOutput:
        _check_loaded(clip=clip, vae=vae)
        off = negative_schedule == "off"
        settings = TwinSettings(
            steps=steps,
            source_scale=cfg,
            twin_scale=twin_cfg,
            attention_injection=attention_injection,
            feature_injection=feature_injection,
            negative_schedule="constant" if off else negative_schedule,
            negative_strength=1.0 if off else TwinSettings.negative_strength,
            preset=preset,
        )
        unet = unet_of(model)
        table = model.get_model_object("model_sampling").sigmas.cpu()
        timesteps = ddim_timesteps(steps, len(table))
        start, picture = _start(vae, image, latent, (width, height), batch_size)

        twin_text = twin_prompt.strip() or derived_twin_prompt(prompt)
        texts = {
            "uncond": negative,
            "cond": prompt,
            "negative": twin_negative.strip() or prompt,
            "twin": twin_text,
        }
        prompts = {name: twin_prompts.encode(clip, text) for name, text in texts.items()}
        twin_prompts.check_width(prompts["cond"], context_width(unet))
        observer = AttentionObserver(len(start), prompts["cond"][0][0].shape[1])
        exchange = FeatureExchange(settings, blocks_of(unet), observer)
        inverted = bool(torch.count_nonzero(start))
        samples = TwinGuider(model, prompts).sample(
            comfy.sample.prepare_noise(start, seed, (latent or {}).get("batch_index")),
            start,
            TwinSampler(settings, timesteps, exchange, _shown(model, steps * (1 + inverted)), inverted=inverted),
            sampling_sigmas(table, steps, keep_last_noise=settings.keep_last_noise),
            seed=seed,
        )
        if not torch.isfinite(samples).all():
            raise InputError("model", "made NaN or infinite latents.", "Start ComfyUI with --force-upcast-attention.")
        artistic, realistic = samples.chunk(2)
        size = None if picture is None else picture.shape[1:3]
        realistic = _decoded(vae, realistic, size)
        artistic = _decoded(vae, artistic, size) if picture is None else handed_on(picture)
        attention = observer.result(twin_prompts.words(clip, prompt))
        both = torch.cat([artistic, realistic.to(artistic)], 2)
        return io.NodeOutput(
            list(artistic.split(1)), list(realistic.split(1)), attention, twin_text, ui=ui.PreviewImage(both, cls=cls)
        )


def _check_loaded(**parts: Any) -> None:
    for name, part in parts.items():
        if part is None:
            raise InputError(
                name, "is empty: the checkpoint holds none.", f"Load a {name.upper()} of the model's family by itself."
            )


def _start(
    vae: Any,
    image: torch.Tensor | None,
    latent: dict[str, torch.Tensor] | None,
    size: tuple[int, int],
    batch_size: int,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The latent to start at [B, 4, h, w] (zero: from noise) and the picture it shows, if one was given."""
    if image is not None and latent is not None:
        raise InputError("latent", "and image are both connected.", "Connect one: each says where to start.")
    if image is not None:
        picture = pictures(image)
        h, w = picture.shape[1:3]
        if min(h, w) < LATENT_SCALE:
            raise InputError("image", f"is {w}x{h}; both sides need at least {LATENT_SCALE} pixels.")
        # The VAE would cut a side that is no multiple of 8; what is added here is cut off again from the twin.
        padded = F.pad(picture.movedim(-1, 1), (0, -w % LATENT_SCALE, 0, -h % LATENT_SCALE), mode="reflect").movedim(
            1, -1
        )
        return vae.encode(padded), picture
    if latent is not None:
        samples = latent["samples"]
        if samples.is_nested or samples.ndim != 4 or samples.shape[1] != 4:
            raise InputError("latent", "is not that of a Stable Diffusion picture.", "Use 'Empty Latent Image'.")
        return samples.float(), None
    for name, value in zip(("width", "height"), size, strict=True):
        if value % LATENT_SCALE:
            raise InputError(name, f"is {value}; it must be a multiple of {LATENT_SCALE}.")
    width, height = (value // LATENT_SCALE for value in size)
    device = comfy.model_management.intermediate_device()
    return torch.zeros(batch_size, 4, height, width, device=device), None


def _decoded(vae: Any, latent: torch.Tensor, size: tuple[int, int] | None) -> torch.Tensor:
    """Pictures [B, H, W, 3]; cut to the size (h, w) if one is given."""
    picture = vae.decode(latent)
    return picture if size is None else picture[:, : size[0], : size[1]]


def _shown(model: Any, total: int) -> Callable[[int, torch.Tensor], None]:
    """Moves the progress bar, previews what is becoming clear, obeys Cancel."""
    callback = latent_preview.prepare_callback(model, total)

    return lambda done, latent: callback(done - 1, latent, latent, total)
