"""The twin stage against vectors made by running the published code, through diffusers."""

from __future__ import annotations

import pytest
import torch

from t2c_core.twin.attention_store import AttentionStore
from t2c_core.twin.diffusers_adapter import DiffusersDenoiser, injection_layers
from t2c_core.twin.feature_injection import FeatureInjector
from t2c_core.twin.joint_sampling import end_latent, joint_steps, sample_twins
from t2c_core.twin.layers import LayerId
from t2c_core.twin.schedule import ddim_schedule, sigmas_from_alphas, training_sigmas
from t2c_core.twin.settings import TwinSettings
from tests.core.reference_unet import prompts, reference_unet
from tests.vectors import injection_share, matching, randn, tensors, twin_variants

FORWARD, LATENT = 5e-5, 2e-3
TABLE = training_sigmas()


@pytest.fixture(scope="module")
def unet_vectors():
    return tensors("unet")


@pytest.fixture(scope="module")
def sampler_vectors():
    return tensors("sampler")


def largest(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape
    return float((a.float() - b.float()).abs().max())


@pytest.mark.parametrize("steps", [int(steps) for steps in matching("sampler", r"ddim_timesteps_(\d+)")])
def test_timesteps_and_noise_levels(sampler_vectors, steps):
    timesteps, sigmas = ddim_schedule(TABLE, steps)
    assert timesteps[::-1] == sampler_vectors[f"ddim_timesteps_{steps}"].tolist()
    assert largest(sigmas[:-1].flip(0), sigmas_from_alphas(sampler_vectors[f"ddim_alphas_{steps}"])) < 1e-5
    assert largest(sigmas[1:].flip(0), sigmas_from_alphas(sampler_vectors[f"ddim_alphas_prev_{steps}"])) < 1e-5


@pytest.mark.parametrize("name", matching("sampler", r"neg_schedule_(.+)"))
def test_negative_schedules(sampler_vectors, name):
    schedule, strength, steps = name.split("_")
    settings = TwinSettings(int(steps), negative_schedule=schedule, negative_strength=float(strength))
    ours = torch.tensor(settings.uncond_weights())
    assert largest(ours, sampler_vectors[f"neg_schedule_{name}"]) < 1e-6


def as_captured(value: torch.Tensor, heads: int = 8) -> torch.Tensor:
    """Published layout [half * heads + head, tokens, d] of our [1, tokens, heads * d]."""
    return value.unflatten(2, (heads, -1)).transpose(1, 2).flatten(0, 1)


def held_half(stored: torch.Tensor, half: int, heads: int = 8) -> torch.Tensor:
    """Our [1, tokens, heads * d] of one half of a published [2 * heads, tokens, d]."""
    return stored[half * heads : (half + 1) * heads].transpose(0, 1).flatten(1)[None]


def one_call(x, context, held, *, attention, feature, source=False, store=None):
    """The noise predicted for the batch x [2, ...] of 'uncond' and 'cond', with ``held`` features injected."""
    unet = reference_unet()
    settings = TwinSettings(steps=10, attention_injection=attention, feature_injection=feature)
    injector = FeatureInjector(settings, injection_layers(unet), store)
    injector.begin(0, source=source, record=source)
    injector.cache = dict(held)
    with DiffusersDenoiser(unet, prompts(), TABLE, injector) as denoiser:
        denoiser._call.roles, denoiser._call.size = ["uncond", "cond"], tuple(x.shape[-2:])
        out = unet(x, tensors("unet")["t"], context).sample
    return out, injector


def injected(size: tuple[int, int]) -> dict:
    """Features by rule in our layout, for a latent of this (height, width)."""
    height, width = size
    folder = f"inj{height}" if height == width else f"inj{height}x{width}"
    held = {}
    for layer in sorted(injection_layers(reference_unet()).injected):
        level = {4: 2, 5: 2, 6: 1, 7: 1, 8: 1, 9: 0, 10: 0, 11: 0}[layer[1]]
        tokens = (height >> level) * (width >> level)
        for part in "qk":
            key = f"input/{folder}/output_block_{layer[1]}_self_attn_{part}"
            stored = randn(key, (16, tokens, (32 << level) // 8))
            for half, role in enumerate(("uncond", "cond")):
                held[layer, part, role] = held_half(stored, half)
    stored = randn(f"input/{folder}/output_block_4_out_layers", (2, 128, height >> 2, width >> 2))
    for half, role in enumerate(("uncond", "cond")):
        held["feature", "", role] = stored[half : half + 1]
    return held


SQUARE, WIDE = (tuple(tensors("unet")[name].shape[-2:]) for name in ("out_plain", "out_plain_ns"))


@pytest.mark.parametrize(
    ("vector", "size", "attention", "feature"),
    [
        ("out_inj_all", SQUARE, 1.0, 1.0),
        ("out_inj_attn", SQUARE, 1.0, 0.0),
        ("out_inj_feat", SQUARE, 0.0, 1.0),
        ("out_plain", SQUARE, 0.0, 0.0),
        ("out_inj_all_ns", WIDE, 1.0, 1.0),
        ("out_plain_ns", WIDE, 0.0, 0.0),
    ],
)
def test_injected_forward(unet_vectors, vector, size, attention, feature):
    x = unet_vectors["x"] if size == SQUARE else randn("input/unet/x_ns", (2, 4, *size))
    out, _ = one_call(x, unet_vectors["ctx"], injected(size), attention=attention, feature=feature)
    assert largest(out, unet_vectors[vector]) < FORWARD


def test_two_images_at_a_time(unet_vectors):
    doubled = {key: torch.cat([value, value]) for key, value in injected(SQUARE).items()}
    expected = unet_vectors["out_inj_all_b4"]
    x, context = randn("input/unet/x4", expected.shape), randn("input/unet/ctx4", (len(expected), 77, 64))
    out, _ = one_call(x, context, doubled, attention=1.0, feature=1.0)
    assert largest(out, expected) < FORWARD


class Seen(AttentionStore):
    """Keeps what it is shown."""

    def add_self(self, q, k, heads, roles, grid):
        self.__dict__.setdefault("shown", []).append((q, k, grid))


def test_captured_features(unet_vectors):
    store = Seen(1)
    _, injector = one_call(
        unet_vectors["x"], unet_vectors["ctx"], {}, attention=1.0, feature=1.0, source=True, store=store
    )
    captured = [int(index) for index in matching("unet", r"cap_output_block_(\d+)_self_attn_q")]
    assert captured
    for index in captured:
        layer: LayerId = ("output", index, 0)
        for part in "qk":
            ours = torch.cat([as_captured(injector.cache[layer, part, role]) for role in ("uncond", "cond")])
            assert largest(ours, unet_vectors[f"cap_output_block_{index}_self_attn_{part}"]) < FORWARD
    feature = torch.cat([injector.cache["feature", "", role] for role in ("uncond", "cond")])
    assert largest(feature, unet_vectors["cap_output_block_4_out_layers"]) < FORWARD
    assert len(store.shown) == 5 and {grid for *_, grid in store.shown} == {(SQUARE[0] // 2, SQUARE[1] // 2)}
    q, k, _ = store.shown[0]
    for ours, part in ((q, "q"), (k, "k")):
        halves = torch.cat([as_captured(half) for half in ours.chunk(2)])
        assert largest(halves, unet_vectors[f"cap_input_block_4_self_attn_{part}"]) < FORWARD


def run(sample, z_enc, *, negative="source", **settings):
    """``sample`` (`sample_twins` or `joint_steps`) on the reference's inputs; its schedule and its injector."""
    unet = reference_unet()
    chosen = TwinSettings(**settings)
    injector = FeatureInjector(chosen, injection_layers(unet), AttentionStore(len(z_enc), 77))
    schedule = ddim_schedule(TABLE, chosen.steps)
    with DiffusersDenoiser(unet, prompts(negative), TABLE, injector) as denoiser:
        return list(sample(denoiser, z_enc, schedule)), schedule, injector


VARIANTS = twin_variants()


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_final_latents(sampler_vectors, name):
    (source, twin), *_ = run(sample_twins, sampler_vectors["z_enc"], **VARIANTS[name])
    expected = "odd_src_latent" if name.startswith("odd") else "src_latent"
    assert largest(source, sampler_vectors[expected]) < LATENT
    assert largest(twin, sampler_vectors[name]) < LATENT


@pytest.mark.slow
def test_every_step_and_averaged_attention(sampler_vectors):
    steps, schedule, injector = run(joint_steps, sampler_vectors["z_enc"], **VARIANTS["twin_latent"])
    reached = list(zip(steps, schedule.sigmas[1:], strict=True))
    source = torch.cat([end_latent(step.source, sigma) for step, sigma in reached])
    twin = torch.cat([end_latent(step.twin, sigma) for step, sigma in reached])
    assert largest(source, sampler_vectors["src_steps_x"]) < LATENT
    assert largest(twin, sampler_vectors["twin_steps_x"]) < LATENT
    assert largest(steps[-1].source_x0, sampler_vectors["src_last_x0"]) < LATENT
    reference, maps = tensors("attnmask"), injector.store.maps()[0]
    assert largest(maps.mean(0), reference["model_affinity_8x8"]) < 1e-5
    features = torch.cat(list(maps), 1)[reference["model_kmeans_features_rows"].long()]
    assert largest(features, reference["model_kmeans_features"]) < 1e-5


def test_how_many_steps_are_injected(sampler_vectors):
    usual, odd = TwinSettings(**VARIANTS["twin_latent"]), TwinSettings(**VARIANTS["odd_twin_latent"])
    assert usual.attention_steps == sampler_vectors["n_injected_attn_steps"]
    assert usual.feature_steps == sampler_vectors["n_injected_feat_steps"]
    assert [odd.attention_steps, odd.feature_steps] == sampler_vectors["odd_n_injected"].tolist()
    # The defaults: one step more than the published shares of 0.5 and 0.8 say.
    for steps, attention, feature in ((10, 6, 9), (50, 26, 41)):
        paper = TwinSettings(steps=steps)
        assert (paper.attention_steps, paper.feature_steps) == (attention, feature)
        assert paper.attention_injection == injection_share(attention, steps)
    clean = TwinSettings(steps=50, preset="clean")
    assert (clean.attention_steps, clean.feature_steps) == (25, 40)
