"""What a stranger's workflow tries: write elsewhere, write over, read, run a program (docs/security.md)."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from scripts.errors import NodeFailed, WorkflowRefused

pytestmark = pytest.mark.comfyui

PREFIXES = (
    "../canary",
    "a/../../canary",
    "..\\canary",
    "a\\..\\..\\canary",
    "{data}/canary",
    "{data}/output/../canary",
    "away/canary",
    "/",
    "..",
    "a/..",
    "~/canary",
    "%width%/../../canary",
    "C:\\canary",
    "\\\\server\\share\\canary",
)


def files_outside(server: Any) -> dict[Path, bytes]:
    """What stands beside the folders that a save may touch, and in the folder above."""
    own = ("output", "temp", "user", "custom_nodes")
    found = [p for p in server.data.rglob("*") if p.is_file() and p.relative_to(server.data).parts[0] not in own]
    found += [p for p in server.data.parent.iterdir() if p.is_file()]
    return {p: p.read_bytes() for p in found if not p.name.startswith(("comfyui", "c.db"))}


@pytest.mark.parametrize("prefix", PREFIXES)
def test_no_name_leads_out_of_the_output_folder(prefix: str, pipeline: Any, server: Any, run_graph: Any) -> None:
    output, away = server.data / "output", server.data / "elsewhere"
    away.mkdir(exist_ok=True)
    if not (output / "away").is_symlink():
        (output / "away").symlink_to(away, target_is_directory=True)
    (server.data / "canary.txt").write_text("as it was")
    before = files_outside(server)
    graph = pipeline(width=64, height=48)
    saved = graph.add(
        "SaveCinemagraph", warp=graph.warp, filename_prefix=prefix.format(data=server.data), format="webp"
    )
    try:
        written = run_graph(graph.nodes).outputs[saved]["images"][0]
    except NodeFailed as error:
        assert "leads outside ComfyUI's output folder" in error.message
    else:
        assert (output / written["subfolder"] / written["filename"]).resolve().is_relative_to(output.resolve())
    assert files_outside(server) == before


def test_a_save_never_takes_the_place_of_another_file(pipeline: Any, server: Any, run_graph: Any) -> None:
    def save(quality: int) -> Path:
        graph = pipeline(width=64, height=48)
        saved = graph.add("SaveCinemagraph", warp=graph.warp, filename_prefix="twice/a", format="webp", quality=quality)
        # The graph of before grows: what is asked for is this node's file.
        return server.data / "output" / "twice" / run_graph(graph.nodes).outputs[saved]["images"][0]["filename"]

    first = save(50)
    content = first.read_bytes()
    assert save(51) != first and first.read_bytes() == content


@pytest.mark.parametrize("name", ["../../../bait", "..\\..\\..\\bait", "{data}/bait", "..", ".", "", "/"])
@pytest.mark.parametrize(
    ("class_type", "input"), [("LoadT2CModel", "model"), ("LoadSegmentationModel", "segmentation_model")]
)
def test_models_come_from_their_folders_only(
    class_type: str, input: str, name: str, graph: Any, server: Any, run_graph: Any
) -> None:
    """A folder of any name was loaded, and all its files were looked at first: of '/' all there are."""
    bait = server.data / "bait"
    for folder in (bait, server.data / "models" / "t2c" / "segmentation"):
        folder.mkdir(parents=True, exist_ok=True)
    (bait / "config.json").write_text('{"model_type": "bait"}')
    graph.add("PreviewAny", source=(graph.add(class_type, **{input: name.format(data=server.data)}), 0))
    with pytest.raises((NodeFailed, WorkflowRefused)) as caught:
        run_graph(graph.nodes)
    if isinstance(caught.value, NodeFailed):
        assert re.search("is not in|is not chosen", caught.value.message)


class Program:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.write_text, (self.target, "it ran")


def test_a_program_in_a_checkpoint_is_not_run(graph: Any, server: Any, run_graph: Any) -> None:
    target, folder = server.data / "ran.txt", server.data / "models" / "t2c"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "program.pth").write_bytes(pickle.dumps({"state_dict": Program(target)}, protocol=2))
    graph.add("PreviewAny", source=(graph.add("LoadT2CModel", model="program.pth"), 0))
    with pytest.raises(NodeFailed, match="its program is not run") as caught:
        run_graph(graph.nodes)
    assert caught.value.message.startswith("Load T2C Model: model: ")
    assert not target.exists()
    (folder / "program.pth").unlink()


def test_a_path_in_place_of_hints_is_not_opened(pipeline: Any, server: Any, run_graph: Any) -> None:
    secret = server.data / "secret.json"
    secret.write_text('{"arrows": [{"points": [[0.1, 0.1], [0.9, 0.9]]}], "mine": 1}')
    graph = pipeline(width=64, height=48)
    graph.nodes[graph.hints]["inputs"]["hints"] = str(secret)
    graph.add("SaveCinemagraph", warp=graph.warp)
    with pytest.raises(WorkflowRefused, match="is not valid JSON") as caught:
        run_graph(graph.nodes)
    assert "mine" not in str(caught.value.response)
    secret.unlink()
