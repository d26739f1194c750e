"""The command line as a user meets it: a process of its own, files in, files out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from t2c_core.cli.main import main
from t2c_core.loop.read import probe, read_frames

REPO = Path(__file__).parents[2]
FRAMES = 6
HINTS = {"version": 1, "arrows": [{"points": [[0.1, 0.8], [0.9, 0.8]], "speed": 4.0}], "pins": [[0.5, 0.2]]}


def run(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "t2c_core", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def sentence(code: int, stdout: str, stderr: str) -> str:
    """The one sentence a user reads when something is wrong."""
    assert code == 2, stderr
    assert "Traceback" not in stderr and not stdout
    lines = stderr.strip().splitlines()
    assert len(lines) == 1, stderr
    assert lines[0].startswith("t2c_core: ") and lines[0].endswith((".", "?"))
    return lines[0]


@pytest.fixture
def folder(tmp_path):
    """still.png: sky above, rough water below, an even 96 x 64; mask.png; hints.json."""
    noise = np.random.default_rng(0).normal(size=(64, 96)).astype(np.float32)
    rough = cv2.GaussianBlur(noise, (0, 0), 1.2)
    water = 110 + 45 * rough / rough.std()
    image = np.where(np.arange(64)[:, None] < 32, 220.0, water).clip(0, 255).astype(np.uint8)
    Image.fromarray(np.repeat(image[..., None], 3, 2)).save(tmp_path / "still.png")
    mask = np.zeros((64, 96), np.uint8)
    mask[32:] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    (tmp_path / "hints.json").write_text(json.dumps(HINTS))
    return tmp_path


def animate(folder: Path, output: str, *more: str) -> subprocess.CompletedProcess:
    arguments = ["still.png", "-o", output, "--mask", "mask.png", "--hints", "hints.json", "--frames", str(FRAMES)]
    return run("animate", *arguments, *more, cwd=folder)


@pytest.fixture
def here(folder, monkeypatch, capsys):
    """The same command lines within this process, in the folder: spares the seconds of starting another."""
    monkeypatch.chdir(folder)

    def call(*arguments: str) -> subprocess.CompletedProcess:
        code = main(list(arguments))
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    return call


def animated(here, output: str, *more: str) -> subprocess.CompletedProcess:
    arguments = ["still.png", "-o", output, "--mask", "mask.png", "--hints", "hints.json", "--frames", str(FRAMES)]
    return here("animate", *arguments, *more)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("output", "rate", "tolerance"), [("loop.mp4", 30, 20), ("loop.webp", 25, 20), ("loop.gif", 20, 45)]
)
def test_a_loop_in_a_file(folder, here, output, rate, tolerance):
    before = set(folder.iterdir())
    result = animated(here, output, "--rate", str(rate))
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == output, "the path is printed and nothing else"
    assert set(folder.iterdir()) - before == {folder / output}
    info = probe(folder / output)
    assert (info.width, info.height, info.frames, info.rate) == (96, 64, FRAMES, Fraction(rate))
    frames = [f.astype(int) for f in read_frames(folder / output)]
    still = np.array(Image.open(folder / "still.png")).astype(int)
    assert len(frames) == FRAMES
    assert np.abs(frames[0] - still).mean() < tolerance / 4
    for frame in frames:
        assert np.abs(frame[:24] - still[:24]).max() < tolerance, "the sky stands still"
    for frame in frames[1:]:
        assert np.abs(frame[40:] - still[40:]).mean() > 8, "the water moves"


def test_water_flows_where_the_arrow_points(folder, here):
    assert animated(here, "frames", "--format", "png", "--blend", "linear").returncode == 0
    frames = [f[40:, :, 0].astype(float) for f in read_frames(folder / "frames")]
    # Forward and backward layers move alike; which shift carries frame 0 best onto frame 1?
    inner = slice(20, -20)
    fit = {s: np.abs(np.roll(frames[0], s, 1) - frames[1])[:, inner].mean() for s in range(-3, 4)}
    assert min(fit, key=fit.get) == 1, fit  # 4 px at 512 px is 0.75 px at 96 px


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "rate", "frames"), [("0.5", "12", 6), ("0.39", "20", 8)])
def test_a_length_in_seconds(folder, here, seconds, rate, frames):
    arguments = ["still.png", "-o", "l.webp", "--mask", "mask.png", "--direction", "0"]
    result = here("animate", *arguments, "--seconds", seconds, "--rate", rate)
    assert result.returncode == 0, result.stderr
    assert probe(folder / "l.webp")[2:] == (frames, Fraction(rate))


@pytest.mark.slow
def test_same_command_same_file(folder, here):
    process = animate(folder, "a.gif")
    assert process.returncode == animated(here, "b.gif").returncode == 0
    assert process.stdout.strip() == "a.gif"
    assert (folder / "a.gif").read_bytes() == (folder / "b.gif").read_bytes()


def test_direction_without_hints(folder, here):
    result = here("animate", "still.png", "-o", "l.webp", "--mask", "mask.png", "--direction", "left to right",
                  "--frames", "3", "--renderer", "splat", "--speed", "4")  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert probe(folder / "l.webp").frames == 3


def test_size_and_mask_from_hints(folder, here):
    hints = {**HINTS, "strokes": [{"points": [[0.05, 0.75], [0.95, 0.75]], "radius": 0.1, "mode": "move"}]}
    (folder / "hints.json").write_text(json.dumps(hints))
    result = here("animate", "still.png", "-o", "s.webp", "--hints", "hints.json", "--size", "48", "--frames", "2")
    assert result.returncode == 0, result.stderr
    assert probe(folder / "s.webp")[:3] == (48, 32, 2)


def test_previews_and_figures(folder, here):
    result = animated(here, "l.webp", "--previews", "--measure")
    assert result.returncode == 0, result.stderr
    for name in ("mask", "flow", "sheet"):
        path = folder / f"l.webp.{name}.png"
        assert path.name in result.stdout
        with Image.open(path) as image:
            image.load()
    for word in ("seam", "contrast", "motion"):
        assert word in result.stdout.lower()


@pytest.mark.slow
def test_measure_the_result(folder, here):
    assert animated(here, "l.webp", "--quality", "100").returncode == 0
    table = here("measure", "l.webp", "--mask", "mask.png")
    assert table.returncode == 0 and "seam" in table.stdout.lower()
    result = here("measure", "l.webp", "--mask", "mask.png", "--json")
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert (figures["frames"], figures["width"], figures["height"]) == (FRAMES, 96, 64)
    assert 0.8 <= figures["seam_ratio"] <= 1.25
    assert figures["duplicate_frames"] == 0
    assert figures["contrast_min"] > 0.85
    assert figures["motion_amount"] > 0.1


BASE = ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--direction", "0"]


@pytest.mark.parametrize(
    ("named", "arguments"),
    [
        ("picture", ["missing.png", "-o", "l.mp4", "--mask", "mask.png", "--direction", "0"]),
        ("picture", ["hints.json", "-o", "l.mp4", "--mask", "mask.png", "--direction", "0"]),
        ("output", ["still.png", "-o", "l.xyz", "--mask", "mask.png", "--direction", "0"]),
        ("output", ["still.png", "-o", "loop", "--mask", "mask.png", "--direction", "0"]),
        ("mask", ["still.png", "-o", "l.mp4", "--mask", "missing.png", "--direction", "0"]),
        ("mask", ["still.png", "-o", "l.mp4", "--mask", "hints.json", "--direction", "0"]),
        ("hints", ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--hints", "missing.json"]),
        ("hints", ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--hints", "still.png"]),
        ("hints", ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--hints", "bad.json"]),
        ("direction", ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--direction", "sideways-ish"]),
        ("frames", ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--direction", "0", "--frames", "1"]),
        ("speed", ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--direction", "0", "--speed", "-1"]),
        ("anchor", ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--direction", "0", "--anchor", "2"]),
        ("blend", ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--direction", "0", "--blend", "x"]),
        ("quality", ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--direction", "0", "--quality", "0"]),
        ("rate", ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--direction", "0", "--rate", "0"]),
        ("feather", ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--direction", "0", "--feather", "-1"]),
        ("feather", ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--direction", "0", "--feather", "nan"]),
        ("direction", ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--direction", "nan"]),
        ("frames", ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--direction", "0", "--frames", "9" * 20]),
        (
            "seconds: and frames",
            ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--direction", "0", "--seconds", "2", "--frames", "60"],
        ),
        (
            "seconds: is 0.01: 0 frames",
            ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--direction", "0", "--seconds", "0.01"],
        ),
        (
            "seconds: is 3600",
            ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--direction", "0", "--seconds", "3600", "--rate", "60"],
        ),
        ("seconds", [*BASE, "--seconds", "-1"]),
        ("seconds", [*BASE, "--seconds", "nan"]),
        ("size", ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--direction", "0", "--size", "0"]),
        ("size", ["still.png", "-o", "l.mp4", "--mask", "mask.png", "--direction", "0", "--size", "-64"]),
        ("hints", ["still.png", "-o", "l.mp4"]),
        ("hints", ["still.png", "-o", "l.mp4", "--mask", "mask.png"]),
        ("output", ["still.png", "-o", "still.png", "--mask", "mask.png", "--direction", "0"]),
        ("folder", ["still.png", "-o", "taken.mp4", "--mask", "mask.png", "--direction", "0"]),
    ],
)
def test_errors_are_one_sentence(folder, monkeypatch, capsys, named, arguments):
    (folder / "bad.json").write_text('{"arrows": [')
    (folder / "taken.mp4").mkdir()
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    monkeypatch.chdir(folder)
    code = main(["animate", *arguments])
    assert named in sentence(code, *capsys.readouterr())
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before, "nothing is written"


@pytest.mark.slow
def test_an_error_of_a_process(folder):
    before = set(folder.rglob("*"))
    result = animate(folder, "l.mp4", "--speed", "101")
    assert "speed" in sentence(result.returncode, result.stdout, result.stderr)
    assert set(folder.rglob("*")) == before, "nothing is written"


@pytest.mark.slow
def test_an_interrupt_leaves_nothing_behind(folder):
    before = set(folder.rglob("*"))
    command = [sys.executable, "-m", "t2c_core", "animate", "still.png", "-o", "l.mp4", "--mask", "mask.png"]
    process = subprocess.Popen(
        [*command, "--direction", "0", "--frames", "100000"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Ctrl+C as in a terminal, also where these tests are a background job of a shell, with SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 60
        while set(folder.rglob("*")) == before:
            assert process.poll() is None and time.monotonic() < deadline, "writing never began"
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert stderr.strip().splitlines()[-1] == "t2c_core: interrupted; nothing was written."
    assert "Traceback" not in stderr and not stdout
    assert set(folder.rglob("*")) == before


@pytest.mark.parametrize("arguments", [[], ["dance"], ["animate"], ["measure"]])
def test_wrong_command_lines(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["animate", "measure"])
def test_help(capsys, command):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert "usage:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("named", "arguments"),
    [
        ("missing.mp4", ["missing.mp4"]),
        ("hints.json", ["hints.json"]),
        ("mask", ["still.png", "--mask", "missing.png"]),
        ("mask", ["frames", "--mask", "hints.json"]),
    ],
)
def test_measure_errors(folder, monkeypatch, capsys, named, arguments):
    monkeypatch.chdir(folder)
    (folder / "frames").mkdir()
    (folder / "frames" / "0.png").write_bytes((folder / "still.png").read_bytes())
    code = main(["measure", *arguments])
    assert named in sentence(code, *capsys.readouterr())
