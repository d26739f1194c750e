"""Twins from diffusion transformers in a real server: every family beside ComfyUI's own sampling."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.errors import NodeFailed
from tests.comfyui.pack.conftest import Link

pytestmark = pytest.mark.comfyui

PACK = Path(__file__).parents[1] / "test_nodes_pack" / "tiny_transformers.py"
FAMILIES = re.findall(r'^    "([^"]+)": Tiny\(', PACK.read_text(encoding="utf-8"), re.MULTILINE)
SAVED = ["Flux", "Flux schnell", "Flux.2", "SD3", "Wan", "Wan 2.2 5B", "LongCat-Image", "Krea 2", "HunyuanImage 2.1"]
PAINTING, PHOTO, LONGER = (
    "a large waterfall painting",
    "photo of some rocks",
    "photo of some rocks in very bright light",
)
OFF, FULL = {"attention_injection": 0.0}, {"attention_injection": 1.0}
SETTINGS = {"steps": 4, "cfg": 4.0, "twin_cfg": 4.0, "negative_schedule": "off", "preset": "clean"}


@pytest.fixture
def runs(graph: Any, run_graph: Any) -> Any:
    """``runs(family, plain(...), twins(...), dtype=...)`` -> what T2CTestTransformerRuns shows of each; latents [B, C,
    ...] in 'latents', those of twins in 'source' and 'twin'. The MODEL is as it was before."""

    def run(family: str, *wanted: dict[str, Any], **inputs: Any) -> list[Any]:
        node = graph.add("T2CTestTransformerRuns", family=family, runs=json.dumps(wanted), **inputs)
        shown = json.loads(run_graph(graph.nodes).outputs[node]["t2c"][0])
        assert shown["same_state"]
        for one in shown["runs"]:
            if "latents" in one:
                one["latents"] = np.array(one["latents"], np.float32)
                assert np.isfinite(one["latents"]).all() and one["latents"].std() > 0.1
                one["source"], one["twin"] = np.split(one["latents"], 2) if "held" in one else (None, None)
        return shown["runs"]

    return run


def plain(text: str, **inputs: Any) -> dict[str, Any]:
    return {"kind": "plain", "text": text, **inputs}


def twins(twin: str, injection: dict[str, Any], **inputs: Any) -> dict[str, Any]:
    return {"kind": "twins", "text": PAINTING, "twin": twin, "settings": {**SETTINGS, **injection}, **inputs}


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max())


@pytest.mark.parametrize("family", FAMILIES)
def test_both_pictures_beside_comfyuis_own(runs: Any, family: str) -> None:
    """Capturing changes nothing; without injection each picture is a plain sampling's; injection changes the twin."""
    painting, photo, off, full, same, none = runs(
        family,
        plain(PAINTING),
        plain(PHOTO),
        twins(PHOTO, OFF),
        twins(PHOTO, FULL),
        twins(PAINTING, FULL),
        twins(PHOTO, {**FULL, "first_block": 0.51, "last_block": 0.51}),
    )
    assert np.array_equal(off["source"], painting["latents"])
    assert np.array_equal(off["twin"], photo["latents"])
    assert np.array_equal(full["source"], painting["latents"])
    assert distance(same["twin"], same["source"]) < 1e-4
    assert distance(full["twin"], off["twin"]) > 1e-2
    assert np.array_equal(none["twin"], off["twin"]), "no block lies there"
    assert full["held"] == 0, "features are let go"
    rows, columns = full["grid"]
    assert len(full["rows"]) == rows * columns and np.allclose(full["rows"], 1, atol=1e-4)
    assert full["problem"] == ""


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_of_any_length(runs: Any, family: str) -> None:
    """Where positions count from the text's end they are moved: in the first block, which no text has reached yet, the
    twin's own queries and keys come back."""
    first = {**FULL, "steps": 1, "last_block": 0.0}
    off, moved, full, same = runs(
        family,
        twins(LONGER, {**OFF, "steps": 1}),
        twins(LONGER, first),
        twins(LONGER, FULL),
        twins(PAINTING, FULL),
    )
    if family in ("Z-Image", "Lumina 2", "OmniGen 2", "Boogu", "LongCat-Image"):
        assert distance(moved["twin"], off["twin"]) < 1e-3 * np.abs(off["twin"]).max()
    assert distance(full["twin"], same["twin"]) > 1e-2


@pytest.mark.parametrize("family", FAMILIES)
def test_lockstep_batches_and_odd_sizes(runs: Any, family: str) -> None:
    size = (6, 6) if family == "Kandinsky 5" else (5, 7)  # ComfyUI's own takes no odd latents
    first, ahead, many, odd, alone = runs(
        family,
        twins(PHOTO, FULL),
        twins(PHOTO, FULL, ahead=True),
        twins(PHOTO, FULL, batch=2),
        twins(PHOTO, FULL, size=size),
        plain(PAINTING, size=size),
    )
    assert distance(first["latents"], ahead["latents"]) < 1e-4
    assert many["source"].shape[0] == 2
    assert distance(many["source"][0], many["source"][1]) > 0.1
    assert distance(many["twin"][:1], first["twin"]) < 2e-3 * np.abs(first["twin"]).max()
    assert np.array_equal(odd["source"], alone["latents"])


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("family", ["Flux", "Z-Image", "Qwen-Image", "Wan", "SD3"])
def test_pictures_by_inversion(runs: Any, family: str) -> None:
    """FireFlow's round trip is nearer than Euler's; the picture stays, its twin is another's."""
    one = {**FULL, "cfg": 1.0, "twin_cfg": 1.0}
    wanted = [
        {"kind": "inverted", "text": PAINTING, "twin": PHOTO, "settings": {**SETTINGS, **one, "steps": steps}}
        for steps in (8, 20)
    ]
    few, many = runs(family, *wanted)
    assert few["fireflow"] < few["euler"] / 1.5 and many["fireflow"] < many["euler"] / 2
    assert many["fireflow"] < few["fireflow"]
    assert many["picture_changes"] < 1e-5
    assert np.isfinite(many["twin"]).all()


BY_OUTPUTS = [(family, "outputs") for family in ("Flux", "Qwen-Image", "HiDream")]


@pytest.mark.parametrize(("family", "word_maps"), [*((family, "attention") for family in FAMILIES), *BY_OUTPUTS])
def test_attention_that_looks_at_a_region_selects_it(runs: Any, family: str, word_maps: str) -> None:
    """The first word's map and the clusters are the upper half, which attention by rule looks at."""
    settings = {"steps": 2, "word_maps": word_maps}
    (shown,) = runs(family, twins(PHOTO, settings, size=(12, 16), ruled=True))
    first, second = np.array(shown["heat"])
    rows, columns = shown["grid"]
    upper = np.repeat(np.arange(rows) < rows // 2, columns).reshape(rows, columns)
    assert overlap(first > first.mean(), upper) > 0.95
    assert overlap(second > second.mean() + 1e-9, ~upper) > 0.95
    clusters = np.array(shown["clusters"])
    assert max(overlap(clusters == label, upper) for label in np.unique(clusters)) > 0.95


@pytest.mark.parametrize("family", SAVED)
def test_checkpoints_in_comfyuis_own_loader(runs: Any, family: str) -> None:
    painting, full = runs(family, plain(PAINTING), twins(PHOTO, FULL), from_file=True)
    assert np.array_equal(full["source"], painting["latents"])
    assert full["problem"] == ""


@pytest.mark.parametrize("family", ["Flux", "Z-Image", "Qwen-Image", "Wan", "SD3", "HiDream"])
def test_what_other_nodes_put_on_the_model_stays_in_force(runs: Any, family: str) -> None:
    bare, halved, halved_twins, tuned, tuned_twins = runs(
        family,
        plain(PAINTING),
        plain(PAINTING, override=True),
        twins(PHOTO, FULL, override=True),
        plain(PAINTING, lora=True),
        twins(PHOTO, FULL, lora=True),
    )
    for changed, both in ((halved, halved_twins), (tuned, tuned_twins)):
        assert distance(changed["latents"], bare["latents"]) > 1e-3
        assert np.array_equal(changed["latents"], both["source"])


@pytest.mark.parametrize("family", ["Flux", "Lumina 2", "Wan", "HiDream"])
def test_cancelled_in_mid_run_and_run_again(runs: Any, family: str) -> None:
    cancelled, again, full = runs(family, twins(PHOTO, FULL, cancel_at=2), twins(PHOTO, FULL), twins(PHOTO, FULL))
    assert cancelled == {"cancelled": True}
    assert np.array_equal(again["latents"], full["latents"])


@pytest.mark.parametrize("family", ["Flux", "Z-Image", "Qwen-Image", "Wan"])
def test_half_precision(runs: Any, family: str) -> None:
    painting, full = runs(family, plain(PAINTING), twins(PHOTO, FULL), dtype="bfloat16")
    assert np.array_equal(full["source"], painting["latents"])


def test_passes_and_memory(runs: Any) -> None:
    """Two pictures: twice the passes of one, with guidance or without; what is held is asked for."""
    one = {"cfg": 1.0, "twin_cfg": 1.0}
    guided, bare, off = runs("Qwen-Image", twins(PHOTO, FULL), twins(PHOTO, {**FULL, **one}), twins(PHOTO, OFF))
    assert guided["passes"] == 4 * (2 + 2) and bare["passes"] == 4 * (1 + 1)
    assert off["held_bytes"] == 0
    # Three blocks, 12 tokens of 64 channels, q and k, of two prompts.
    assert guided["held_bytes"] == 3 * 12 * 64 * 2 * 2 * 4
    assert guided["asked"] >= off["asked"] + guided["held_bytes"]
    assert "3 of 3 blocks" in guided["summary"] and "4 of 4 steps" in guided["summary"]
    (distilled,) = runs("Flux", twins(PHOTO, FULL))
    assert distilled["passes"] == 4 * 2 and "guidance as an input" in distilled["summary"]


@pytest.mark.parametrize("family", ["Flux", "Qwen-Image"])
def test_through_the_node(graph: Any, run_graph: Any, picture: str, family: str) -> None:
    loader = Link(graph.add("T2CTestTinyTransformer", family=family))
    sockets = {"model": loader, "clip": (loader, 1), "vae": (loader, 2), "prompt": PAINTING, "steps": 3}
    empty = graph.add("EmptyLatentImage", width=64, height=72, batch_size=2)
    for prefix, inputs in {"sized": {"width": 88, "height": 72}, "latent": {"latent": (empty, 0)}}.items():
        node = graph.add("TwinPromptSampler", **sockets, **inputs)
        graph.add("SaveImage", images=(node, 0), filename_prefix=f"{prefix}0")
        graph.add("SaveImage", images=(node, 1), filename_prefix=f"{prefix}1")
    files = {path.stem: np.asarray(Image.open(path)) for path in run_graph(graph.nodes).files if path.suffix == ".png"}
    assert {p.shape for name, p in files.items() if name.startswith("sized")} == {(72, 88, 3)}
    assert {p.shape for name, p in files.items() if name.startswith("latent")} == {(72, 64, 3)}
    assert len(files) == 6


def test_text_of_another_family_is_refused(graph: Any, run_graph: Any) -> None:
    flux = Link(graph.add("T2CTestTinyTransformer", family="Flux"))
    wan = Link(graph.add("T2CTestTinyTransformer", family="Wan"))
    node = graph.add("TwinPromptSampler", model=flux, clip=(wan, 1), vae=(flux, 2), prompt=PAINTING)
    graph.add("PreviewImage", images=(node, 0))
    with pytest.raises(NodeFailed, match="Twin Prompt Sampler: clip: makes text features of 4096 channels"):
        run_graph(graph.nodes)
