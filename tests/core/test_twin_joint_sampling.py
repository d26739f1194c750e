"""Properties of joint sampling beyond the vectors."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler

from t2c_core.errors import InputError
from t2c_core.twin.attention_store import AttentionStore
from t2c_core.twin.diffusers_adapter import DiffusersDenoiser, injection_layers
from t2c_core.twin.feature_injection import FeatureInjector
from t2c_core.twin.joint_sampling import (
    Denoiser,
    end_latent,
    euler,
    invert,
    sample_twins,
    source_step,
    start_latent,
    twin_step,
)
from t2c_core.twin.schedule import ddim_schedule, training_sigmas
from t2c_core.twin.settings import TwinSettings
from tests import vectors
from tests.core.reference_unet import embedding, prompts, reference_unet
from tests.vectors import randn

TABLE = training_sigmas()
OFF = {"attention_injection": 0, "feature_injection": 0}
FULL = {"attention_injection": 1, "feature_injection": 1}
NO_NEGATIVE = {"negative_schedule": "off"}


def noise(batch=1, height=8, width=8):
    return randn("lockstep", (batch, 4, height, width))


def settings(**changed):
    return TwinSettings(**{"steps": 6, **changed})


def injector_for(chosen, batch=1):
    return FeatureInjector(chosen, injection_layers(reference_unet()), AttentionStore(batch, 77))


def schedule_of(chosen):
    return ddim_schedule(TABLE, chosen.steps, keep_last_noise=chosen.keep_last_noise)


def run(z, chosen, *, names=None, denoiser=DiffusersDenoiser, injector=None, prediction="epsilon", **options):
    """Final latents (artistic, twin) and the injector."""
    injector = injector or injector_for(chosen, len(z))
    with denoiser(reference_unet(), names or prompts(), TABLE, injector, prediction=prediction) as made:
        return *sample_twins(made, z, schedule_of(chosen), **options), injector


class OneByOne(DiffusersDenoiser):
    """Prompts one after the other, as a library may do it to save memory."""

    def predict(self, x, sigma, prompts):
        return [x0 for role in prompts for x0 in super(OneByOne, self).predict(x, sigma, {role: prompts[role]})]


@pytest.mark.slow
def test_joint_sampling_equals_two_passes():
    """Bit for bit what comes out when all features of the artistic pass are stored first, as published."""
    chosen, z = settings(), noise()
    source, twin, _ = run(z, chosen)
    schedule, sigmas = schedule_of(chosen), schedule_of(chosen).sigmas
    stored, two = [], injector_for(chosen)
    with DiffusersDenoiser(reference_unet(), prompts(), TABLE, two) as denoiser:
        x = start_latent(z, sigmas[0])
        for i in range(chosen.steps):
            x0 = source_step(denoiser, x, schedule, i)
            x = euler(x, x0, sigmas[i], sigmas[i + 1])
            stored.append(dict(two.cache))
        y = start_latent(z, sigmas[0])
        for i in range(chosen.steps):
            two.cache = stored[i]
            y0 = twin_step(denoiser, y, schedule, i)
            y = euler(y, y0, sigmas[i], sigmas[i + 1])
    assert torch.equal(end_latent(x, sigmas[-1]), source)
    assert torch.equal(end_latent(y, sigmas[-1]), twin)


@pytest.mark.slow
def test_holds_the_features_of_one_step_only():
    class Measured(FeatureInjector):
        def end(self):
            peaks.append(sum(t.nbytes for t in self.cache.values()))
            super().end()

    peaks, chosen = [], settings()
    injector = Measured(chosen, injection_layers(reference_unet()))
    run(noise(), chosen, injector=injector)
    # Output blocks 4, 5: 4 places of 128 channels; 6..8: 16 of 64; 9..11: 64 of 32; q and k, two prompts, floats;
    # and the feature, 128 x 2 x 2 for two prompts.
    one_step = 4 * (2 * 2 * (2 * 4 * 128 + 3 * 16 * 64 + 3 * 64 * 32) + 2 * 128 * 4)
    assert max(peaks) == one_step
    assert not injector.cache


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{}, {"preset": "clean"}], ids=["paper", "clean"])
def test_prompts_one_after_the_other(changed):
    chosen = settings(**changed)
    together = run(noise(), chosen)[:2]
    apart = run(noise(), chosen, denoiser=OneByOne)[:2]
    for a, b in zip(together, apart, strict=True):
        assert (a - b).abs().max() < 1e-3


@pytest.mark.slow
def test_a_batch_is_many_single_runs():
    z = noise(3)
    sources, twins, injector = run(z, settings())
    maps = injector.store.maps()
    for i in range(3):
        source, twin, alone = run(z[i : i + 1], settings())
        assert (sources[i] - source[0]).abs().max() < 1e-3
        assert (twins[i] - twin[0]).abs().max() < 1e-3
        assert (maps[i] - alone.store.maps()[0]).abs().max() < 1e-5


def ordinary_ddim(z, prompt, scale, steps, prediction="epsilon"):
    """diffusers' own scheduler and classifier-free guidance on the same UNet, without anything of ours."""
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="leading",
        prediction_type=prediction,
    )
    scheduler.set_timesteps(steps)
    unet, x = reference_unet(), z
    context = torch.cat([embedding("uncond").context, embedding(prompt).context])
    for t in scheduler.timesteps:
        uncond, cond = unet(torch.cat([x, x]), t, context).sample.chunk(2)
        x = scheduler.step(uncond + scale * (cond - uncond), t, x, eta=0.0).prev_sample
    return x


@pytest.mark.slow
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_without_injection_both_are_ordinary_ddim_samples(prediction):
    chosen = settings(**OFF, **NO_NEGATIVE)
    source, twin, _ = run(noise(), chosen, prediction=prediction)
    assert (source - ordinary_ddim(noise(), "source", 5.0, 6, prediction)).abs().max() < 2e-3
    assert (twin - ordinary_ddim(noise(), "twin", 7.5, 6, prediction)).abs().max() < 2e-3


@pytest.mark.slow
def test_injection_never_touches_the_artistic_image():
    assert torch.equal(run(noise(), settings(**FULL))[0], run(noise(), settings(**OFF))[0])


@pytest.fixture
def attentive(monkeypatch):
    """The reference UNet with self-attention that matters: by the plain rule it is nearly uniform and near zero.

    The bounds below were measured with the weights and inputs without a prefix, so these are taken.
    """
    monkeypatch.setattr(vectors, "prefix", lambda name: "")
    unet = reference_unet.__wrapped__()
    for name, value in unet.named_parameters():
        if any(f"attn1.{part}.weight" in name for part in ("to_q", "to_k", "to_out.0")):
            value.mul_(3.0)
    monkeypatch.setattr(f"{__name__}.reference_unet", lambda: unet)


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["a", "b"])
@pytest.mark.parametrize(
    ("roles", "changed", "closer"),
    [
        # One prompt for both; only the scales differ (5.0 and 7.5). Found: 0.81, 0.81.
        ({"negative": "uncond", "twin": "source"}, NO_NEGATIVE, 0.85),
        # The usual case of two prompts. Found: 0.63, 0.68.
        ({}, {}, 0.75),
    ],
    ids=["identical", "different"],
)
def test_full_injection_keeps_the_twin_closer(attentive, roles, changed, closer, seed):
    names = prompts(**roles)
    z = randn(seed, (1, 4, 16, 16))
    source, far, _ = run(z, settings(steps=10, **changed, **OFF), names=names)
    _, near, _ = run(z, settings(steps=10, **changed, **FULL), names=names)
    assert (near - source).norm() < closer * (far - source).norm()


@pytest.mark.slow
def test_one_prompt_and_one_scale_give_one_image():
    same = prompts(negative="uncond", twin="source")
    source, twin, _ = run(noise(), settings(twin_cfg=5.0, **NO_NEGATIVE, **FULL), names=same)
    assert (twin - source).abs().max() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("height,width", [(8, 8), (9, 13), (6, 20)])
def test_any_size(height, width):
    source, twin, injector = run(noise(height=height, width=width), settings())
    assert source.shape == twin.shape == (1, 4, height, width)
    assert torch.isfinite(twin).all()
    found = injector.store.result([("water", [1, 2]), ("sky", [5])])[0]
    assert found.grid == (-(-height // 2), -(-width // 2))
    assert torch.allclose(found.affinity.sum(1), torch.ones(len(found.affinity)), atol=1e-4)
    assert found.heat.shape == (2, *found.grid) and found.heat.min() > 0 and found.heat.max() < 1


@pytest.mark.slow
def test_the_unet_is_left_as_it_was():
    unet = reference_unet()
    x, context = noise(2), randn("context", (2, 77, 64))
    before, processors = unet(x, 300, context).sample, dict(unet.attn_processors)
    run(noise(), settings())
    with pytest.raises(RuntimeError, match="stop"), DiffusersDenoiser(unet, prompts(), TABLE, injector_for(settings())):
        raise RuntimeError("stop")
    assert torch.equal(unet(x, 300, context).sample, before)
    assert {k: type(v) for k, v in unet.attn_processors.items()} == {k: type(v) for k, v in processors.items()}
    assert not unet.up_blocks[1].resnets[1].conv2._forward_hooks


@pytest.mark.parametrize("keep_last_noise", [True, False])
def test_inversion_finds_the_noise(keep_last_noise):
    """For Gaussian pictures of deviation s, x0 = s^2 / (s^2 + sigma^2) x, and x grows as sqrt(s^2 + sigma^2)."""
    s, latent = 0.7, 0.7 * noise()
    sigmas = ddim_schedule(TABLE, 200, keep_last_noise=keep_last_noise).sigmas

    class Gaussian(Denoiser):
        def predict(self, x, sigma, prompts):
            return [x * s**2 / (s**2 + sigma**2)]

    path = list(invert(Gaussian(), latent, sigmas))
    assert len(path) == 200
    grown = ((s**2 + sigmas[0] ** 2) / (s**2 + sigmas[-1] ** 2)).sqrt()
    assert (path[-1] / latent - grown).abs().max() / grown < 0.02


@pytest.mark.slow
def test_an_inverted_image_is_followed_exactly():
    def on_step(done, total, preview):
        steps.append((done, total, tuple(preview.shape)))
        if done == chosen.steps:
            assert not injector.cache, "inverting captures nothing"

    chosen, latent, steps = settings(steps=12), 0.5 * noise(), []
    injector = injector_for(chosen)
    source, twin, _ = run(noise(), chosen, injector=injector, latent=latent, on_step=on_step)
    assert torch.equal(source, latent)
    other_noise = run(noise() + 1, chosen, latent=latent)[1]
    assert torch.equal(twin, other_noise), "the twin starts from the noise that was found"
    assert torch.isfinite(twin).all() and (twin - source).norm() / source.norm() > 0.1
    assert steps == [(i, 24, (1, 4, 8, 8 if i <= 12 else 16)) for i in range(1, 25)]


def test_a_model_that_skips_layers_in_one_pass_only_is_named():
    class Skipping(DiffusersDenoiser):
        def predict(self, x, sigma, prompts):
            out = super().predict(x, sigma, prompts)
            self.injector.cache.pop((("output", 5, 0), "k", "uncond"), None)
            return out

    with pytest.raises(InputError, match=r"did not run its layer \('output', 5, 0\)") as caught:
        run(noise(), settings(), denoiser=Skipping)
    assert caught.value.input == "model"


@pytest.mark.slow
def test_clean_preset_ends_without_noise_and_lets_the_negative_fade():
    clean, paper = settings(preset="clean"), settings()
    assert schedule_of(clean).sigmas[-1] == 0
    assert paper.uncond_weights()[0] == clean.uncond_weights()[-1] == 0.75
    assert paper.uncond_weights()[-1] == clean.uncond_weights()[0] == 0
    a, b = run(noise(), clean)[1], run(noise(), paper)[1]
    assert (a - b).norm() / b.norm() > 0.05


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"steps": 0}, "steps"),
        ({"steps": 1000}, "steps"),
        ({"attention_injection": 1.5}, "attention_injection"),
        ({"feature_injection": float("nan")}, "feature_injection"),
        ({"cfg": float("inf")}, "cfg"),
        ({"negative_schedule": "cosine"}, "negative_schedule"),
        ({"negative_strength": -1}, "negative_strength"),
        ({"preset": "best"}, "preset"),
    ],
)
def test_wrong_settings_are_named(changed, named):
    with pytest.raises(InputError) as caught:
        TwinSettings(**changed)
    assert caught.value.input == named


def test_most_steps():
    timesteps, sigmas = ddim_schedule(TABLE, 999)
    assert len(timesteps) == 999 and (timesteps[0], timesteps[-1]) == (999, 1)
    assert len(sigmas) == 1000
    with pytest.raises(InputError, match="between 1 and 49"):
        ddim_schedule(TABLE[::20], 50)
