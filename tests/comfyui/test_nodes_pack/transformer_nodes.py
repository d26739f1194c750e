"""Test nodes: tiny diffusion transformers, and the twin sampler's inside beside ComfyUI's own sampling."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.sd
import comfy.utils
import folder_paths
import node_helpers
import torch
from comfy_api.latest import io

from . import tiny_transformers as tiny
from .pack import pack_module

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class TestTinyTransformer(io.ComfyNode):
    """A loader of a tiny diffusion transformer, with text features by rule."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="T2CTestTinyTransformer",
            category="T2CTest",
            inputs=[io.Combo.Input("family", options=list(tiny.FAMILIES))],
            outputs=[io.Model.Output(), io.Clip.Output(), io.Vae.Output()],
        )

    @classmethod
    def execute(cls, family):
        made = tiny.model(family)
        form = made.get_model_object("latent_format")
        vae = tiny.vae(form.latent_channels, form.latent_dimensions == 3)
        return io.NodeOutput(made, tiny.TextByRule(family), vae)


class TestTransformerRuns(io.ComfyNode):
    """Runs of one tiny MODEL; shows their latents and what they left behind as JSON.

    runs: objects of kind 'plain' or 'twins', with the keyword arguments of the functions below.
    """

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="T2CTestTransformerRuns",
            category="T2CTest",
            is_output_node=True,
            inputs=[
                io.Combo.Input("family", options=list(tiny.FAMILIES)),
                io.Combo.Input("dtype", options=list(DTYPES)),
                io.Boolean.Input("from_file", default=False),
                io.String.Input("runs", default="[]"),
            ],
            outputs=[],
        )

    @classmethod
    def execute(cls, family, dtype, from_file, runs):
        model = tiny.model(family, DTYPES[dtype])
        if from_file:
            model = reloaded(model)
        before = state(model)
        shown = [
            {"plain": plain, "twins": twins, "inverted": inverted}[run.pop("kind")](model, family, **run)
            for run in json.loads(runs)
        ]
        return io.NodeOutput(ui={"t2c": [json.dumps({"runs": shown, "same_state": state(model) == before})]})


def reloaded(model: Any) -> Any:
    """The MODEL after saving it and loading it as 'Load Diffusion Model' does."""
    path = Path(folder_paths.get_temp_directory()) / "transformer.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    comfy.utils.save_torch_file(model.model.diffusion_model.state_dict(), str(path))
    return comfy.sd.load_diffusion_model(str(path))


def state(model: Any) -> Any:
    """What a run could leave behind in a MODEL: hooks, options, patches."""
    network = model.model.diffusion_model
    hooks = sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules())
    return hooks, repr(model.model_options), sorted(model.patches), repr(model.wrappers), repr(model.callbacks)


def changed(model: Any, *, override: bool = False, lora: bool = False) -> Any:
    """The MODEL as other nodes change it: an override of attention that halves it, a LoRA on all weights."""
    model = model.clone()
    if override:
        options = model.model_options["transformer_options"]
        options["optimized_attention_override"] = lambda func, *args, **kwargs: 0.5 * func(*args, **kwargs)
    if lora:
        weights = {n: p for n, p in model.model.named_parameters() if p.ndim == 2 and n.endswith("weight")}
        model.add_patches({n: (0.02 * tiny.randn(f"lora/{n}", p.shape),) for n, p in weights.items()})
    return model


def noise_of(model: Any, batch: int, size: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    form = model.get_model_object("latent_format")
    start = torch.zeros(batch, form.latent_channels, *([1] if form.latent_dimensions == 3 else []), *size)
    return start, comfy.sample.prepare_noise(start, 7, None)


def plain(
    model: Any,
    family: str,
    text: str,
    steps: int = 4,
    cfg: float = 4.0,
    batch: int = 1,
    size: Any = (6, 8),
    **more: bool,
) -> Any:
    """ComfyUI's own Euler sampling, as 'KSampler' does it."""
    model = changed(model, **more)
    start, noise = noise_of(model, batch, size)
    cond = tiny.conditioning(family, text)
    if getattr(getattr(model.model.diffusion_model, "params", None), "guidance_embed", False):
        cond, cfg = node_helpers.conditioning_set_values(cond, {"guidance": cfg}), 1.0
    negative = tiny.conditioning(family, "")
    out = comfy.sample.sample(model, noise, steps, cfg, "euler", "simple", cond, negative, start, seed=7)
    return {"latents": out.tolist()}


def twins(
    model: Any,
    family: str,
    text: str,
    twin: str,
    settings: dict[str, Any],
    batch: int = 1,
    size: Any = (6, 8),
    cancel_at: int = 0,
    ahead: bool = False,
    ruled: bool = False,
    **more: bool,
) -> Any:
    """Both pictures, sources first. cancel_at: step; ahead: the whole artistic picture first, all features kept; ruled:
    attention by rule, see `ruled_patches`."""
    networks, guider = pack_module("nodes.twin_networks"), pack_module("nodes.twin_guider")
    injection, stores = pack_module("twin.feature_injection"), pack_module("twin.attention_store")
    chosen = pack_module("twin.settings").TwinSettings(**settings)
    model = changed(model, **more)
    network = networks.TwinNetwork.of(model, chosen)
    start, noise = noise_of(model, batch, size)
    texts = {"uncond": "", "cond": text, "negative": "grey", "twin": twin}
    prompts = {name: tiny.conditioning(family, prompt) for name, prompt in texts.items()}
    store = stores.AttentionStore(batch, prompts["cond"][0][0].shape[1])
    injector = injection.FeatureInjector(chosen, network.layers, store)
    asked: list[int] = []

    def on_step(done: int, total: int, preview: torch.Tensor) -> None:
        if done == cancel_at:
            comfy.model_management.interrupt_current_processing()

    def load(*args: Any, **kwargs: Any) -> Any:
        asked.append(kwargs["memory_required"])
        return loading(*args, **kwargs)

    sampler = guider.TwinSampler(injector, network, on_step, inverted=False)
    if ahead:
        sampler = Ahead(guider, pack_module("twin.joint_sampling"), sampler)
    passes: list[int] = []
    hook = model.model.diffusion_model.register_forward_pre_hook(lambda _, args: passes.append(len(args[0])))
    patches = guider.TransformerPatches
    if ruled:
        guider.TransformerPatches = ruled_patches(patches)
    loading, comfy.model_management.load_models_gpu = comfy.model_management.load_models_gpu, load
    try:
        out = guider.TwinGuider(model, network, prompts).sample(noise, start, sampler, network.schedule.sigmas, seed=7)
    except comfy.model_management.InterruptProcessingException:
        return {"cancelled": True}
    finally:
        hook.remove()
        guider.TransformerPatches = patches
        comfy.model_management.load_models_gpu = loading
    attention = store.result([("first", [2, 3]), ("second", [4, 5])])[0]
    clusters = pack_module("segment.clusters").cluster_tokens(
        attention, pack_module("segment.settings").MaskSettings(clusters=2)
    )
    return {
        "latents": out.tolist(),
        "held": len(injector.cache),
        "grid": attention.grid,
        "problem": attention.heat_problem,
        "heat": None if attention.heat is None else attention.heat.tolist(),
        "clusters": clusters.tolist(),
        "rows": attention.affinity.sum(1).tolist(),
        "passes": sum(passes),
        "held_bytes": network.held_bytes(tuple(start.shape), model.model_dtype()),
        "asked": asked[0],
        "summary": network.summary(),
    }


def ruled_patches(patches: Any) -> Any:
    """Patches for a network whose image tokens of the upper half look at each other and at the prompt's first word, all
    others at each other and at the rest of the text."""

    class Ruled(patches):
        def _override(self, attention: Any, q: Any, k: Any, v: Any, *args: Any, **kwargs: Any) -> Any:
            if self._block is not None:
                cross = not self.transformer.family.joint and self._calls > 0
                v = v if cross or v.shape != k.shape else self._by_rule(v)
                q, k = self._by_rule(q), self._by_rule(k, words=cross)
            return super()._override(attention, q, k, v, *args, **kwargs)

        def _by_rule(self, x: torch.Tensor, words: bool = False) -> torch.Tensor:
            rows, columns = self._grid
            count, length, name = rows * columns, x.shape[-2], self.transformer.family.name
            padded = -(-count // 32) * 32 if self.transformer.get("pad_tokens_multiple") else count
            sign = -torch.ones(length)
            image, text = 0, None if length == padded else 0
            if length < padded or words:
                image, text = None, 0
            elif name in ("HiDream", "Lens", "JoyImage") and length > padded:
                text = count
            elif length > padded:
                image, text = length - padded, {"AuraFlow": 8, "Flux.2": 512 - self.injector.store.context}.get(name, 0)
            if image is not None and length >= padded:
                sign[image : image + columns * (rows // 2)] = 1
            if text is not None:
                sign[text + 2 : text + 4] = 1
            size = (8 / x.shape[-1] ** 0.5) ** 0.5 if x.ndim == 4 else 1.0
            return (size * sign.to(x))[:, None].expand_as(x).clone()

    return Ruled


def inverted(model: Any, family: str, text: str, twin: str, settings: dict[str, Any]) -> Any:
    """The twin of a picture, and the errors of round trips: the node's, and Euler's there and back. Attention that is
    not peaked makes the smooth paths of trained models."""
    model = tiny.model(family, peaked=1.0)
    networks, guider = pack_module("nodes.twin_networks"), pack_module("nodes.twin_guider")
    injection, sampling = pack_module("twin.feature_injection"), pack_module("twin.joint_sampling")
    chosen = pack_module("twin.settings").TwinSettings(**settings)
    network = networks.TwinNetwork.of(model, chosen)
    picture = 0.5 * noise_of(model, 1, [6, 8])[1]
    texts = {"uncond": "", "cond": text, "negative": "grey", "twin": twin}
    prompts = {name: tiny.conditioning(family, prompt) for name, prompt in texts.items()}
    errors = []

    class Euler(guider.TwinSampler):
        def sample(
            self, wrap: Any, sigmas: Any, extra: Any, callback: Any, noise: Any, latent: Any = None, *_: Any
        ) -> Any:
            given = wrap, extra["model_options"], self.injector
            denoiser = guider.TransformerDenoiser(*given, transformer=network.transformer)
            *_, x = sampling.invert(denoiser, latent, sigmas)
            for sigma, following in pairwise(sigmas):
                x = sampling.euler(x, denoiser.predict(x, sigma, {"cond": "cond"})[0], sigma, following)
            errors.append(float((x - latent).norm() / latent.norm()))
            return x

    for sampler_class in (Euler, guider.TwinSampler):
        injector = injection.FeatureInjector(chosen, network.layers)
        sampler = sampler_class(injector, network, lambda *_: None, inverted=True)
        out = guider.TwinGuider(model, network, prompts).sample(
            torch.zeros_like(picture), picture, sampler, network.schedule.sigmas, seed=7
        )
    same = float((out[:1] - picture).abs().max())
    return {"euler": errors[0], "fireflow": sampler.round_trip, "picture_changes": same, "twin": out[1:].tolist()}


class Ahead:
    """The whole artistic pass first, all its features kept, then the whole twin's."""

    def __init__(self, guider: Any, sampling: Any, sampler: Any) -> None:
        self.guider, self.sampling, self.inner = guider, sampling, sampler

    def max_denoise(self, *_: Any) -> bool:
        return True

    def sample(self, wrap: Any, sigmas: Any, extra: Any, callback: Any, noise: Any, latent: Any = None, *_: Any) -> Any:
        steps, network, injector = self.sampling, self.inner.network, self.inner.injector
        denoiser = self.guider.TransformerDenoiser(
            wrap, extra["model_options"], injector, transformer=network.transformer
        )
        x, kept = denoiser.start(noise, sigmas[0]), []
        for i in range(len(sigmas) - 1):
            x0 = steps.source_step(denoiser, x, network.schedule, i)
            x = steps.euler(x, x0, sigmas[i], sigmas[i + 1])
            kept.append({key: value.clone() for key, value in injector.cache.items()})
        y = denoiser.start(noise, sigmas[0])
        for i, held in enumerate(kept):
            injector.cache = held
            y0 = steps.twin_step(denoiser, y, network.schedule, i)
            y = steps.euler(y, y0, sigmas[i], sigmas[i + 1])
        return torch.cat([denoiser.end(x, sigmas[-1]), denoiser.end(y, sigmas[-1])])


NODES = [TestTinyTransformer, TestTransformerRuns]
