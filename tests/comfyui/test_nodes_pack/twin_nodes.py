"""Test nodes: tiny models as a loader gives them, and the twin sampler's inside on the reference's inputs."""

from __future__ import annotations

import json
import sys
from typing import Any

import comfy.model_base
import comfy.supported_models
import torch
from comfy_api.latest import io

from . import tiny_models

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def pack_module(name: str) -> Any:
    """A module of the pack under test, which ComfyUI has imported under a name made of its path."""
    return next(m for n, m in list(sys.modules.items()) if n.endswith(f".{name}") and "test_nodes_pack" not in n)


class TestTinyModel(io.ComfyNode):
    """A loader of a tiny Stable Diffusion."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="T2CTestTinyModel",
            category="T2CTest",
            inputs=[
                io.Combo.Input("family", options=list(tiny_models.UNETS)),
                io.Combo.Input("dtype", options=list(DTYPES)),
                io.Int.Input("in_channels", default=4),
                io.Int.Input("context", default=tiny_models.CONTEXT, tooltip="width of the CLIP"),
            ],
            outputs=[io.Model.Output(), io.Clip.Output(), io.Vae.Output()],
        )

    @classmethod
    def execute(cls, family, dtype, in_channels, context):
        made = tiny_models.model(family, DTYPES[dtype], in_channels)
        return io.NodeOutput(made, tiny_models.clip(family, context), tiny_models.vae())


class TestFlux(io.ComfyNode):
    """A MODEL that is no UNet: a tiny Flux."""

    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="T2CTestFlux", category="T2CTest", inputs=[], outputs=[io.Model.Output()])

    @classmethod
    def execute(cls):
        unet = {
            "image_model": "flux",
            "in_channels": 16,
            "out_channels": 16,
            "patch_size": 2,
            "vec_in_dim": 32,
            "context_in_dim": 64,
            "hidden_size": 48,
            "mlp_ratio": 2.0,
            "num_heads": 2,
            "depth": 1,
            "depth_single_blocks": 1,
            "axes_dim": [8, 8, 8],
            "theta": 10000,
            "qkv_bias": True,
            "guidance_embed": False,
            "txt_ids_dims": [],
            "dtype": torch.float32,
        }
        config = comfy.supported_models.Flux(unet)
        config.unet_config = unet
        return io.NodeOutput(tiny_models.patcher(comfy.model_base.Flux(config)))


class TestPatchedModel(io.ComfyNode):
    """The MODEL with patches of 'another pack' on blocks the twin sampler uses."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="T2CTestPatchedModel",
            category="T2CTest",
            inputs=[io.Model.Input("model")],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model):
        from comfy.ldm.modules.attention import optimized_attention

        model = model.clone()

        def halved(q, k, v, options):
            return 0.5 * optimized_attention(q, k, v, options["n_heads"], attn_precision=options["attn_precision"])

        model.set_model_attn1_replace(halved, "output", 4)
        model.set_model_attn2_replace(halved, "output", 7)
        return io.NodeOutput(model)


class TestTwinLatents(io.ComfyNode):
    """The twin sampler's inside on text features made by rule; shows latents and attention as JSON."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="T2CTestTwinLatents",
            category="T2CTest",
            is_output_node=True,
            inputs=[
                io.Model.Input("model"),
                io.String.Input("settings", default="{}"),
                io.String.Input("noise", default="", tooltip="JSON of z_enc"),
                io.String.Input("negative", default="source"),
                io.Boolean.Input("two_passes", default=False),
                io.Boolean.Input("one_by_one", default=False, tooltip="no memory for two prompts at once"),
            ],
            outputs=[],
        )

    @classmethod
    def execute(cls, model, settings, noise, negative, two_passes, one_by_one):
        guider, families = pack_module("nodes.twin_guider"), pack_module("nodes.twin_families")
        schedule, observe = pack_module("twin.schedule"), pack_module("twin.observe")
        exchange, lockstep = pack_module("twin.exchange"), pack_module("twin.lockstep")
        chosen = pack_module("twin.settings").TwinSettings(**json.loads(settings))
        z = torch.tensor(json.loads(noise), dtype=torch.float32)
        names = {"uncond": "uncond", "cond": "source", "negative": negative, "twin": "twin"}
        prompts = {role: [[tiny_models.randn(f"input/emb/{name}", (77, 64))[None], {}]] for role, name in names.items()}
        observer = observe.AttentionObserver(len(z), 77)
        made = exchange.FeatureExchange(chosen, families.blocks_of(families.unet_of(model)), observer)
        table = model.get_model_object("model_sampling").sigmas.cpu()
        sampler = guider.TwinSampler(chosen, schedule.ddim_timesteps(chosen.steps), made, lambda done, shown: None)
        sigmas = schedule.sampling_sigmas(table, chosen.steps, keep_last_noise=chosen.keep_last_noise)
        if two_passes:
            sampler = TwoPasses(guider, lockstep, sampler)
        before, sizes = model.model.memory_required, []
        if one_by_one:
            model.model.memory_required = lambda *args, **kwargs: 1e18
        unet = model.model.diffusion_model
        hook = unet.register_forward_pre_hook(lambda _m, args: sizes.append(len(args[0])))
        try:
            out = guider.TwinGuider(model, prompts).sample(z, torch.zeros_like(z), sampler, sigmas, seed=0)
        finally:
            hook.remove()
            model.model.memory_required = before
        out = model.model.process_latent_in(out)
        shown = {
            "latents": out.tolist(),
            "affinity": observer.maps()[0].mean(0).tolist(),
            "most_bytes": made.most_bytes,
            "held": len(made.held),
            "batch_sizes": sorted(set(sizes)),
        }
        return io.NodeOutput(ui={"t2c": [json.dumps(shown)]})


class TestInjectedForward(io.ComfyNode):
    """One call of ComfyUI's UNet with the reference's features injected by our patches; shows the result as JSON."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="T2CTestInjectedForward",
            category="T2CTest",
            is_output_node=True,
            inputs=[
                io.Model.Input("model"),
                io.String.Input("inputs", default="{}", tooltip="JSON: x, folder of features by rule, shares injected"),
            ],
            outputs=[],
        )

    @classmethod
    def execute(cls, model, inputs):
        given = json.loads(inputs)
        x = torch.tensor(given["x"], dtype=torch.float32)
        many, (h, w) = len(x) // 2, x.shape[-2:]
        unet = model.model.diffusion_model
        settings = pack_module("twin.settings").TwinSettings(
            steps=10, attention_injection=given["attention"], feature_injection=given["feature"]
        )
        blocks = pack_module("nodes.twin_families").blocks_of(unet)
        exchange = pack_module("twin.exchange").FeatureExchange(settings, blocks)
        exchange.begin(0, source=False)
        exchange.held = cls.features(given["folder"], blocks, h, w, many)
        options = {"transformer_options": {"cond_or_uncond": [0, 1]}}
        patches = pack_module("nodes.twin_guider").Patches(exchange)
        patches.install(options)
        context = torch.tensor(given["context"], dtype=torch.float32)
        with torch.no_grad(), patches.during(["uncond", "cond"]):
            out = unet(x, torch.full((len(x),), 501.0), context, transformer_options=options["transformer_options"])
        return io.NodeOutput(ui={"t2c": [json.dumps(out.tolist())]})

    @staticmethod
    def features(folder, blocks, h, w, many):
        held = {}
        for site in blocks.injected:
            level = {4: 2, 5: 2, 6: 1, 7: 1, 8: 1, 9: 0, 10: 0, 11: 0}[site[1]]
            for part in "qk":
                key = f"input/{folder}/output_block_{site[1]}_self_attn_{part}"
                stored = tiny_models.randn(key, (16, (h >> level) * (w >> level), (32 << level) // 8))
                for half, role in enumerate(("uncond", "cond")):
                    mine = stored[half * 8 : half * 8 + 8].transpose(0, 1).flatten(1)[None]
                    held[site, part, role] = torch.cat([mine] * many)
        stored = tiny_models.randn(f"input/{folder}/output_block_4_out_layers", (2, 128, h >> 2, w >> 2))
        for half, role in enumerate(("uncond", "cond")):
            held["feature", "", role] = torch.cat([stored[half : half + 1]] * many)
        return held


class TwoPasses:
    """The published order: the whole artistic pass first, all its features kept, then the whole twin's."""

    def __init__(self, guider, lockstep, sampler):
        self.guider, self.lockstep, self.inner = guider, lockstep, sampler

    def max_denoise(self, *_):
        return True

    def sample(self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None, *_):
        steps, exchange = self.lockstep, self.inner.exchange
        patches = self.guider.Patches(exchange)
        patches.install(extra_args["model_options"])
        denoiser = self.guider.ComfyDenoiser(model_wrap, extra_args["model_options"], patches)
        settings, kept = self.inner.settings, []
        x = steps.start_latent(noise, sigmas[0])
        for i, timestep in enumerate(self.inner.timesteps):
            x0 = steps.source_step(denoiser, x, sigmas[i], settings, exchange, i, timestep)
            x = steps.euler(x, x0, sigmas[i], sigmas[i + 1])
            kept.append({key: value.clone() for key, value in exchange.held.items()})
        y = steps.start_latent(noise, sigmas[0])
        for i, held in enumerate(kept):
            exchange.held = held
            y0 = steps.twin_step(denoiser, y, sigmas[i], settings, exchange, i)
            y = steps.euler(y, y0, sigmas[i], sigmas[i + 1])
        return torch.cat([steps.end_latent(x, sigmas[-1]), steps.end_latent(y, sigmas[-1])])


NODES = [TestTinyModel, TestFlux, TestPatchedModel, TestTwinLatents, TestInjectedForward]
