"""The whole text path without ComfyUI, on tiny networks: prompt -> twins -> mask -> flow -> loop -> file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from t2c_core.cli.main import main
from t2c_core.errors import InputError
from t2c_core.loop.read import probe, read_frames
from t2c_core.twin.generate import generate_twins
from t2c_core.twin.load import load_models
from t2c_core.twin.prompts import TwinPrompts
from t2c_core.twin.settings import TwinSettings
from tests.core.tiny_checkpoints import checkpoint

ROOT = Path(__file__).parents[2]
PROMPT = "a waterfall falling down hills, painting"
PROMPTS = TwinPrompts(PROMPT, "waterfall, hills")


@pytest.fixture(scope="module", params=["sd1", "sd2", "sdxl"])
def file(request, tmp_path_factory):
    return checkpoint(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return load_models(checkpoint("sd1", tmp_path_factory.mktemp("models")))


def arguments(file: Path, *more: str) -> list[str]:
    few = ["--steps", "3", "--width", "128", "--height", "96", "--frames", "5"]
    return ["generate", PROMPT, "--checkpoint", str(file), *few, *more]


@pytest.mark.slow
def test_from_prompt_to_file(file, tmp_path):
    output = tmp_path / "loop.webp"
    assert main([*arguments(file), "-o", str(output), "--quality", "100", "--previews"]) == 0
    frames = np.stack(list(read_frames(output)))
    assert frames.shape == (5, 96, 128, 3)
    assert np.abs(np.diff(frames.astype(int), axis=0)).max() > 8, "something moves"
    artistic, realistic = (
        np.array(Image.open(tmp_path / f"loop.webp.{name}.png")) for name in ("artistic", "realistic")
    )
    assert artistic.shape == realistic.shape == (96, 128, 3)
    assert np.abs(artistic.astype(int) - realistic).mean() > 1
    assert np.abs(frames[0].astype(int) - artistic).mean() < 6, "the artistic one is animated"


@pytest.mark.slow
def test_as_a_command_the_same(tmp_path):
    file = checkpoint("sd1", tmp_path)
    assert main([*arguments(file), "-o", str(tmp_path / "a.gif")]) == 0
    command = [sys.executable, "-m", "t2c_core", *arguments(file), "-o", str(tmp_path / "b.gif")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


@pytest.mark.slow
def test_another_seed_another_image(models):
    settings = TwinSettings(steps=2)
    first, same, other = (generate_twins(models, PROMPTS, settings, size=(64, 64), seed=s) for s in (1, 1, 2))
    assert torch.equal(first.artistic, same.artistic) and torch.equal(first.realistic, same.realistic)
    assert not torch.equal(first.artistic, other.artistic)
    assert first.attention.words[:2] == ("a", "waterfall")
    assert first.attention.grid == (4, 4)


def test_an_image_stays_what_it_is(models):
    image = torch.rand(1, 75, 101, 3)
    counted = []
    twins = generate_twins(
        models, PROMPTS, TwinSettings(steps=3), image=image, on_step=lambda *step: counted.append(step)
    )
    assert torch.equal(twins.artistic, image)
    assert twins.realistic.shape == image.shape
    assert counted == [(i, 6) for i in range(1, 7)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--width", "100"], "width: is 100"),
        (["--steps", "0"], "steps: is 0"),
        (["--direction", "nowhere"], "direction: 'nowhere'"),
        (["--vocabulary", "lava"], "vocabulary: has no word of the prompt"),
        (["--clusters", "0"], "clusters: is 0"),
        (["--checkpoint", "none.safetensors"], "checkpoint: 'none.safetensors' does not exist"),
        (["--format", "mp4", "--cfg", "nan"], "cfg: is nan"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(models, tmp_path, capsys, more, said):
    output = tmp_path / "loop.webp"
    file = checkpoint("sd1", tmp_path)
    tokenizer = ["--tokenizer", str(tmp_path / "tokenizer")]
    assert main([*arguments(file), *tokenizer, "-o", str(output), *more]) == 2
    assert said in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.slow
def test_the_words_of_direction_and_prompt_say_the_length(tmp_path):
    """The direction's number of frames counts, then what the prompt shows: the sea takes 120."""
    file, output = checkpoint("sd1", tmp_path), tmp_path / "loop.webp"
    few = ["--checkpoint", str(file), "--steps", "2", "--width", "64", "--height", "64", "-o", str(output)]
    assert main(["generate", PROMPT, *few, "--direction", "the waterfall flows down, 4 frames"]) == 0
    assert probe(output).frames == 4
    assert main(["generate", "the sea at night", *few, "--direction", "left to right"]) == 0
    assert probe(output).frames == 120
    assert main(["generate", "a rock", *few, "--vocabulary", "rock", "--direction", "the sea flows left"]) == 0
    assert probe(output).frames == 120


def test_a_prompt_in_which_nothing_moves(tmp_path, capsys):
    file = checkpoint("sd1", tmp_path)
    assert main(["generate", "a castle", "--checkpoint", str(file), "-o", str(tmp_path / "x.gif")]) == 2
    assert "direction: is not given" in capsys.readouterr().err


def test_too_small_a_image(models):
    with pytest.raises(InputError) as caught:
        generate_twins(models, PROMPTS, TwinSettings(steps=2), image=torch.rand(1, 4, 30, 3))
    assert caught.value.input == "image"


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(models, tmp_path, dtype):
    """Close to float32 where float32 is sampled, in every step and in the attention."""
    short = load_models(checkpoint("sd1", tmp_path), dtype=dtype)
    a, b = (generate_twins(m, PROMPTS, TwinSettings(steps=3), size=(64, 64)) for m in (models, short))
    assert (a.realistic - b.realistic).abs().mean() < 0.02 and (a.artistic - b.artistic).abs().mean() < 0.02
    assert (a.attention.affinity - b.attention.affinity).abs().max() < 1e-2
    assert torch.allclose(b.attention.affinity.sum(1), torch.ones(16), atol=1e-4)
