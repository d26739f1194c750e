"""The twin stage in a real server: vectors, every family, the whole graph, cancelling, and the model afterwards."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from scripts.errors import NodeFailed, RunInterrupted
from tests.comfyui.pack.conftest import Link
from tests.vectors import randn, twin_variants
from tests.vectors import vectors as vectors_of

pytestmark = pytest.mark.comfyui

PROMPT = "a large waterfall falling from hills under clouds in the style of Leonid Afremov"
OFF = {"attention_injection": 0, "feature_injection": 0}


@pytest.fixture(scope="module")
def vectors() -> Mapping[str, np.ndarray]:
    return vectors_of("sampler")


@pytest.fixture
def latents(graph: Any, run_graph: Any, vectors: Any) -> Any:
    """``latents(family='sd1', noise=, **inputs)`` -> what T2CTestTwinLatents shows."""

    def run(family: str = "sd1", settings: dict[str, Any] | None = None, noise: Any = None, **inputs: Any) -> Any:
        loader = Link(graph.add("T2CTestTinyModel", family=family))
        z = vectors["z_enc"] if noise is None else noise
        node = graph.add(
            "T2CTestTwinLatents",
            model=loader,
            settings=json.dumps(settings or {"steps": 10}),
            noise=json.dumps(z.tolist()),
            **inputs,
        )
        shown = run_graph(graph.nodes).outputs[node]["t2c"][0]
        return json.loads(shown)

    return run


# The last one differs from another in the published code only.
VARIANTS = {name: made for name, made in twin_variants().items() if "quirk" not in name}


@pytest.mark.parametrize("name", VARIANTS)
def test_vectors_through_comfyui(latents: Any, vectors: Any, name: str) -> None:
    settings = dict(VARIANTS[name])
    shown = latents(negative=settings.pop("negative", "source"), settings=settings)
    source, twin = np.array(shown["latents"], np.float32)
    expected = vectors["odd_src_latent" if name.startswith("odd") else "src_latent"]
    assert np.abs(source - expected[0]).max() < 2e-3
    assert np.abs(twin - vectors[name][0]).max() < 2e-3
    assert shown["held"] == 0, "features are let go"
    if name == "twin_latent":
        expected = vectors_of("attnmask")["model_affinity_8x8"]
        assert np.abs(np.array(shown["affinity"]) - expected).max() < 1e-5


@pytest.mark.parametrize(
    ("vector", "attention", "feature"),
    [
        ("out_plain", 0, 0),
        ("out_inj_all", 1, 1),
        ("out_inj_attn", 1, 0),
        ("out_inj_feat", 0, 1),
        ("out_inj_all_b4", 1, 1),
        ("out_plain_ns", 0, 0),
        ("out_inj_all_ns", 1, 1),
    ],
)
def test_injected_forward(graph: Any, run_graph: Any, vector: str, attention: float, feature: float) -> None:
    file = vectors_of("unet")
    expected, x, context = file[vector], file["x"], file["ctx"]
    batch, _, height, width = expected.shape
    if vector.endswith("_b4"):
        x, context = randn("input/unet/x4", expected.shape), randn("input/unet/ctx4", (batch, 77, 64))
    if vector.endswith("_ns"):
        x = randn("input/unet/x_ns", expected.shape)
    given = {"x": x.tolist(), "context": context.tolist(), "attention": attention, "feature": feature}
    given |= {"t": int(file["t"]), "folder": f"inj{height}" if height == width else f"inj{height}x{width}"}
    loader = Link(graph.add("T2CTestTinyModel", family="sd1"))
    node = graph.add("T2CTestInjectedForward", model=loader, inputs=json.dumps(given))
    out = json.loads(run_graph(graph.nodes).outputs[node]["t2c"][0])
    assert np.abs(np.array(out) - expected).max() < 5e-5


@pytest.mark.parametrize("family", ["sd1", "sd2v"])
def test_lockstep_two_passes_and_low_memory_agree(latents: Any, family: str) -> None:
    lockstep = latents(family)
    assert lockstep["batch_sizes"] == [2, 3]
    reference = np.array(lockstep["latents"])
    two = latents(family, two_passes=True)
    assert np.abs(np.array(two["latents"]) - reference).max() < 1e-5
    lean = latents(family, one_by_one=True)
    assert lean["batch_sizes"] == [1], "prompts were computed one by one"
    assert np.abs(np.array(lean["latents"]) - reference).max() < 2e-3
    assert np.abs(np.array(lean["affinity"]) - np.array(lockstep["affinity"])).max() < 1e-5


def test_a_batch_of_three_is_three_runs(latents: Any) -> None:
    noise = np.random.default_rng(0).normal(size=(3, 4, 8, 8)).astype(np.float32)
    many = np.array(latents(noise=noise)["latents"])
    for i in range(3):
        one = np.array(latents(noise=noise[i : i + 1])["latents"])
        assert np.abs(one[0] - many[i]).max() < 2e-3
        assert np.abs(one[1] - many[3 + i]).max() < 2e-3


def sampler(graph: Any, family: str = "sd1", dtype: str = "float32", **inputs: Any) -> tuple[Link, Link]:
    """(loader, twin sampler) with a small picture and few steps."""
    loader = Link(graph.add("T2CTestTinyModel", family=family, dtype=dtype))
    parts = {"model": loader, "clip": (loader, 1), "vae": (loader, 2)}
    values = {"prompt": PROMPT, "width": 128, "height": 96, "steps": 4, **parts, **inputs}
    return loader, Link(graph.add("TwinPromptSampler", **values))


def saved(files: list[Path], prefix: str) -> list[np.ndarray]:
    from PIL import Image

    return [np.asarray(Image.open(f).convert("RGB")) for f in sorted(files) if f.name.startswith(prefix)]


@pytest.mark.parametrize(
    ("family", "dtype"), [("sd1", "float32"), ("sd2v", "float32"), ("sdxl", "float32"), ("sd1", "bfloat16")]
)
def test_from_prompt_to_file(graph: Any, run_graph: Any, read: Any, family: str, dtype: str) -> None:
    _, twins = sampler(graph, family, dtype)
    segmenter = graph.add(
        "RealImageSegmenter", image=(twins, 1), attention=(twins, 2), method="attention", vocabulary="waterfall"
    )
    flow = graph.add(
        "FlowPredictor", image=(twins, 1), mask=(segmenter, 0), direction="from prompt", prompt="falling downwards"
    )
    warp = graph.add("EulerianWarp", image=twins, flow=(flow, 0), frames=6)
    graph.add("SaveCinemagraph", warp=(warp, 0), filename_prefix=f"twins/{family}{dtype}", format="webp", quality=100)
    first = run_graph(graph.nodes)
    frames, _ = read(first.files[0])
    assert frames.shape == (6, 96, 128, 3)
    assert np.abs(np.diff(frames.astype(int), axis=0)).max() > 8, "something moves"
    # Nothing is computed again for an unchanged graph.
    assert set(run_graph(graph.nodes).cached) == set(graph.nodes)


def test_the_model_is_unpatched_afterwards(graph: Any, run_graph: Any) -> None:
    loader, twins = sampler(graph)
    positive = graph.add("CLIPTextEncode", clip=(loader, 1), text="a lake")
    empty = graph.add("EmptyLatentImage", width=64, height=64)

    def plain(prompt: str, prefix: str) -> None:
        options = {"positive": (prompt, 0), "negative": (positive, 0), "latent_image": (empty, 0)}
        sampled = graph.add("KSampler", model=loader, seed=5, steps=2, **options)
        image = graph.add("VAEDecode", samples=(sampled, 0), vae=(loader, 2))
        graph.add("SaveImage", images=(image, 0), filename_prefix=prefix)

    plain(positive, "before")
    before = saved(run_graph(graph.nodes).files, "before")
    graph.add("SaveImage", images=(twins, 1), filename_prefix="twin")
    assert saved(run_graph(graph.nodes).files, "twin")
    # Another conditioning with the same effect, so that the sample does not come from the cache.
    whole = graph.add("ConditioningSetTimestepRange", conditioning=(positive, 0), start=0.0, end=1.0)
    plain(whole, "after")
    result = run_graph(graph.nodes)
    assert loader in result.cached and whole not in result.cached
    after = saved(result.files, "after")
    assert len(before) == len(after) == 1
    assert before[0].std() > 5
    assert np.array_equal(before[0], after[0])


def test_cancelled_in_mid_sampling(graph: Any, server: Any, run_graph: Any) -> None:
    _, twins = sampler(graph, steps=400)
    graph.add("SaveImage", images=(twins, 1), filename_prefix="cancelled")
    began = time.monotonic()
    seen = []

    def stop(progress: Any) -> None:
        if progress.class_type == "TwinPromptSampler" and progress.value >= 3:
            seen.append(progress.value)
            server.client.interrupt()

    with pytest.raises(RunInterrupted):
        run_graph(graph.nodes, on_progress=stop)
    assert seen and seen[-1] < 100
    assert time.monotonic() - began < 60
    # The next run is a normal one.
    graph.nodes[twins]["inputs"]["steps"] = 3
    assert saved(run_graph(graph.nodes).files, "cancelled")


def test_progress_counts_the_steps(graph: Any, run_graph: Any) -> None:
    _, twins = sampler(graph, steps=5)
    graph.add("PreviewImage", images=(twins, 0))
    seen = []
    run_graph(
        graph.nodes,
        on_progress=lambda p: seen.append((p.value, p.total)) if p.class_type == "TwinPromptSampler" else None,
    )
    assert (5, 5) in seen and (2, 5) in seen


def test_a_picture_gets_a_twin_and_stays_what_it_is(graph: Any, run_graph: Any, picture: str) -> None:
    loaded = Link(graph.add("LoadImage", image=picture))
    small = Link(graph.add("ImageScale", image=loaded, width=101, height=75, upscale_method="area", crop="disabled"))
    _, twins = sampler(graph, image=small, prompt="a stream")
    graph.add("SaveImage", images=small, filename_prefix="given")
    graph.add("SaveImage", images=twins, filename_prefix="artistic")
    graph.add("SaveImage", images=(twins, 1), filename_prefix="realistic")
    files = run_graph(graph.nodes).files
    given, artistic, realistic = (saved(files, name)[0] for name in ("given", "artistic", "realistic"))
    assert np.array_equal(given, artistic)
    assert realistic.shape == given.shape == (75, 101, 3)
    assert np.abs(realistic.astype(int) - given).mean() > 5


def test_a_batch_comes_out_as_single_pairs(graph: Any, run_graph: Any) -> None:
    empty = graph.add("EmptyLatentImage", width=64, height=72, batch_size=3)
    _, twins = sampler(graph, latent=(empty, 0))
    graph.add("SaveImage", images=twins, filename_prefix="many")
    pictures = saved(run_graph(graph.nodes).files, "many")
    assert [p.shape for p in pictures] == [(72, 64, 3)] * 3
    assert not np.array_equal(pictures[0], pictures[1])


def test_patches_of_other_packs_stay_in_force(graph: Any, run_graph: Any) -> None:
    loader, twins = sampler(graph)
    patched = Link(graph.add("T2CTestPatchedModel", model=loader))
    again = dict(graph.nodes[twins]["inputs"], model=[patched, 0])
    other = Link(graph.add("TwinPromptSampler", **again))
    graph.add("SaveImage", images=twins, filename_prefix="plain")
    graph.add("SaveImage", images=other, filename_prefix="changed")
    files = run_graph(graph.nodes).files
    plain, changed = saved(files, "plain")[0], saved(files, "changed")[0]
    assert np.abs(plain.astype(int) - changed).max() > 0


def refused(graph: Any, run_graph: Any, **inputs: Any) -> str:
    _, twins = sampler(graph, **inputs)
    graph.add("PreviewImage", images=(twins, 0))
    with pytest.raises(NodeFailed) as caught:
        run_graph(graph.nodes)
    assert caught.value.class_type == "TwinPromptSampler"
    assert caught.value.message.startswith("Twin Prompt Sampler: ")
    return caught.value.message


def test_other_families_are_refused_by_name(graph: Any, run_graph: Any) -> None:
    message = refused(graph, run_graph, model=Link(graph.add("T2CTestPixArt")))
    assert "model: " in message and "'PixArt'" in message
    assert all(name in message for name in ("Stable Diffusion 1.x", "2.x", "XL", "Flux.2", "Z-Image", "Qwen-Image"))


def test_an_inpainting_model_is_refused(graph: Any, run_graph: Any) -> None:
    inpainting = Link(graph.add("T2CTestTinyModel", family="sd1", in_channels=9))
    assert "9 channels" in refused(graph, run_graph, model=inpainting)


def test_a_clip_of_another_family_is_refused(graph: Any, run_graph: Any) -> None:
    wide = Link(graph.add("T2CTestTinyModel", family="sd1", context=96))
    assert "clip: " in refused(graph, run_graph, clip=(wide, 1))


def test_a_picture_and_a_latent_at_once_are_refused(graph: Any, run_graph: Any, picture: str) -> None:
    loaded = Link(graph.add("LoadImage", image=picture))
    empty = graph.add("EmptyLatentImage", width=64, height=64)
    assert "latent: " in refused(graph, run_graph, image=loaded, latent=(empty, 0))


def test_nothing_to_paint_is_refused(graph: Any, run_graph: Any) -> None:
    assert "prompt: " in refused(graph, run_graph, prompt="  ")


def test_both_pictures_are_previewed_while_they_are_painted(graph: Any, server: Any) -> None:
    """What the page gets over its websocket: pictures twice as wide as one, artistic left, realistic right."""
    from PIL import Image

    _, twins = sampler(graph, steps=5, width=128, height=64)
    graph.add("PreviewImage", images=(twins, 0))

    async def follow() -> list[bytes]:
        found: list[bytes] = []
        address = f"{server.url}/ws?clientId=previews"
        async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
            body = {"prompt": graph.nodes, "client_id": "previews", "extra_data": {"preview_method": "latent2rgb"}}
            prompt = (await (await session.post(f"{server.url}/prompt", json=body)).json())["prompt_id"]
            async for message in socket:
                if message.type == aiohttp.WSMsgType.BINARY:
                    found.append(message.data)
                    continue
                event = json.loads(message.data)
                if event["type"] in ("execution_success", "execution_error") and event["data"]["prompt_id"] == prompt:
                    break
        return found

    shown = []
    for data in asyncio.run(asyncio.wait_for(follow(), 120)):
        start = data.find(b"\xff\xd8\xff")
        if start >= 0:
            shown.append(np.asarray(Image.open(io.BytesIO(data[start:])).convert("RGB")))
    assert len(shown) >= 3
    for picture in shown:
        assert picture.shape[1] == 4 * picture.shape[0], "two pictures of 2:1 side by side"
    half = shown[-1].shape[1] // 2
    assert np.abs(shown[-1][:, :half].astype(int) - shown[-1][:, half:]).mean() > 2
