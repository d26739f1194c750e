"""Test nodes: tiny models as a loader gives them, and the twin sampler's inside on the reference's inputs."""

from __future__ import annotations

import json

import comfy.supported_models
import torch
from comfy_api.latest import io

from . import tiny_models
from .pack import pack_module

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


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


class TestPixArt(io.ComfyNode):
    """A MODEL whose attention cannot be shared: a tiny PixArt."""

    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="T2CTestPixArt", category="T2CTest", inputs=[], outputs=[io.Model.Output()])

    @classmethod
    def execute(cls):
        unet = {
            "image_model": "pixart_alpha",
            "input_size": 16,
            "in_channels": 4,
            "hidden_size": 48,
            "depth": 1,
            "num_heads": 2,
            "caption_channels": 32,
            "dtype": torch.float32,
        }
        config = comfy.supported_models.PixArtAlpha(unet)
        config.unet_config = unet
        return io.NodeOutput(tiny_models.patcher(config.get_model({}, "")))


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
        guider, networks = pack_module("nodes.twin_guider"), pack_module("nodes.twin_networks")
        injection, store = pack_module("twin.feature_injection"), pack_module("twin.attention_store")
        chosen = pack_module("twin.settings").TwinSettings(**json.loads(settings))
        z = torch.tensor(json.loads(noise), dtype=torch.float32)
        names = {"uncond": "uncond", "cond": "source", "negative": negative, "twin": "twin"}
        prompts = {role: [[tiny_models.randn(f"input/emb/{name}", (77, 64))[None], {}]] for role, name in names.items()}
        store = store.AttentionStore(len(z), 77)
        network = networks.TwinNetwork.of(model, chosen)
        injector = injection.FeatureInjector(chosen, network.layers, store)
        sampler = guider.TwinSampler(injector, network, lambda done, total, preview: None, inverted=False)
        if two_passes:
            sampler = TwoPasses(guider, pack_module("twin.joint_sampling"), sampler)
        before, sizes = model.model.memory_required, []
        if one_by_one:
            model.model.memory_required = lambda *args, **kwargs: 1e18
        unet = model.model.diffusion_model
        hook = unet.register_forward_pre_hook(lambda _m, args: sizes.append(len(args[0])))
        try:
            out = guider.TwinGuider(model, network, prompts).sample(
                z, torch.zeros_like(z), sampler, network.schedule.sigmas, seed=0
            )
        finally:
            hook.remove()
            model.model.memory_required = before
        out = model.model.process_latent_in(out)
        shown = {
            "latents": out.tolist(),
            "affinity": store.maps()[0].mean(0).tolist(),
            "held": len(injector.cache),
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
        layers = pack_module("nodes.unet_families").injection_layers(unet)
        injector = pack_module("twin.feature_injection").FeatureInjector(settings, layers)
        injector.begin(0, source=False)
        injector.cache = cls.features(given["folder"], layers, h, w, many)
        options = {"transformer_options": {"cond_or_uncond": [0, 1]}}
        patches = pack_module("nodes.twin_patches").UNetPatches(injector)
        patches.install(options)
        context = torch.tensor(given["context"], dtype=torch.float32)
        timesteps = torch.full((len(x),), float(given["t"]))
        with torch.no_grad(), patches.active_roles(["uncond", "cond"]):
            out = unet(x, timesteps, context, transformer_options=options["transformer_options"])
        return io.NodeOutput(ui={"t2c": [json.dumps(out.tolist())]})

    @staticmethod
    def features(folder, layers, h, w, many):
        held = {}
        for layer in layers.injected:
            level = {4: 2, 5: 2, 6: 1, 7: 1, 8: 1, 9: 0, 10: 0, 11: 0}[layer[1]]
            for part in "qk":
                key = f"input/{folder}/output_block_{layer[1]}_self_attn_{part}"
                stored = tiny_models.randn(key, (16, (h >> level) * (w >> level), (32 << level) // 8))
                for half, role in enumerate(("uncond", "cond")):
                    mine = stored[half * 8 : half * 8 + 8].transpose(0, 1).flatten(1)[None]
                    held[layer, part, role] = torch.cat([mine] * many)
        stored = tiny_models.randn(f"input/{folder}/output_block_4_out_layers", (2, 128, h >> 2, w >> 2))
        for half, role in enumerate(("uncond", "cond")):
            held["feature", "", role] = torch.cat([stored[half : half + 1]] * many)
        return held


class TwoPasses:
    """The published order: the whole artistic pass first, all its features kept, then the whole twin's."""

    def __init__(self, guider, sampling, sampler):
        self.guider, self.sampling, self.inner = guider, sampling, sampler

    def max_denoise(self, *_):
        return True

    def sample(self, model_wrap, sigmas, extra_args, callback, noise, latent_image=None, *_):
        steps, injector, schedule = self.sampling, self.inner.injector, self.inner.network.schedule
        denoiser = self.guider.ComfyDenoiser(model_wrap, extra_args["model_options"], injector)
        x, kept = steps.start_latent(noise, sigmas[0]), []
        for i in range(len(schedule.timesteps)):
            x0 = steps.source_step(denoiser, x, schedule, i)
            x = steps.euler(x, x0, sigmas[i], sigmas[i + 1])
            kept.append({key: value.clone() for key, value in injector.cache.items()})
        y = steps.start_latent(noise, sigmas[0])
        for i, held in enumerate(kept):
            injector.cache = held
            y0 = steps.twin_step(denoiser, y, schedule, i)
            y = steps.euler(y, y0, sigmas[i], sigmas[i + 1])
        return torch.cat([steps.end_latent(x, sigmas[-1]), steps.end_latent(y, sigmas[-1])])


NODES = [TestTinyModel, TestPixArt, TestPatchedModel, TestTwinLatents, TestInjectedForward]
