"""Twins from diffusers folders of transformers, beside diffusers' own pipelines on the same folders."""

from __future__ import annotations

import dataclasses

import diffusers
import numpy as np
import pytest
import torch

from t2c_core.cli.main import main
from t2c_core.errors import InputError
from t2c_core.loop.read import probe, read_frames
from t2c_core.twin.feature_injection import FeatureInjector
from t2c_core.twin.generate import generate_twins
from t2c_core.twin.load import load_models
from t2c_core.twin.prompts import TwinPrompts
from t2c_core.twin.settings import TwinSettings
from t2c_core.twin.transformer_adapter import TransformerDenoiser, injection_layers
from tests.core.tiny_transformers import FAMILIES, folder

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_network")]
PROMPT, TWIN = "a waterfall falling down hills, painting", "the river, clouds"
SIZE = (64, 80)
SETTINGS = TwinSettings(steps=3, cfg=4.0, twin_cfg=4.0, negative_schedule="off", attention_injection=1.0)
GUIDANCE = {"flux": "guidance_scale", "schnell": "true_cfg_scale", "sd3": "guidance_scale", "qwen": "true_cfg_scale"}


@pytest.fixture(scope="module", params=list(FAMILIES))
def family(request):
    return request.param


@pytest.fixture(scope="module")
def saved(family, tmp_path_factory):
    return folder(family, tmp_path_factory.mktemp("transformers") / family)


@pytest.fixture(scope="module")
def models(saved):
    return load_models(saved)


def twins(models, prompts=TwinPrompts(PROMPT, TWIN), settings=SETTINGS, size=SIZE, **how):
    return generate_twins(models, prompts, settings, size=size, seed=5, **how)


def plain(saved, family, prompt, size=SIZE, scale=SETTINGS.cfg, dtype=torch.float32):
    """[1, H, W, 3] as diffusers' own pipeline paints it."""
    pipeline = getattr(diffusers, FAMILIES[family]).from_pretrained(saved, local_files_only=True).to(dtype)
    pipeline.set_progress_bar_config(disable=True)
    more = {} if family == "flux" else {"negative_prompt": ""}
    seeded = torch.Generator().manual_seed(5)
    how = {"num_inference_steps": SETTINGS.steps, "output_type": "pt", "generator": seeded, GUIDANCE[family]: scale}
    return pipeline(prompt, height=size[0], width=size[1], **how, **more).images.movedim(1, -1).float()


def off(a, b):
    return float((a - b).abs().max())


def test_the_artistic_picture_is_the_pipelines(models, saved, family):
    assert off(twins(models).artistic, plain(saved, family, PROMPT)) < 1e-4


def test_without_guidance_too(models, saved, family):
    if family == "flux":
        pytest.skip("guidance is an input of the network")
    settings = dataclasses.replace(SETTINGS, cfg=1.0, twin_cfg=1.0, attention_injection=0.0)
    made = twins(models, settings=settings)
    for picture, prompt in ((made.artistic, PROMPT), (made.realistic, TWIN)):
        assert off(picture, plain(saved, family, prompt, scale=1.0)) < 1e-4


def test_the_same_prompt_gives_the_same_picture(models):
    made = twins(models, TwinPrompts(PROMPT, PROMPT))
    assert off(made.artistic, made.realistic) < 1e-4


def test_another_prompt_another_twin_and_without_blocks_the_pipelines(models, saved, family):
    injected = twins(models)
    none = twins(models, settings=dataclasses.replace(SETTINGS, first_block=1.0, last_block=0.0))
    never = twins(models, settings=dataclasses.replace(SETTINGS, attention_injection=0.0))
    assert torch.equal(none.realistic, never.realistic)
    assert off(never.realistic, plain(saved, family, TWIN)) < 1e-4
    assert torch.equal(injected.artistic, never.artistic)
    assert off(injected.realistic, never.realistic) > 1e-3 and off(injected.realistic, injected.artistic) > 1e-3


def test_the_images_queries_and_keys_are_injected_and_no_others(models, family):
    """Beside the same by another way: outputs of the projections, before norms and rotary embeddings."""
    prompts = models.encode({"cond": PROMPT, "twin": TWIN})
    layers = injection_layers(models, SETTINGS)
    x, sigma = torch.randn(1, 4, 8, 10, generator=torch.Generator().manual_seed(1)), torch.tensor(0.7)
    count, kept, replaces = 4 * 5, {}, False

    def hook(module, _, out):
        rows = slice(0, None) if family == "sd3" else slice(out.shape[1] - count, None)  # single blocks: text, image
        if replaces:
            out[:, rows] = kept[module]
        else:
            kept[module] = out[:, rows].clone()

    denoiser = TransformerDenoiser(models, prompts, FeatureInjector(SETTINGS, layers))
    with denoiser:
        denoiser.injector.begin(0, source=True)
        denoiser.predict(x, sigma, {"cond": "cond"})
        denoiser.injector.begin(0, source=False)
        ours = denoiser.predict(2 * x, sigma, {"cond": "twin"})[0]
        denoiser.injector.end()
        without = denoiser.predict(2 * x, sigma, {"cond": "twin"})[0]
    projections = [m for n, m in models.transformer.named_modules() if n.endswith((".to_q", ".to_k"))]
    handles = [projection.register_forward_hook(hook) for projection in projections]
    with denoiser:
        denoiser.predict(x, sigma, {"cond": "cond"})
        replaces = True
        theirs = denoiser.predict(2 * x, sigma, {"cond": "twin"})[0]
    for handle in handles:
        handle.remove()
    assert len(projections) == 2 * len({layer for layer in layers.injected if layer[2] == 0}) + 2 * (family == "sd3")
    assert off(ours, theirs) < 1e-5 < 1e-3 < off(ours, without)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in models.transformer.modules())


def test_sizes_between_tokens(models):
    """A latent that tokens do not divide is painted larger and cropped."""
    odd, whole = twins(models, size=(72, 88)), twins(models, size=(80, 96))
    assert odd.artistic.shape == odd.realistic.shape == (1, 72, 88, 3)
    assert torch.equal(odd.artistic, whole.artistic[:, :72, :88])
    assert odd.attention.grid == (5, 6)


def test_a_picture_is_inverted(models):
    picture, counted = torch.rand(1, 75, 101, 3, generator=torch.Generator().manual_seed(2)), []
    settings = dataclasses.replace(SETTINGS, steps=12)
    made = twins(models, settings=settings, image=picture, on_step=lambda *step: counted.append(step))
    assert torch.equal(made.artistic, picture) and made.realistic.shape == picture.shape
    assert counted == [(i, 24) for i in range(1, 25)]
    assert made.round_trip is not None and 0 < made.round_trip < 0.5


def test_words_are_where_their_tokens_are(models, family):
    words = dict(models.words(PROMPT, 512))
    assert list(words) == ["a", "waterfall", "falling", "down", "hills", "painting"]
    if family == "qwen":  # a token is a letter
        assert [len(positions) for positions in words.values()] == [len(word) for word in words]
    else:  # CLIP's text begins with a token of its own
        assert words["waterfall"] == [2 if family == "sd3" else 1]


def test_words_and_clusters_select_what_is_attended_to(models, family):
    """Queries and keys made by rule, behind the norms: a region sees itself and the word, all else the rest."""
    region = torch.zeros(4, 5, dtype=torch.bool)
    region[1:3, 2:] = True
    towards = torch.zeros(20, 16)
    towards[:, 2] = torch.where(region.flatten(), 8.0, -8.0)  # a slow axis of the rotary embeddings
    word = dict(models.words(PROMPT, 512))["waterfall"]

    def rule(of_image, of_text):
        def hook(_module, _, out):
            rows = out if family == "sd3" else out.transpose(1, 2)  # views: [B, heads, tokens, d]
            rows[:] = 0
            if of_text:
                rows[:, :, word, 2] = 8.0
            if of_image:
                rows[:, :, -20:] = towards

        return hook

    hooked = []
    for name in models.family.blocks:
        for attn in (block.attn for block in getattr(models.transformer, name)):
            single = name.startswith("single")
            hooked += [(attn.norm_q, rule(True, single)), (attn.norm_k, rule(True, single))]
            hooked += [] if single else [(attn.norm_added_k, rule(False, True))]
    handles = [module.register_forward_hook(hook) for module, hook in hooked]
    attention = twins(models, settings=dataclasses.replace(SETTINGS, cfg=1.0, twin_cfg=1.0)).attention
    for handle in handles:
        handle.remove()
    heat = attention.heat[attention.words.index("waterfall")]
    assert torch.equal(heat > heat.max() / 2, region) and heat.max() > 0.9 / len(word)
    inside = attention.affinity[region.flatten()][:, region.flatten()].sum(1)
    assert inside.min() > 0.99


def test_another_attention_than_torchs_is_refused(models, family):
    if family == "sd3":
        pytest.skip("always runs torch's")
    from diffusers.models.attention_dispatch import attention_backend

    with attention_backend("flex"), pytest.raises(InputError, match="does not run torch's attention"):
        twins(models)


@pytest.mark.parametrize("maps", ["attention", "outputs"])
def test_maps_of_words_and_clusters(models, maps):
    attention = twins(models, settings=dataclasses.replace(SETTINGS, word_maps=maps)).attention
    assert attention.grid == (4, 5) and attention.heat is not None and attention.heat.shape == (6, 4, 5)
    assert torch.allclose(attention.affinity.sum(1), torch.ones(20), atol=1e-4)
    assert attention.heat.isfinite().all() and attention.heat.std() > 0


def test_bfloat16_as_the_pipeline(saved, family):
    artistic = twins(load_models(saved, dtype=torch.bfloat16)).artistic
    theirs = plain(saved, family, PROMPT, dtype=torch.bfloat16)
    assert (artistic - theirs).abs().mean() < 0.01


def test_memory_that_runs_out_is_said(models, monkeypatch):
    def forward(*_, **__):
        raise MemoryError

    monkeypatch.setattr(models.transformer, "forward", forward)
    with pytest.raises(InputError) as caught:
        twins(models)
    assert caught.value.input == "memory" and "painting the twins" in caught.value.problem


@pytest.mark.parametrize("suffix", ["webp", "mp4"])
def test_from_prompt_to_file(saved, family, tmp_path, suffix):
    if (family in ("flux", "qwen")) != (suffix == "webp"):
        pytest.skip("the other format is another family's")
    output = tmp_path / f"loop.{suffix}"
    few = ["--steps", "3", "--width", "96", "--height", "72", "--frames", "5", "--cfg", "2"]
    assert main(["generate", PROMPT, "--checkpoint", str(saved), *few, "-o", str(output), "--previews"]) == 0
    frames = np.stack(list(read_frames(output)))
    assert probe(output).frames == 5 and frames.shape == (5, 72, 96, 3)
    assert np.abs(np.diff(frames.astype(int), axis=0)).max() > 8, "something moves"
