"""A picture with alpha, from Load Image to a file that keeps it or says that it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.errors import NodeFailed

pytestmark = pytest.mark.comfyui


@pytest.mark.parametrize(("format", "level"), [("webp", 0), ("gif", 255)])
def test_load_image_s_mask_is_the_loop_s_transparency(
    format: str, level: int, pipeline: Any, run_graph: Any, server: Any, tmp_path: Path
) -> None:
    pixels = np.full((64, 96, 4), 255, np.uint8)
    pixels[:, 60:, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "cut_out.png")
    graph = pipeline(width=96, height=64, frames=4)
    loaded = graph.add("LoadImage", image=server.put_input(tmp_path / "cut_out.png"))
    graph.add("SaveCinemagraph", warp=graph.warp, format=format, transparency=[str(loaded), 1])
    (written,) = run_graph(graph.nodes).files
    with Image.open(written) as image:
        image.seek(2)
        found = np.asarray(image.convert("RGBA"))
    assert (found[:, 60:, 3] == level).all() and (found[:, :60, 3] == 255).all()
    if level:
        assert found[:, 62:, :3].min() > 240


def test_a_transparency_of_another_size_is_said(pipeline: Any, run_graph: Any, server: Any, tmp_path: Path) -> None:
    Image.new("RGBA", (20, 30), (1, 2, 3, 100)).save(tmp_path / "small.png")
    graph = pipeline(width=96, height=64, frames=4)
    loaded = graph.add("LoadImage", image=server.put_input(tmp_path / "small.png"))
    graph.add("SaveCinemagraph", warp=graph.warp, transparency=[str(loaded), 1])
    with pytest.raises(NodeFailed, match="Save Cinemagraph: transparency: is 20x30, the image 96x64"):
        run_graph(graph.nodes)
