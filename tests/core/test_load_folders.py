"""Diffusers' folders: the same model as its single file, and what is said of folders that cannot be used."""

from __future__ import annotations

import json
import pathlib
import shutil

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from t2c_core.errors import InputError
from t2c_core.twin.load import encode_text, load_models
from tests.core.tiny_checkpoints import checkpoint

pytestmark = pytest.mark.usefixtures("no_network")


def saved(family, tmp_path, **how):
    """The model of a tiny single file, and a diffusers folder made of it."""
    single = load_models(checkpoint(family, tmp_path))
    folder = tmp_path / "folder"
    single.unet.save_pretrained(folder / "unet", **how)
    single.vae.save_pretrained(folder / "vae", **how)
    for encoder, name in zip(single.texts, ("text_encoder", "text_encoder_2"), strict=False):
        encoder.save_pretrained(folder / name, **how)
    (tmp_path / "tokenizer").rename(folder / "tokenizer")
    (folder / "model_index.json").write_text("{}")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text('{"prediction_type": "v_prediction"}')
    return single, folder


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_a_diffusers_folder_is_the_same_model(tmp_path, family):
    single, folder = saved(family, tmp_path)
    again = load_models(folder)
    assert again.family == family and again.prediction == "v_prediction"
    for text in ("a lake", "clouds"):
        a, b = (encode_text(m, text, (64, 64)).context for m in (single, again))
        assert torch.equal(a, b)
    assert all(torch.equal(a, b) for a, b in zip(single.unet.parameters(), again.unet.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(single.vae.parameters(), again.vae.parameters(), strict=True))


@pytest.mark.slow
def test_a_folder_in_half_precision_only(tmp_path):
    single, folder = saved("sd1", tmp_path, variant="fp16")
    for file in folder.rglob("*.safetensors"):
        assert ".fp16" in file.name
        save_file({key: value.half() for key, value in load_file(file).items()}, file, metadata={"format": "pt"})
    config("text_encoder", dtype="float16", torch_dtype="float16")(folder)
    again = load_models(folder)
    for module, other in ((single.unet, again.unet), (single.texts[0], again.texts[0])):
        for a, b in zip(module.parameters(), other.parameters(), strict=True):
            assert b.dtype == torch.float32 and torch.equal(a.half().float(), b)


def edited(part, change):
    def edit(folder):
        file = next((folder / part).glob("*.safetensors"))
        kept = load_file(file)
        change(kept)
        save_file(kept, file, metadata={"format": "pt"})

    return edit


def lose(end):
    return lambda kept: kept.pop(next(key for key in kept if key.endswith(end)))


def spoil(end):
    return lambda kept: kept[next(key for key in kept if key.endswith(end))].fill_(torch.nan)


def halve(part):
    def edit(folder):
        file = next((folder / part).glob("*.safetensors"))
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    return edit


def config(part, **changes):
    def edit(folder):
        file = folder / part / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    return edit


def flux(folder):
    (folder / "unet").rename(folder / "transformer")
    (folder / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: shutil.rmtree(folder / "vae"), "it lacks vae"),
        (lambda folder: (folder / "text_encoder").rename(folder / "text_encoder_2"), "the refiner"),
        (flux, "FluxPipeline"),
        (lambda folder: (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink(), "unet' cannot be read ("),
        (lambda folder: (folder / "scheduler" / "scheduler_config.json").write_text("{"), "valid JSON"),
        (lambda folder: (folder / "unet" / "config.json").write_text("{"), "unet' cannot be read ("),
        *[(halve(part), f"{part}' cannot be read (") for part in ("unet", "vae", "text_encoder")],
        (edited("unet", lose("conv_out.weight")), "weights are missing (conv_out.weight)"),
        (edited("vae", lose("decoder.conv_out.bias")), "missing (decoder.conv_out.bias)"),
        (edited("text_encoder", lose("layers.1.mlp.fc1.weight")), "layers.1.mlp.fc1.weight"),
        (edited("unet", spoil("conv_out.weight")), "NaN"),
        (edited("text_encoder", spoil("layers.1.mlp.fc1.weight")), "NaN"),
        (config("vae", block_out_channels=[32, 32, 64, 128]), "vae' cannot be read ("),
    ],
)
def test_folders_that_cannot_be_used_are_named(tmp_path, change, said):
    _, folder = saved("sd1", tmp_path)
    change(folder)
    with pytest.raises(InputError) as caught:
        load_models(folder)
    assert caught.value.input == "checkpoint"
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["unet/diffusion_pytorch_model", "text_encoder/pytorch_model"])
def test_programs_in_a_folder_are_not_run(tmp_path, name):
    class Program:
        def __reduce__(self):
            return (pathlib.Path.touch, (tmp_path / "ran",))

    _, folder = saved("sd1", tmp_path)
    file = folder / f"{name}.bin"
    next(file.parent.glob("*.safetensors")).unlink()
    torch.save({"x": Program()}, file)
    with pytest.raises(InputError, match="cannot be read"):
        load_models(folder)
    assert not (tmp_path / "ran").exists()
    torch.load(file, weights_only=False)
    assert (tmp_path / "ran").exists(), "it would have run"


@pytest.mark.slow
def test_a_folder_of_an_unclip_model_is_named(tmp_path):
    _, folder = saved("sd2", tmp_path)
    single = load_models(folder).unet
    unclip = UNet2DConditionModel.from_config(
        single.config, class_embed_type="projection", projection_class_embeddings_input_dim=64
    )
    unclip.save_pretrained(folder / "unet")
    with pytest.raises(InputError, match="class_embed_type"):
        load_models(folder)


@pytest.mark.slow
def test_a_folder_of_xl_needs_both_text_encoders(tmp_path):
    _, folder = saved("sdxl", tmp_path)
    shutil.rmtree(folder / "text_encoder_2")
    with pytest.raises(InputError, match="lacks text_encoder_2"):
        load_models(folder)
