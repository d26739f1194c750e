"""The whole text path without ComfyUI, on tiny networks: prompt -> twins -> mask -> flow -> loop -> file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from t2c_core.__main__ import main
from t2c_core.errors import InputError
from t2c_core.loop.read import read_frames
from t2c_core.twin.generate import generate_twins
from t2c_core.twin.load import load_models
from t2c_core.twin.settings import TwinSettings
from tests.core.tiny_checkpoints import checkpoint

ROOT = Path(__file__).parents[2]
PROMPT = "a waterfall falling down hills, painting"
TEXTS = {"uncond": "", "cond": PROMPT, "negative": PROMPT, "twin": "waterfall, hills"}


@pytest.fixture(scope="module", params=["sd1", "sd2", "sdxl"])
def file(request, tmp_path_factory):
    return checkpoint(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return load_models(checkpoint("sd1", tmp_path_factory.mktemp("models")))


def arguments(file: Path, *more: str) -> list[str]:
    few = ["--steps", "3", "--width", "128", "--height", "96", "--frames", "5"]
    return ["generate", PROMPT, "--checkpoint", str(file), *few, *more]


def test_from_prompt_to_file(file, tmp_path):
    output = tmp_path / "loop.webp"
    assert main([*arguments(file), "-o", str(output), "--quality", "100", "--previews"]) == 0
    frames = np.stack(list(read_frames(output)))
    assert frames.shape == (5, 96, 128, 3)
    assert np.abs(np.diff(frames.astype(int), axis=0)).max() > 8, "something moves"
    artistic, realistic = (np.array(Image.open(tmp_path / f"loop_{name}.png")) for name in ("artistic", "realistic"))
    assert artistic.shape == realistic.shape == (96, 128, 3)
    assert np.abs(artistic.astype(int) - realistic).mean() > 1
    assert np.abs(frames[0].astype(int) - artistic).mean() < 6, "the artistic one is animated"


def test_as_a_command_twice_the_same(models, tmp_path):
    file = checkpoint("sd1", tmp_path)
    for name in ("a.gif", "b.gif"):
        command = [sys.executable, "-m", "t2c_core", *arguments(file), "-o", str(tmp_path / name)]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


def test_another_seed_another_picture(models):
    settings = TwinSettings(steps=2)
    first, same, other = (generate_twins(models, TEXTS, settings, size=(64, 64), seed=s) for s in (1, 1, 2))
    assert torch.equal(first.artistic, same.artistic) and torch.equal(first.realistic, same.realistic)
    assert not torch.equal(first.artistic, other.artistic)
    assert first.attention.words[:2] == ("a", "waterfall")
    assert first.attention.grid == (4, 4)


def test_a_picture_stays_what_it_is(models):
    picture = torch.rand(1, 75, 101, 3)
    counted = []
    twins = generate_twins(models, TEXTS, TwinSettings(steps=3), picture=picture, on_step=counted.append)
    assert torch.equal(twins.artistic, picture)
    assert twins.realistic.shape == picture.shape
    assert counted == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--width", "100"], "width: is 100"),
        (["--steps", "0"], "steps: is 0"),
        (["--direction", "nowhere"], "direction: 'nowhere'"),
        (["--vocabulary", "lava"], "vocabulary: has no word of the prompt"),
        (["--clusters", "0"], "clusters: is 0"),
        (["--checkpoint", "none.safetensors"], "checkpoint: 'none.safetensors' does not exist"),
        (["--format", "mp4", "--cfg", "nan"], "source_scale"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(models, tmp_path, capsys, more, said):
    output = tmp_path / "loop.webp"
    file = checkpoint("sd1", tmp_path)
    tokenizer = ["--tokenizer", str(tmp_path / "tokenizer")]
    assert main([*arguments(file), *tokenizer, "-o", str(output), *more]) == 2
    assert said in capsys.readouterr().err
    assert not output.exists()


def test_a_prompt_in_which_nothing_moves(tmp_path, capsys):
    file = checkpoint("sd1", tmp_path)
    assert main(["generate", "a castle", "--checkpoint", str(file), "-o", str(tmp_path / "x.gif")]) == 2
    assert "direction: is not given" in capsys.readouterr().err


def test_too_small_a_picture(models):
    with pytest.raises(InputError) as caught:
        generate_twins(models, TEXTS, TwinSettings(steps=2), picture=torch.rand(1, 4, 30, 3))
    assert caught.value.input == "picture"
