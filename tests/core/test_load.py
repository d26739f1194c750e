"""Loading checkpoints without a network, and what is said of files that cannot be used."""

from __future__ import annotations

import pickle
import socket

import pytest
import torch
from safetensors.torch import load_file, save_file

from t2c_core.errors import InputError
from t2c_core.twin.diffusers_adapter import blocks_of
from t2c_core.twin.load import decode, encode_picture, encode_text, load_models, words_of
from tests.core.reference_unet import reference_unet, weight
from tests.core.tiny_checkpoints import CONTEXT, checkpoint, clip_shapes, weights

FAMILIES = ["sd1", "sd2", "sdxl"]


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args):
        raise AssertionError("something wants to go to the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


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
    picture = decode(loaded, latent)
    assert picture.shape == (1, 64, 96, 3) and picture.min() >= 0 and picture.max() <= 1
    assert encode_picture(loaded, picture).shape == latent.shape
    if loaded.family == "sdxl":
        assert conditioning.added["time_ids"].tolist() == [[64, 96, 0, 0, 64, 96]]
        assert conditioning.added["text_embeds"].shape == (1, CONTEXT // 2)
        assert blocks_of(loaded.unet).feature == 1
    else:
        assert blocks_of(loaded.unet).feature == 4


def test_weights_are_the_reference_s(loaded):
    """The single-file names of SD 1.x lead to the very UNet whose vectors came from the published code."""
    if loaded.family != "sd1":
        pytest.skip("the reference is a 1.x UNet")
    ours, theirs = loaded.unet.state_dict(), reference_unet().state_dict()
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_text_features_of_1x_are_transformers_own(loaded):
    if loaded.family != "sd1":
        pytest.skip("one encoder is enough")
    encoder = loaded.encoders[0].model
    names = {key.removeprefix("text_model.") for key in encoder.state_dict()}
    expected = {key.removeprefix("text_model."): weight(key, shape) for key, shape in clip_shapes(CONTEXT)}
    assert names - set(expected) <= {"embeddings.position_ids"}
    for key, value in encoder.state_dict().items():
        plain = key.removeprefix("text_model.")
        if plain in expected:
            assert torch.equal(value, expected[plain])


def test_words(loaded):
    assert words_of(loaded, "A waterfall, the river and waterfall")[:3] == [
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


def without(*starts):
    return lambda w: {k: v for k, v in w.items() if not k.startswith(starts)}


def changed(key, value):
    return lambda w: {**w, key: value}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lora, "a LoRA"),
        (lambda w: {"double_blocks.0.img_attn.qkv.weight": torch.zeros(3)}, "a Flux model"),
        (lambda w: {"joint_blocks.0.x.weight": torch.zeros(3)}, "an SD3 model"),
        (lambda w: {k: v for k, v in w.items() if k.startswith("first_stage_model.")}, "a VAE"),
        (lambda w: {"something": torch.zeros(3)}, "no checkpoint of a UNet"),
        (lambda w: weights("sd1", channels=9), "9 channels"),
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


def test_no_tokenizer_says_where_to_get_one(tmp_path, monkeypatch):
    path = checkpoint("sd1", tmp_path)
    for file in (path.parent / "tokenizer").iterdir():
        file.unlink()
    monkeypatch.setenv("T2C_RUN_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    with pytest.raises(InputError) as caught:
        load_models(path)
    assert caught.value.input == "tokenizer" and "sd1_tokenizer" in str(caught.value)
    with pytest.raises(InputError, match=r"vocab\.json"):
        load_models(path, tokenizer=tmp_path)


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_a_diffusers_folder_is_the_same_model(tmp_path, family):
    single = load_models(checkpoint(family, tmp_path))
    folder = tmp_path / "folder"
    single.unet.save_pretrained(folder / "unet")
    single.vae.save_pretrained(folder / "vae")
    single.encoders[0].model.save_pretrained(folder / "text_encoder")
    if family == "sdxl":
        single.encoders[1].model.save_pretrained(folder / "text_encoder_2")
    (tmp_path / "tokenizer").rename(folder / "tokenizer")
    (folder / "model_index.json").write_text("{}")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text('{"prediction_type": "v_prediction"}')
    again = load_models(folder)
    assert again.family == family and again.prediction == "v_prediction"
    for text in ("a lake", "clouds"):
        a, b = (encode_text(m, text, (64, 64)).context for m in (single, again))
        assert torch.equal(a, b)
    assert all(torch.equal(a, b) for a, b in zip(single.unet.parameters(), again.unet.parameters(), strict=True))


def test_v_models_of_2x_are_recognised(tmp_path):
    path = checkpoint("sd2", tmp_path)
    key = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
    for spread, expected in ((0.02, "epsilon"), (0.2, "v_prediction")):
        save_file({**weights("sd2"), key: spread * torch.randn(32)}, path)
        assert load_models(path).prediction == expected
    assert load_models(path, prediction="epsilon").prediction == "epsilon"
