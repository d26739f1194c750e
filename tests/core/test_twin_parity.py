"""The twin stage against vectors made by running the published code, through diffusers."""

from __future__ import annotations

import pytest
import torch

from t2c_core.twin.blocks import Site
from t2c_core.twin.diffusers_adapter import DiffusersDenoiser, blocks_of
from t2c_core.twin.exchange import FeatureExchange
from t2c_core.twin.lockstep import end_latent, twin_steps
from t2c_core.twin.observe import AttentionObserver
from t2c_core.twin.schedule import ddim_timesteps, noise_table, sampling_sigmas, sigmas_of, uncond_shares
from t2c_core.twin.settings import TwinSettings
from tests.core.reference_unet import prompts, randn, reference_unet, vectors

FORWARD, LATENT = 5e-5, 2e-3
TABLE = noise_table()


@pytest.fixture(scope="module")
def unet_vectors():
    return vectors("unet")


@pytest.fixture(scope="module")
def sampler_vectors():
    return vectors("sampler")


def largest(a: torch.Tensor, b: torch.Tensor) -> float:
    assert a.shape == b.shape
    return float((a.float() - b.float()).abs().max())


@pytest.mark.parametrize("steps", [7, 8, 10, 30, 50])
def test_timesteps_and_noise_levels(sampler_vectors, steps):
    timesteps = ddim_timesteps(steps)
    assert timesteps[::-1] == sampler_vectors[f"ddim_timesteps_{steps}"].tolist()
    sigmas = sampling_sigmas(TABLE, steps)
    assert largest(sigmas[:-1].flip(0), sigmas_of(sampler_vectors[f"ddim_alphas_{steps}"])) < 1e-5
    assert largest(sigmas[1:].flip(0), sigmas_of(sampler_vectors[f"ddim_alphas_prev_{steps}"])) < 1e-5


@pytest.mark.parametrize("schedule", ["linear", "constant", "exp"])
def test_negative_schedules(sampler_vectors, schedule):
    ours = torch.tensor(uncond_shares(schedule, 10, 0.75))
    assert largest(ours, sampler_vectors[f"neg_schedule_{schedule}_0.75_10"]) < 1e-6


def as_captured(value: torch.Tensor, heads: int = 8) -> torch.Tensor:
    """Published layout [half * heads + head, tokens, d] of our [1, tokens, heads * d]."""
    return value.unflatten(2, (heads, -1)).transpose(1, 2).flatten(0, 1)


def held_half(stored: torch.Tensor, half: int, heads: int = 8) -> torch.Tensor:
    """Our [1, tokens, heads * d] of one half of a published [2 * heads, tokens, d]."""
    return stored[half * heads : (half + 1) * heads].transpose(0, 1).flatten(1)[None]


def one_call(x, context, held, *, attention, feature, source=False, observer=None):
    """The noise predicted for the batch x [2, ...] of 'uncond' and 'cond', with ``held`` features injected."""
    unet = reference_unet()
    settings = TwinSettings(steps=10, attention_injection=attention, feature_injection=feature)
    exchange = FeatureExchange(settings, blocks_of(unet), observer)
    exchange.begin(0, source=source)
    exchange.held = dict(held)
    with DiffusersDenoiser(unet, prompts(), TABLE, exchange) as denoiser:
        denoiser._call.roles, denoiser._call.size = ["uncond", "cond"], tuple(x.shape[-2:])
        out = unet(x, 501, context).sample
    return out, exchange


def injected(size: tuple[int, int]) -> dict:
    """Features by rule in our layout, for a latent of this (height, width)."""
    folder = "inj16" if size == (16, 16) else "inj16x24"
    held = {}
    for site in sorted(blocks_of(reference_unet()).injected):
        level = {4: 2, 5: 2, 6: 1, 7: 1, 8: 1, 9: 0, 10: 0, 11: 0}[site[1]]
        tokens = (size[0] >> level) * (size[1] >> level)
        for part in "qk":
            key = f"input/{folder}/output_block_{site[1]}_self_attn_{part}"
            stored = randn(key, (16, tokens, (32 << level) // 8))
            for half, role in enumerate(("uncond", "cond")):
                held[site, part, role] = held_half(stored, half)
    stored = randn(f"input/{folder}/output_block_4_out_layers", (2, 128, size[0] >> 2, size[1] >> 2))
    for half, role in enumerate(("uncond", "cond")):
        held["feature", "", role] = stored[half : half + 1]
    return held


SQUARE, WIDE = (16, 16), (16, 24)


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


def test_two_pictures_at_a_time(unet_vectors):
    doubled = {key: torch.cat([value, value]) for key, value in injected(SQUARE).items()}
    x, context = randn("input/unet/x4", (4, 4, 16, 16)), randn("input/unet/ctx4", (4, 77, 64))
    out, _ = one_call(x, context, doubled, attention=1.0, feature=1.0)
    assert largest(out, unet_vectors["out_inj_all_b4"]) < FORWARD


class Seen(AttentionObserver):
    """Keeps what it is shown."""

    def see(self, q, k, heads, roles, grid):
        self.__dict__.setdefault("shown", []).append((q, k, grid))


def test_captured_features(unet_vectors):
    observer = Seen(1)
    _, exchange = one_call(
        unet_vectors["x"], unet_vectors["ctx"], {}, attention=1.0, feature=1.0, source=True, observer=observer
    )
    for index in (4, 8):
        site: Site = ("output", index, 0)
        for part in "qk":
            ours = torch.cat([as_captured(exchange.held[site, part, role]) for role in ("uncond", "cond")])
            assert largest(ours, unet_vectors[f"cap_output_block_{index}_self_attn_{part}"]) < FORWARD
    feature = torch.cat([exchange.held["feature", "", role] for role in ("uncond", "cond")])
    assert largest(feature, unet_vectors["cap_output_block_4_out_layers"]) < FORWARD
    assert len(observer.shown) == 5 and {grid for *_, grid in observer.shown} == {(8, 8)}
    q, k, _ = observer.shown[0]
    for ours, part in ((q, "q"), (k, "k")):
        halves = torch.cat([as_captured(half) for half in ours.chunk(2)])
        assert largest(halves, unet_vectors[f"cap_input_block_4_self_attn_{part}"]) < FORWARD


def run(z_enc, *, negative="source", together=True, **settings):
    """All TwinSteps of a run on the reference's inputs, and its exchange."""
    unet = reference_unet()
    chosen = TwinSettings(**{"steps": 10, **settings})
    exchange = FeatureExchange(chosen, blocks_of(unet), AttentionObserver(len(z_enc), 77))
    sigmas = sampling_sigmas(TABLE, chosen.steps, keep_last_noise=chosen.keep_last_noise)
    with DiffusersDenoiser(unet, prompts(negative), TABLE, exchange, together=together) as denoiser:
        steps = list(twin_steps(denoiser, z_enc, sigmas, ddim_timesteps(chosen.steps), chosen, exchange))
    return steps, sigmas, exchange


VARIANTS = {
    "twin_latent": {},
    "twin_noinj": {"attention_injection": 0, "feature_injection": 0},
    "twin_attn_only": {"feature_injection": 0},
    "twin_feat_only": {"attention_injection": 0},
    "twin_thr0": {"feature_injection": 0.05},
    "twin_constant": {"negative_schedule": "constant"},
    "twin_exp": {"negative_schedule": "exp"},
    "twin_no_negative": {"negative_schedule": "constant", "negative_strength": 1.0},
    "twin_negative2": {"negative": "negative2"},
    # The published code drops the injection where no negative prompt is given; here it has to be switched off.
    "twin_quirk_no_negative_conditioning": {
        "attention_injection": 0,
        "feature_injection": 0,
        "negative_schedule": "constant",
        "negative_strength": 1.0,
    },
    "odd_twin_latent": {"steps": 8, "feature_injection": 3 / 8},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_final_latents(sampler_vectors, name):
    steps, sigmas, _ = run(sampler_vectors["z_enc"], **VARIANTS[name])
    source = "odd_src_latent" if name.startswith("odd") else "src_latent"
    assert largest(end_latent(steps[-1].source, sigmas[-1]), sampler_vectors[source]) < LATENT
    assert largest(end_latent(steps[-1].twin, sigmas[-1]), sampler_vectors[name]) < LATENT


def test_every_step(sampler_vectors):
    steps, sigmas, _ = run(sampler_vectors["z_enc"])
    source = torch.cat([end_latent(step.source, sigmas[step.index + 1]) for step in steps])
    twin = torch.cat([end_latent(step.twin, sigmas[step.index + 1]) for step in steps])
    assert largest(source, sampler_vectors["src_steps_x"]) < LATENT
    assert largest(twin, sampler_vectors["twin_steps_x"]) < LATENT
    assert largest(steps[-1].source_x0, sampler_vectors["src_last_x0"]) < LATENT


def test_how_many_steps_are_injected(sampler_vectors):
    paper = TwinSettings(steps=10)
    assert paper.attention_steps == sampler_vectors["n_injected_attn_steps"] == 6
    assert paper.feature_steps == sampler_vectors["n_injected_feat_steps"] == 9
    odd = TwinSettings(steps=8, feature_injection=3 / 8)
    assert [odd.attention_steps, odd.feature_steps] == sampler_vectors["odd_n_injected"].tolist()
    assert TwinSettings(steps=50).feature_steps == 41 and TwinSettings(steps=50).attention_steps == 26
    clean = TwinSettings(steps=50, preset="clean")
    assert (clean.attention_steps, clean.feature_steps) == (25, 40)


def test_averaged_attention(sampler_vectors):
    *_, exchange = run(sampler_vectors["z_enc"])
    reference = vectors("attnmask")
    maps = exchange.observer.maps()[0]
    assert largest(maps.mean(0), reference["model_affinity_8x8"]) < 1e-5
    features = torch.cat(list(maps), 1)[reference["model_kmeans_features_rows"].long()]
    assert largest(features, reference["model_kmeans_features"]) < 1e-5
