"""Loading checkpoints without a network, and what is said of files that cannot be used."""

from __future__ import annotations

import json
import math
import pathlib
import pickle
import shutil
import subprocess
import sys

import huggingface_hub
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from t2c_core.errors import InputError
from t2c_core.twin.diffusers_adapter import injection_layers
from t2c_core.twin.latents import decode, encode_image
from t2c_core.twin.load import encode_text, load_models, prompt_words
from tests.core import tiny_checkpoints
from tests.core.reference_unet import reference_unet
from tests.core.tiny_checkpoints import CONTEXT, checkpoint, tiny_vocabulary, weights, write_tokenizer

ROOT = pathlib.Path(__file__).parents[2]
pytestmark = pytest.mark.usefixtures("no_network")
FAMILIES = ["sd1", "sd2", "sdxl"]


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request, tmp_path_factory):
    return load_models(checkpoint(request.param, tmp_path_factory.mktemp(request.param)))


def test_family_and_parts(loaded):
    width = {"sd1": CONTEXT, "sd2": CONTEXT, "sdxl": CONTEXT}[loaded.family]
    conditioning = encode_text(loaded, "a waterfall falling down", (64, 96))
    assert conditioning.context.shape == (1, 77, width)
    assert torch.isfinite(conditioning.context).all()
    latent = torch.randn(1, 4, 8, 12)
    out = loaded.unet(latent, 500, conditioning.context, added_cond_kwargs=dict(conditioning.added) or None).sample
    assert out.shape == latent.shape and torch.isfinite(out).all() and out.std() > 0.01
    image = decode(loaded.vae, loaded.device, [latent])[0]
    assert image.shape == (1, 64, 96, 3) and image.min() >= 0 and image.max() <= 1
    assert encode_image(loaded.vae, loaded.device, image).shape == latent.shape
    if loaded.family == "sdxl":
        assert conditioning.added["time_ids"].tolist() == [[64, 96, 0, 0, 64, 96]]
        assert conditioning.added["text_embeds"].shape == (1, CONTEXT // 2)
        assert injection_layers(loaded.unet).feature == 1
    else:
        assert injection_layers(loaded.unet).feature == 4


def test_weights_are_the_reference_s(loaded):
    """The single-file names of SD 1.x lead to the very UNet whose vectors came from the published code."""
    if loaded.family != "sd1":
        pytest.skip("the reference is a 1.x UNet")
    ours, theirs = loaded.unet.state_dict(), reference_unet().state_dict()
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def text_states(own, start, names, layers, ids, act):
    """Hidden states [77, width] before the first layer and after each: pre-norm, causal, 64 numbers per head.

    names: of the two embeddings; in a layer, of attention, first norm, attention's output, second norm, linear maps.
    """
    token, position, inside, *parts = names
    x = own[token][ids] + own[position]
    states, width = [x], x.shape[1]
    later = torch.full((77, 77), -math.inf).triu(1)
    for i in range(layers):
        norm1, attention, norm2, up, down = (
            (own[f"{start}.{i}.{part}.weight"], own[f"{start}.{i}.{part}.bias"]) for part in parts
        )
        if f"{start}.{i}.{inside}.in_proj_weight" in own:
            projection = [own[f"{start}.{i}.{inside}.in_proj_{kind}"] for kind in ("weight", "bias")]
        else:
            sides = [f"{start}.{i}.{inside}.{side}_proj" for side in "qkv"]
            projection = [torch.cat([own[f"{side}.{kind}"] for side in sides]) for kind in ("weight", "bias")]
        h = F.linear(F.layer_norm(x, (width,), *norm1), *projection)
        q, k, v = h.unflatten(-1, (3, width // 64, 64)).permute(1, 2, 0, 3)
        mixed = (q @ k.mT / 8 + later).softmax(-1) @ v
        x = x + F.linear(mixed.transpose(0, 1).flatten(1), *attention)
        x = x + F.linear(act(F.linear(F.layer_norm(x, (width,), *norm2), *up)), *down)
        states.append(x)
    return states


def quick_gelu(x):
    return x * (1.702 * x).sigmoid()


CLIP_NAMES = [f"text_model.embeddings.{kind}_embedding.weight" for kind in ("token", "position")]
CLIP_NAMES += ["self_attn", "layer_norm1", "self_attn.out_proj", "layer_norm2", "mlp.fc1", "mlp.fc2"]
OPEN_CLIP_NAMES = ["token_embedding.weight", "positional_embedding"]
OPEN_CLIP_NAMES += ["attn", "ln_1", "attn.out_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"]


@pytest.mark.parametrize("family", FAMILIES)
def test_text_features_are_those_of_the_definition(tmp_path, monkeypatch, family):
    """1.x: normed last layer; 2.x: normed last but one; XL: both last but one, and the projected end of the text."""
    monkeypatch.setattr(tiny_checkpoints, "CONTEXT", 256)
    given = encode_text(load_models(checkpoint(family, tmp_path)), "lake, river", (64, 96))
    every = weights(family)
    pieces = tiny_vocabulary()[0]
    text = [pieces[p] for p in ("<|startoftext|>", "lake</w>", ",</w>", "river</w>", "<|endoftext|>")]
    by_end, by_zero = (text + [filler] * (77 - len(text)) for filler in (text[-1], 0))

    def clip(prefix, layers):
        own = {k.removeprefix(prefix): v for k, v in every.items() if k.startswith(prefix)}
        norm = (own["text_model.final_layer_norm.weight"], own["text_model.final_layer_norm.bias"])
        return text_states(own, "text_model.encoder.layers", CLIP_NAMES, layers, by_end, quick_gelu), norm

    def open_clip(prefix):
        own = {k.removeprefix(prefix): v for k, v in every.items() if k.startswith(prefix)}
        norm = (own["ln_final.weight"], own["ln_final.bias"])
        states = text_states(own, "transformer.resblocks", OPEN_CLIP_NAMES, 3, by_zero, F.gelu)
        return states, norm, own.get("text_projection")

    if family == "sd1":
        states, norm = clip("cond_stage_model.transformer.", 2)
        expected = F.layer_norm(states[-1], (256,), *norm)
    elif family == "sd2":
        states, norm, _ = open_clip("cond_stage_model.model.")
        expected = F.layer_norm(states[-2], (256,), *norm)
    else:
        first, _ = clip("conditioner.embedders.0.transformer.", 3)
        second, norm, projection = open_clip("conditioner.embedders.1.model.")
        expected = torch.cat([first[-2], second[-2]], -1)
        pooled = F.layer_norm(second[-1][len(text) - 1], (128,), *norm) @ projection
        assert (given.added["text_embeds"][0] - pooled).abs().max() < 1e-5
    assert expected.std() > 0.3
    assert (given.context[0] - expected).abs().max() < 1e-5


def test_words(loaded):
    assert prompt_words(loaded, "A waterfall, the river and waterfall")[:3] == [
        ("a", [1]),
        ("waterfall", [2, 9]),
        ("the", [4]),
    ]


def test_long_prompts_are_cut(loaded):
    long = encode_text(loaded, "river " * 200, (64, 64)).context
    assert torch.equal(long, encode_text(loaded, "river " * 300, (64, 64)).context)


@pytest.mark.parametrize("suffix", [".ckpt", ".pt"])
def test_pickled_tensors_load_and_programs_do_not(tmp_path, suffix):
    path = checkpoint("sd1", tmp_path).with_suffix(suffix)
    torch.save({"state_dict": load_file(tmp_path / "sd1.safetensors"), "epoch": 3}, path)
    assert load_models(path).family == "sd1"

    class Program:
        def __reduce__(self):
            return (print, ("a program ran",))

    torch.save({"state_dict": {"x": Program()}}, path)
    with pytest.raises(InputError, match="its program is not run"):
        load_models(path)
    path.write_bytes(pickle.dumps(Program()))
    with pytest.raises(InputError):
        load_models(path)


def lora(all_weights):
    return {"lora_unet_down_blocks_0.lora_down.weight": torch.zeros(4, 4)}


def refiner():
    all_weights = without("conditioner.embedders.0.")(weights("sdxl"))
    return {k.replace("embedders.1.model", "embedders.0.model"): v for k, v in all_weights.items()}


def without(*starts):
    return lambda w: {k: v for k, v in w.items() if not k.startswith(starts)}


def changed(key, value):
    return lambda w: {**w, key: value}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lora, "a LoRA"),
        (lambda w: {"double_blocks.0.img_attn.qkv.weight": torch.zeros(3)}, "a Flux model"),
        (lambda w: {"joint_blocks.0.x.weight": torch.zeros(3)}, "an SD3 model"),
        (lambda w: {k: v for k, v in w.items() if k.startswith("first_stage_model.")}, "a VAE"),
        (lambda w: {"something": torch.zeros(3)}, "no checkpoint of a UNet"),
        (lambda w: weights("sd1", channels=9), "9 channels"),
        (lambda w: refiner(), "the refiner"),
        (lambda w: {**weights("sd2"), "model.diffusion_model.label_emb.0.0.weight": torch.zeros(128, 64)}, "an unCLIP"),
        (changed("model.diffusion_model.out.2.scale_weight", torch.ones(1)), "quantised"),
        (without("cond_stage_model."), "no text encoder"),
        (without("first_stage_model."), "no VAE"),
        (without("model.diffusion_model.middle_block.0.in_layers"), "weights are missing"),
        (without("model.diffusion_model.output_blocks.5"), "checkpoint"),
        (without("first_stage_model.decoder.mid"), "checkpoint"),
        (without("cond_stage_model.transformer.text_model.embeddings"), "text encoder"),
        (changed("model.diffusion_model.out.2.bias", torch.full((4,), torch.nan)), "NaN"),
        (changed("model.diffusion_model.out.2.bias", torch.zeros(7)), "misshapen"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path, change, said):
    path = checkpoint("sd1", tmp_path)
    save_file({k: v.contiguous() for k, v in change(weights("sd1")).items()}, path)
    with pytest.raises(InputError) as caught:
        load_models(path)
    assert caught.value.input == "checkpoint"
    assert said in str(caught.value)


def test_files_that_are_damaged_or_missing(tmp_path):
    path = checkpoint("sd1", tmp_path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"not a checkpoint at all" * 99):
        path.write_bytes(content)
        with pytest.raises(InputError, match="cut off or no checkpoint"):
            load_models(path)
    with pytest.raises(InputError, match="does not exist"):
        load_models(tmp_path / "none.safetensors", tokenizer=tmp_path / "tokenizer")
    with pytest.raises(InputError, match=r"it lacks model_index\.json"):
        load_models(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_short_numbers_load_as_what_they_are(tmp_path, dtype):
    path = checkpoint("sd1", tmp_path)
    short = {key: value.to(dtype) for key, value in weights("sd1").items()}
    save_file(short, path)
    unet = load_models(path).unet
    assert unet.dtype == torch.float32
    assert torch.equal(unet.conv_out.weight, short["model.diffusion_model.out.2.weight"].float())


PEAK = """
import re, sys
from pathlib import Path
import torch
from t2c_core.twin.load import load_models

def resident(kind):
    return 1024 * int(re.search(kind + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

load_models(Path(sys.argv[1]))
before = resident("VmRSS")
load_models(Path(sys.argv[2]), dtype=torch.float16)
print(resident("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not pathlib.Path("/proc/self/status").exists(), reason="reads /proc")
def test_half_precision_is_loaded_without_a_second_copy(tmp_path, monkeypatch):
    """Peak memory over the size of an fp16 file: 2.9 when the UNet went through float32, now 1.3."""
    tiny, large = (tmp_path / name for name in ("tiny", "large"))
    tiny.mkdir(), large.mkdir()
    first = checkpoint("sd1", tiny)
    monkeypatch.setattr(tiny_checkpoints, "WIDTH", 64)
    monkeypatch.setattr(tiny_checkpoints, "weight", lambda key, shape: torch.ones(shape, dtype=torch.float16))
    second = checkpoint("sd1", large)
    command = [sys.executable, "-c", PEAK, str(first), str(second)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert int(result.stdout) < 1.8 * second.stat().st_size


def test_an_unknown_prediction_is_refused(tmp_path):
    with pytest.raises(InputError) as caught:
        load_models(checkpoint("sd1", tmp_path), prediction="sample")
    assert caught.value.input == "prediction"


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A checkpoint, and no tokenizer in any of the usual places; the places are below the returned folder."""
    (tmp_path / "models").mkdir()
    path = checkpoint("sd1", tmp_path / "models")
    shutil.rmtree(path.parent / "tokenizer")
    monkeypatch.setenv("T2C_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path / "comfyui"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return path


def test_no_tokenizer_says_where_to_get_one(nowhere, tmp_path):
    with pytest.raises(InputError) as caught:
        load_models(nowhere)
    assert caught.value.input == "tokenizer" and "sd1_tokenizer" in str(caught.value)
    with pytest.raises(InputError, match=r"vocab\.json"):
        load_models(nowhere, tokenizer=tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        load_models(tmp_path / "none.safetensors")


CACHED = "hub/models--openai--clip-vit-large-patch14"


@pytest.mark.slow
@pytest.mark.parametrize(
    "place",
    [
        "models/tokenizer",
        "comfyui/comfy/sd1_tokenizer",
        "run/ComfyUI/comfy/sd1_tokenizer",
        f"{CACHED}/snapshots/{'a' * 40}",
    ],
)
def test_a_tokenizer_is_found_in_each_usual_place(nowhere, tmp_path, place):
    write_tokenizer(tmp_path / place)
    if place.startswith(CACHED):
        (tmp_path / CACHED / "refs").mkdir()
        (tmp_path / CACHED / "refs" / "main").write_text("a" * 40)
    assert prompt_words(load_models(nowhere), "river")[0] == ("river", [1])


def test_tokenizers_that_do_not_fit_are_named(nowhere, tmp_path):
    folder = tmp_path / "other"
    write_tokenizer(folder)
    pieces = json.loads((folder / "vocab.json").read_text())
    more = {**pieces, "another</w>": len(pieces)}
    gpt = {piece: i for piece, i in pieces.items() if piece != "<|startoftext|>"}
    for content, said in ((json.dumps(more), "another model"), (json.dumps(gpt), "startoftext"), ("{", "be read")):
        (folder / "vocab.json").write_text(content)
        with pytest.raises(InputError, match=said) as caught:
            load_models(nowhere, tokenizer=folder)
        assert caught.value.input == "tokenizer"


@pytest.mark.slow
def test_v_models_of_2x_are_recognised(tmp_path):
    path = checkpoint("sd2", tmp_path)
    key = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
    for spread, expected in ((0.02, "epsilon"), (0.2, "v_prediction")):
        save_file({**weights("sd2"), key: spread * torch.randn(32)}, path)
        assert load_models(path).prediction == expected
    assert load_models(path, prediction="epsilon").prediction == "epsilon"
