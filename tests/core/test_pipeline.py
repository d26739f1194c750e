"""The public API: its example runs, it is imported lazily, and it leaves the state of the process alone."""

from __future__ import annotations

import doctest
import logging
import os
import random
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import t2c_core
from scripts.paths import REPO
from t2c_core.networks.motion_direction import MotionDirection
from t2c_core.segment.clusters import cluster_tokens
from t2c_core.segment.models.load import load_model
from t2c_core.types import Arrow, Attention, FluidRegion, FluidRegions, MotionField, MotionHints, Stroke
from tests.core.tiny_checkpoints import checkpoint

H, W = 40, 56


def test_the_example_runs():
    results = doctest.testmod(t2c_core)
    assert results.attempted > 10 and results.failed == 0


@pytest.mark.slow
def test_importing_it_imports_no_library():
    script = (
        "import sys, t2c_core\n"
        "assert not {'torch', 'numpy', 'cv2', 'av', 'scipy'} & set(sys.modules)\n"
        "from t2c_core import settings\n"
        "assert 't2c_core.pipeline' not in sys.modules\n"
        "from t2c_core import FlowSettings, LoopSettings\n"
        "assert not {'diffusers', 'transformers'} & set(sys.modules)\n"
        "assert set(t2c_core.__all__) <= set(dir(t2c_core))\n"
        "assert not hasattr(t2c_core, 'nonsense')\n"
        "from t2c_core import *\n"
        "predict_flow, EncodeSettings\n"
        # What ComfyUI imports at its start: slow libraries wait until they are used.
        "import t2c_core.preview\n"
        "assert not {'diffusers', 'sklearn', 'kornia', 'skimage', 'pyamg'} & set(sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=REPO)
    assert run.returncode == 0, run.stderr


def state() -> dict[str, Any]:
    """What a library must leave as it was: generators, numbers of threads, modes, warnings, environment."""
    kind, keys, *rest = np.random.get_state()
    return {
        "random": random.getstate(),
        "numpy": (kind, keys.tobytes(), *rest),
        "torch": torch.get_rng_state().numpy().tobytes(),
        "threads": (torch.get_num_threads(), cv2.getNumThreads()),
        "modes": (
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.benchmark,
            torch.backends.mkldnn.enabled,
        ),
        "numpy errors": np.geterr(),
        "warnings": (list(warnings.filters), warnings.showwarning),
        "loggers": {
            name: (logger.level, logger.disabled, logger.propagate, list(logger.handlers))
            for name, logger in [("", logging.root), *logging.root.manager.loggerDict.items()]
            if isinstance(logger, logging.Logger)
        },
        "environment": dict(os.environ),
        "folder": Path.cwd(),
        "pillow": Image.MAX_IMAGE_PIXELS,
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the functions are called with."""
    folder = tmp_path_factory.mktemp("world")
    image = torch.rand(1, H, W, 3, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(1, H, W)
    mask[:, 12:] = 1.0
    hints = MotionHints(
        (Arrow(((0.2, 0.6), (0.8, 0.7))),), ((0.1, 0.1),), (Stroke(((0.5, 0.9), (0.7, 0.9)), 0.05, "move"),)
    )
    flow = t2c_core.predict_flow(image, mask, hints=hints)
    attention = Attention(
        torch.softmax(torch.rand(80, 80, generator=torch.Generator().manual_seed(2)), 1),
        (8, 10),
        ("river",),
        torch.rand(1, 8, 10, generator=torch.Generator().manual_seed(4)),
    )
    t2c_core.save_image(image[0], folder / "image.png")
    t2c_core.save_image(mask[0], folder / "mask.png")
    loop = t2c_core.LoopRenderer(image, flow, t2c_core.LoopSettings(frames=4))
    file = t2c_core.write_loop(loop, folder / "loop.mp4")
    models = t2c_core.load_models(checkpoint("sd1", folder))
    return {**locals(), "checkpoint": folder / "sd1.safetensors"}


def segment(w: dict[str, Any]) -> None:
    for settings in (
        t2c_core.MaskSettings(),
        t2c_core.MaskSettings(method="mask", refine_with_attention=True),
        t2c_core.MaskSettings(method="attention", clustering="kmeans", vocabulary=""),
    ):
        t2c_core.segment_fluid(
            w["image"], hints=w["hints"], mask=w["mask"], attention=w["attention"], settings=settings
        )


def predict(w: dict[str, Any]) -> None:
    from t2c_core.flow.network import FlowNetwork

    half = W // 2
    left, right = torch.zeros(H, W), torch.zeros(H, W)
    left[12:, :half], right[12:, half:] = 1.0, 1.0
    regions = FluidRegions((FluidRegion("river", "river", 0.9, left), FluidRegion("clouds", "sky", 0.8, right)))
    t2c_core.predict_flow(w["image"], w["mask"], prompt="a river flowing left, slow clouds", regions=regions)
    with torch.random.fork_rng():
        module = MotionDirection().eval()
    network = FlowNetwork(module, None, torch.device("cpu"))
    t2c_core.predict_flow(w["image"], w["mask"], hints=w["hints"], network=network)


def render(w: dict[str, Any]) -> None:
    for settings in (
        t2c_core.LoopSettings(frames=4),
        t2c_core.LoopSettings(frames=4, renderer="splat", blend="linear", integration="nearest"),
        t2c_core.LoopSettings(frames=8, cycles="auto"),
    ):
        loop = t2c_core.LoopRenderer(w["image"], w["flow"], settings)
        list(loop)
        assert loop.coverage.shape == w["mask"].shape


def write(w: dict[str, Any]) -> None:
    from t2c_core.loop.write import FORMATS

    for name, kind in FORMATS.items():
        path = w["folder"] / f"all-{name}{kind.suffix}"
        t2c_core.write_loop(w["loop"], path, t2c_core.EncodeSettings(format=name))
        list(t2c_core.LoopFile(path))


def measure(w: dict[str, Any]) -> None:
    report = t2c_core.measure_loop(w["loop"], w["mask"], w["flow"], coverage=w["loop"].coverage)
    report.as_table(), report.as_dict()


def twins(w: dict[str, Any]) -> None:
    settings, prompts = t2c_core.TwinSettings(steps=2), t2c_core.TwinPrompts("a river in the style of Monet")
    t2c_core.generate_twins(w["models"], prompts, settings, size=(64, 64), seed=3)
    t2c_core.generate_twins(w["models"], prompts, settings, image=w["image"].repeat(1, 2, 2, 1))


CALLS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "generate_twins": twins,
    "load_models": lambda w: t2c_core.load_models(w["checkpoint"]),
    "segment_fluid": segment,
    "predict_flow": predict,
    "suggest_frame_count": lambda w: t2c_core.suggest_frame_count("a calm sea"),
    "LoopRenderer": render,
    "write_loop": write,
    "LoopFile": lambda w: list(t2c_core.LoopFile(w["file"])),
    "measure_loop": measure,
    "load_image": lambda w: t2c_core.load_image(w["folder"] / "image.png", longer_side=20),
    "load_mask": lambda w: t2c_core.load_mask(w["folder"] / "mask.png", 20, 20),
    "save_image": lambda w: t2c_core.save_image(w["image"][0], w["folder"] / "again.jpg"),
    "parse_hints": lambda w: t2c_core.parse_hints(t2c_core.format_hints(w["hints"])),
    "format_hints": lambda w: t2c_core.format_hints(w["hints"]),
}
VALUES = {
    *("Arrow", "Attention", "FluidMask", "FluidRegion", "FluidRegions", "InputError", "LoopReport", "MotionField"),
    *("MotionHints", "Stroke", "Twins", "TwinPrompts"),
    *("EncodeSettings", "FlowSettings", "LoopSettings", "MaskSettings", "TwinSettings"),
}
"""Classes that only hold values."""


def test_every_public_name_is_tried_here():
    assert set(t2c_core.__all__) == CALLS.keys() | VALUES
    assert isinstance(t2c_core.MotionField, type) and t2c_core.MotionField is MotionField


def test_what_libraries_do_meanwhile_sees_the_same_state(world, segmenter_folder, monkeypatch):
    """Not even for a while: a second thread would see it."""
    import sklearn.cluster
    import transformers

    seen = []

    def spied(original: Callable[..., Any]) -> Callable[..., Any]:
        def spy(*args: Any, **options: Any) -> Any:
            seen.append(state())
            return original(*args, **options)

        return spy

    kinds = sklearn.cluster.KMeans, sklearn.cluster.SpectralClustering
    for kind in kinds:
        monkeypatch.setattr(kind, "fit_predict", spied(kind.fit_predict))
    network = transformers.SegformerForSemanticSegmentation
    monkeypatch.setattr(network, "from_pretrained", spied(network.from_pretrained))
    for clustering in ("kmeans", "spectral"):
        before = state()
        cluster_tokens(world["attention"], t2c_core.MaskSettings(clustering=clustering, clusters=3))
        (found,) = seen
        assert [key for key in before if before[key] != found[key]] == []
        seen.clear()
    before = state()
    load_model(segmenter_folder("segformer"))
    assert [key for key in before if before[key] != seen[0][key]] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_no_global_state_is_touched(name, world):
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    CALLS[name](world)  # the first call may import libraries, which is their own affair
    before = state()
    CALLS[name](world)
    after = state()
    assert [key for key in before if before[key] != after[key]] == []
