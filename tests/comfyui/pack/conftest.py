"""Graphs in API form, built node by node, and the files that come out of them, read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

WIDTH, HEIGHT, FRAMES = 128, 96, 6

REPO = Path(__file__).resolve().parents[3]
PICTURE = REPO / "assets" / "stream.jpg"
HINTS = REPO / "assets" / "stream.hints.json"


@dataclass
class Graph:
    """Adds nodes with the default values of their widgets; ``nodes`` is what POST /prompt takes."""

    object_info: dict[str, Any]
    nodes: dict[str, Any] = field(default_factory=dict)

    def add(self, class_type: str, **inputs: Any) -> str:
        """Add a node and return its id. Links are given as (id, output index) or just an id for the first output."""
        defaults = {}
        for name, spec in self.object_info[class_type]["input"].get("required", {}).items():
            options = spec[1] if len(spec) > 1 else {}
            choices = spec[0] if isinstance(spec[0], list) else options.get("options")
            if "default" in options:
                defaults[name] = options["default"]
            elif choices and isinstance(choices[0], str):
                defaults[name] = choices[0]
        node = str(len(self.nodes) + 1)
        linked = {name: self._value(value) for name, value in inputs.items()}
        self.nodes[node] = {"class_type": class_type, "inputs": {**defaults, **linked}}
        return node

    def _value(self, value: Any) -> Any:
        if isinstance(value, tuple):
            return [value[0], value[1]]
        return [value, 0] if isinstance(value, Link) else value


class Link(str):
    """An id of a node that stands for its first output."""


@dataclass
class Pipeline:
    """The usual graph, up to the warp. Attributes are ids of nodes."""

    graph: Graph
    image: Link
    hints: Link
    segmenter: Link
    flow: Link
    warp: Link

    @property
    def nodes(self) -> dict[str, Any]:
        return self.graph.nodes

    def add(self, class_type: str, **inputs: Any) -> Link:
        return Link(self.graph.add(class_type, **inputs))


@pytest.fixture
def graph(object_info: dict[str, Any]) -> Graph:
    """An empty graph."""
    return Graph(object_info)


@pytest.fixture
def picture(server: Any) -> str:
    """The example photograph in the server's input folder."""
    return server.put_input(PICTURE)


@pytest.fixture
def pipeline(graph: Graph, picture: str) -> Callable[..., Pipeline]:
    """``pipeline(width=, height=, frames=, batch=1, rebatch=False)``: Load Image to Eulerian Warp.

    ``batch`` repeats the picture; ``rebatch`` splits the batch again. ``convert`` names a test node put after them.
    """

    def build(
        width: int = WIDTH,
        height: int = HEIGHT,
        frames: int = FRAMES,
        batch: int = 1,
        rebatch: bool = False,
        convert: str | None = None,
    ) -> Pipeline:
        def add(class_type: str, **inputs: Any) -> Link:
            return Link(graph.add(class_type, **inputs))

        loaded = add("LoadImage", image=picture)
        image = add("ImageScale", image=loaded, width=width, height=height, upscale_method="area", crop="disabled")
        if batch > 1:
            image = add("RepeatImageBatch", image=image, amount=batch)
        if rebatch:
            image = add("RebatchImages", images=image, batch_size=1)
        if convert:
            image = add(convert, image=image)
        hints = add("MotionHints", image=image, hints=HINTS.read_text(encoding="utf-8"))
        segmenter = add("RealImageSegmenter", image=image, hints=hints)
        flow = add("FlowPredictor", image=image, mask=segmenter, hints=hints, speed=2.0)
        warp = add("EulerianWarp", image=image, flow=flow, frames=frames)
        return Pipeline(graph, image, hints, segmenter, flow, warp)

    return build


def read_animation(path: Path) -> tuple[np.ndarray, float | None]:
    """Frames uint8 [N, H, W, 3] and frames per second, read with PyAV and Pillow alone."""
    if path.is_dir():
        return np.stack([np.array(Image.open(p).convert("RGB")) for p in sorted(path.iterdir())]), None
    if path.suffix in (".mp4", ".webm"):
        import av

        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(stream)]), float(
                stream.average_rate
            )
    frames, milliseconds = [], 0.0
    with Image.open(path) as animation:
        for index in range(animation.n_frames):
            animation.seek(index)
            frames.append(np.array(animation.convert("RGB")))
            milliseconds += animation.info["duration"]
    return np.stack(frames), 1000.0 * len(frames) / milliseconds


@pytest.fixture
def read() -> Callable[[Path], tuple[np.ndarray, float | None]]:
    """``read(path)`` -> frames [N, H, W, 3] uint8, frames per second (None for a folder)."""
    return read_animation


@pytest.fixture
def written(server: Any) -> Callable[[], set[Path]]:
    """``written()``: everything in the output folder at this moment, unfinished files included."""
    return lambda: {p for p in (server.data / "output").rglob("*") if p.is_file()}


@pytest.fixture
def hints_json() -> Callable[..., str]:
    """``hints_json(arrows=[...], pins=[...], strokes=[...])`` -> the text for Motion Hints."""
    return lambda **lists: json.dumps({"version": 1, **lists})


@pytest.fixture
def run_with_pack() -> Callable[[str], list[str]]:
    """``run_with_pack(script)`` -> the lines it prints, in a process of its own that can import ComfyUI's modules.

    The script finds the pack as ``pack_without_comfyui``: its nodes and its core, but no server.
    """
    folder = Path(os.environ.get("T2C_COMFYUI_PATH") or REPO / ".run" / "ComfyUI")
    if not folder.is_dir():
        pytest.skip("no ComfyUI")

    def run(script: str) -> list[str]:
        start = f"""
import sys, types
sys.path.insert(0, {str(folder)!r})
from comfy.cli_args import args
args.cpu = True
package = types.ModuleType("pack_without_comfyui")
package.__path__ = [{str(REPO)!r}]
sys.modules[package.__name__] = package
"""
        python = os.environ.get("T2C_COMFYUI_PYTHON") or sys.executable
        done = subprocess.run([python, "-c", start + script], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run
