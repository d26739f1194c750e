"""Diffusers' folders of transformers: what is said of those that cannot be used; nothing in them is run."""

from __future__ import annotations

import json
import pathlib
import shutil

import pytest
import torch

from t2c_core.cli.main import main
from t2c_core.errors import InputError
from t2c_core.twin.generate import generate_twins
from t2c_core.twin.load import load_models
from t2c_core.twin.prompts import TwinPrompts
from t2c_core.twin.settings import TwinSettings
from tests.core.test_load_folders import config, edited, halve, lose, spoil
from tests.core.tiny_transformers import folder

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_network")]
PROMPTS, FEW = TwinPrompts("a lake", "lake"), TwinSettings(steps=1, cfg=1.0, twin_cfg=1.0)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("folders")
    return {family: folder(family, path / family) for family in ("schnell", "sd3")}


@pytest.fixture
def copy(saved, tmp_path):
    return lambda family: pathlib.Path(shutil.copytree(saved[family], tmp_path / family))


def without(*names):
    return lambda path: [shutil.rmtree(path / name) for name in names]


def of_pipeline(name):
    return lambda path: (path / "model_index.json").write_text(json.dumps({"_class_name": name}))


def other_scheduler(path):
    (path / "scheduler" / "scheduler_config.json").write_text('{"_class_name": "DDIMScheduler"}')


def longer_tokenizer(path):
    file = path / "tokenizer_2" / "tokenizer.json"
    content = json.loads(file.read_text("utf-8"))
    content["model"]["vocab"] += [[f"▁more{i}", -9.0] for i in range(9)]
    file.write_text(json.dumps(content), "utf-8")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("vae", "tokenizer_2"), "holds a FluxPipeline, but lacks vae, tokenizer_2"),
        (of_pipeline("ChromaPipeline"), "holds a ChromaPipeline"),
        (of_pipeline("FluxFillPipeline"), "diffusers folders of Flux, Stable Diffusion 3 and Qwen-Image"),
        (other_scheduler, "holds DDIMScheduler"),
        (without("scheduler"), "holds no scheduler_config.json"),
        (longer_tokenizer, "its text encoder knows only"),
        (lambda path: (path / "tokenizer_2" / "tokenizer.json").write_text("{"), "tokenizer_2' cannot be read ("),
        *[(halve(part), f"{part}' cannot be read (") for part in ("transformer", "vae", "text_encoder_2")],
        (edited("transformer", lose("proj_out.weight")), "weights are missing"),
        (edited("text_encoder_2", lose("final_layer_norm.weight")), "weights are missing"),
        (edited("transformer", spoil("x_embedder.weight")), "NaN"),
        (config("transformer", in_channels=32), "transformer' cannot be read ("),
    ],
)
def test_folders_that_cannot_be_used_are_named(copy, change, said):
    path = copy("schnell")
    change(path)
    with pytest.raises(InputError) as caught:
        load_models(path)
    assert caught.value.input == "checkpoint" and said in str(caught.value)


@pytest.mark.parametrize("part", ["transformer", "text_encoder_2"])
def test_programs_in_a_folder_are_not_run(copy, tmp_path, part):
    class Program:
        def __reduce__(self):
            return (pathlib.Path.touch, (tmp_path / "ran",))

    path = copy("schnell")
    file = next((path / part).glob("*.safetensors"))
    file.unlink()
    torch.save(
        {"x": Program()}, file.with_name(file.stem.replace("model", "pytorch_model", part != "transformer") + ".bin")
    )
    with pytest.raises(InputError, match=r"holds no [.]safetensors file"):
        load_models(path)
    assert not (tmp_path / "ran").exists()


def test_a_vae_of_another_model(copy):
    path, other = copy("schnell"), copy("sd3")
    config("vae", latent_channels=4)(path)
    config("transformer", in_channels=8, out_channels=8)(path)
    edited("transformer", lambda kept: kept.update({"x_embedder.weight": torch.ones(32, 8)}))(path)
    edited(
        "transformer", lambda kept: kept.update({"proj_out.weight": torch.ones(8, 32), "proj_out.bias": torch.ones(8)})
    )(path)
    with pytest.raises(
        InputError, match=r"takes latents of 2 channels, 1/8 of the picture's size; its VAE's have 4, 1/8"
    ):
        load_models(path)
    assert load_models(other).latent_channels == 4


def test_stable_diffusion_3_without_t5(copy):
    path = copy("sd3")
    without("text_encoder_3", "tokenizer_3")(path)
    made = generate_twins(load_models(path), PROMPTS, FEW, size=(64, 64))
    assert made.artistic.isfinite().all() and made.attention.words == ("a", "lake")


def test_positions_that_end(saved):
    with pytest.raises(InputError, match="width: is 320; this model's positions reach 256"):
        generate_twins(load_models(saved["sd3"]), PROMPTS, FEW, size=(64, 320))


@pytest.mark.parametrize("option", [("--tokenizer", "somewhere"), ("--prediction", "epsilon")])
def test_options_of_a_unet_are_refused(saved, tmp_path, capsys, option):
    given = ["generate", "a waterfall", "--checkpoint", str(saved["schnell"]), "-o", str(tmp_path / "x.gif"), *option]
    assert main(given) == 2
    assert f"{option[0][2:]}: is for Stable Diffusion 1.x to XL; Flux brings its own" in capsys.readouterr().err
