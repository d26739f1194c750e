"""From one prompt an artistic picture and a pixel-aligned realistic twin."""

from __future__ import annotations

from typing import Any

import comfy.sample
import latent_preview
import torch
from comfy_api.latest import io, ui

from ..t2c_core.errors import InputError
from ..t2c_core.twin.attention_store import AttentionStore
from ..t2c_core.twin.feature_injection import FeatureInjector
from ..t2c_core.twin.joint_sampling import OnStep
from ..t2c_core.twin.padding import LATENT_SCALE, MIN_SIZE
from ..t2c_core.twin.prompts import TwinPrompts
from ..t2c_core.twin.settings import TwinSettings
from . import sockets, twin_prompts
from .schema import widgets
from .support import counting, image_batch, report_input_errors, say, to_output_device
from .transformer_families import EXAMPLES
from .twin_guider import TwinGuider, TwinSampler
from .twin_latents import decoded, start_latents
from .twin_networks import TwinNetwork

SETTINGS = (
    "steps",
    "cfg",
    "twin_cfg",
    "attention_injection",
    "feature_injection",
    "negative_schedule",
    "preset",
    "first_block",
    "last_block",
)


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
            f"{EXAMPLES}, LoRAs and other patches included. Each picture of a batch goes its own way through the nodes "
            "that follow.",
            search_aliases=["text to cinemagraph", "plug and play", "twin image", "ksampler", "inversion"],
            inputs=[
                io.Model.Input("model", tooltip=f"From any loader, with any LoRA: {EXAMPLES}."),
                io.Clip.Input("clip", tooltip="The CLIP of the same checkpoint."),
                io.Vae.Input("vae", tooltip="The VAE of the same checkpoint, or a better one of its family."),
                *widgets(
                    TwinPrompts,
                    prompt={
                        "multiline": True,
                        "default": "a large waterfall falling from hills in the style of Leonid Afremov",
                        "placeholder": "prompt: what the picture shows, and its style",
                        "dynamic_prompts": True,
                    },
                    twin_prompt={
                        "multiline": True,
                        "placeholder": "twin prompt: made from the prompt while empty",
                    },
                    negative={
                        "multiline": True,
                        "placeholder": "negative prompt: what neither picture shows",
                    },
                    twin_negative={
                        "multiline": True,
                        "placeholder": "twin negative prompt: the prompt itself while empty",
                    },
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
                    min=MIN_SIZE,
                    max=8192,
                    step=LATENT_SCALE,
                    tooltip="Any multiple of 8; 512 for SD 1.x, 768 for SD 2.x, 1024 for all others. Not used with "
                    "a latent or a picture.",
                ),
                io.Int.Input(
                    "height",
                    default=512,
                    min=MIN_SIZE,
                    max=8192,
                    step=LATENT_SCALE,
                    tooltip="As the width: any multiple of 8.",
                ),
                io.Int.Input(
                    "batch_size",
                    default=1,
                    min=1,
                    max=64,
                    advanced=True,
                    tooltip="How many pairs. Not used with a latent.",
                ),
                *widgets(TwinSettings, *SETTINGS, first_block={"optional": True}, last_block={"optional": True}),
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
    @report_input_errors()
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
        image: torch.Tensor | None = None,
        latent: dict[str, torch.Tensor] | None = None,
        **values: Any,
    ) -> io.NodeOutput:
        _check_loaded(clip=clip, vae=vae)
        settings = TwinSettings(**values)
        network = TwinNetwork.of(model, settings)
        texts = TwinPrompts(prompt, twin_prompt, negative, twin_negative).by_name()
        image = None if image is None else image_batch(image)
        start = start_latents(model, vae, image, latent, (height, width), batch_size, network.patch)
        inverted = bool(torch.count_nonzero(start))

        prompts = {name: twin_prompts.encode(clip, text) for name, text in texts.items()}
        twin_prompts.check_width(prompts["cond"], network.text_channels)
        store = AttentionStore(len(start), twin_prompts.context_length(prompts["cond"]))
        injector = FeatureInjector(settings, network.layers, store)
        sampler = TwinSampler(injector, network, _progress(model), inverted=inverted)
        samples = TwinGuider(model, network, prompts).sample(
            comfy.sample.prepare_noise(start, seed, (latent or {}).get("batch_index")),
            start,
            sampler,
            network.schedule.sigmas,
            seed=seed,
        )
        if not torch.isfinite(samples).all():
            wide = model.model_dtype() == torch.float32
            remedy = "" if wide else "Try ComfyUI with --force-upcast-attention or --force-fp32."
            raise InputError("model", "made NaN or infinite latents.", remedy)
        artistic, realistic = samples.chunk(2)
        artistic = decoded(vae, artistic) if image is None else to_output_device(image)
        if image is None and latent is None:
            artistic = artistic[:, :height, :width]
        realistic = decoded(vae, realistic)[:, : artistic.shape[1], : artistic.shape[2]]
        say(network.summary(sampler.round_trip))
        both = torch.cat([artistic, realistic.to(artistic)], 2)
        return io.NodeOutput(
            list(artistic.split(1)),
            list(realistic.split(1)),
            store.result(twin_prompts.words(clip, prompt, store.context)),
            texts["twin"],
            ui=ui.PreviewImage(both, cls=cls),
        )


def _check_loaded(**parts: Any) -> None:
    for name, part in parts.items():
        if part is None:
            raise InputError(
                name, "is empty: the checkpoint holds none.", f"Load a {name.upper()} of the model's family by itself."
            )


def _progress(model: Any) -> OnStep:
    """Moves the progress bar and counts in words, previews the latents, obeys Cancel."""
    callback: Any = None
    count = counting("step")

    def on_step(done: int, total: int, preview: torch.Tensor) -> None:
        nonlocal callback
        callback = callback or latent_preview.prepare_callback(model, total)
        callback(done - 1, preview, preview, total)
        count(done, total)

    return on_step
