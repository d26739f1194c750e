"""Where Save Cinemagraph writes: core's tokens, names that every system allows, and sentences for what cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.errors import NodeFailed

pytestmark = pytest.mark.comfyui

NAMES = {
    "": "Cinemagraph_00001_.webp",
    "  ": "Cinemagraph_00001_.webp",
    "tokens/%width%x%height%": "tokens/96x64_00001_.webp",
    "tokens/%date:yyyy-MM-dd%": "tokens/%date_yyyy-MM-dd%_00001_.webp",
    'odd/a<b>:"c|d?*e': "odd/a_b___c_d__e_00001_.webp",
    "odd\\river": "odd/river_00001_.webp",
    "long/" + "n" * 200: f"long/{'n' * 200}_00001_.webp",
}


@pytest.mark.parametrize("prefix", NAMES)
def test_names_are_core_s_and_allowed_everywhere(prefix: str, pipeline: Any, run_graph: Any, server: Any) -> None:
    for file in (server.data / "output").rglob("*_00001_.webp"):
        file.unlink()
    graph = pipeline(width=96, height=64, frames=4)
    graph.add("SaveCinemagraph", warp=graph.warp, filename_prefix=prefix, format="webp")
    (written,) = run_graph(graph.nodes).files
    assert Path(written).relative_to(server.data / "output").as_posix() == NAMES[prefix]


@pytest.mark.parametrize("prefix", ["n" * 201, "é" * 150, "folder" * 40 + "/n"])
def test_a_name_that_is_too_long_is_said_in_a_sentence(prefix: str, pipeline: Any, run_graph: Any) -> None:
    graph = pipeline(width=96, height=64, frames=4)
    graph.add("SaveCinemagraph", warp=graph.warp, filename_prefix=prefix)
    with pytest.raises(NodeFailed, match=r"Save Cinemagraph: filename_prefix: has a name of \d+ bytes; at most 200"):
        run_graph(graph.nodes)
