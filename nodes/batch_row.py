"""A graph as a row of a manifest: what was tuned by hand becomes a batch for 't2c batch'."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import folder_paths

from ..t2c_core.errors import InputError
from ..t2c_core.io.files import atomic_write
from ..t2c_core.settings import describe
from ..t2c_core.stylize.settings import PaintSettings
from . import segmenters

INPUT = "export_job"
FILE = "t2c_batch.jsonl"
_REFINING = ("grow", "feather", "fill_holes", "min_area")
"""Settings of a mask that no node has refined: 0."""
Node = tuple[str, dict[str, Any]]
"""Its id and what the API's prompt says of it."""


def append_row(folder: Path, row: dict[str, Any]) -> Path:
    """Add a row to the folder's manifest; returns its path."""
    path = folder / FILE
    before = path.read_bytes() if path.exists() else b""
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(before + json.dumps(row, ensure_ascii=False).encode() + b"\n")
    return path


def manifest_row(graph: dict[str, Any], node_id: str, identity: str) -> dict[str, Any]:
    """The row that makes the loop of a Save Cinemagraph: its settings, its picture, hints, mask and direction.

    graph: as the API takes it. Raises InputError('export_job') for what a manifest has no column for.
    """
    return _Graph(graph).row(str(node_id), identity)


class _Graph:
    def __init__(self, nodes: dict[str, Any]) -> None:
        self._nodes = nodes

    def row(self, node_id: str, identity: str) -> dict[str, Any]:
        """See `manifest_row`."""
        save = node_id, self._nodes[node_id]
        warp = self._follow(save, "warp", "EulerianWarp")
        flow = self._follow(warp, "flow", "FlowPredictor")
        if self._link(warp, "t2c_model") or self._value(flow, "method") == "network":
            raise _no_column("the paper's networks", "Render without them")
        moved, _ = self._source(warp, "image")
        paint = {}
        if moved[1]["class_type"] == "PhotoTwin":
            paint = self._settings(moved, describe(PaintSettings))
            moved, _ = self._source(moved, "image")
        row = {"id": identity, "image": self._file(moved), **paint}
        drawn = self._hints(flow)
        row |= self._mask(flow, moved)
        row |= {"hints": drawn} if drawn else {}
        row |= self._direction(flow)
        columns = _columns()
        speed = self._value(flow, "speed")
        row |= {**self._settings(flow, columns["flow"]), "flow_speed": speed}
        # Linked to Flow Predictor's frames: left to what moves, as there.
        linked = self._link(warp, "frames")
        own = linked is None or self._nodes[linked[0]]["class_type"] != "FlowPredictor"
        row |= {"frames": self._value(warp, "frames")} if own else {}
        row |= self._settings(warp, columns["loop"]) | self._settings(save, columns["loop"])
        row |= self._settings(save, columns["encode"])
        if row.get("seconds"):
            row.pop("frames", None)
        return row

    def _mask(self, flow: Node, picture: Node) -> dict[str, Any]:
        found, slot = self._source(flow, "mask")
        if found[1]["class_type"] != "RealImageSegmenter":
            return {"mask": self._mask_file(found, slot), **dict.fromkeys(_REFINING, 0.0)}
        method = self._value(found, "method")
        row = self._settings(found, _columns()["masks"])
        if method == "attention" or row.get("refine_with_attention"):
            raise _no_column("the attention of a diffusion model", "Choose another method")
        if self._link(found, "hints") != self._link(flow, "hints") and self._link(found, "hints"):
            raise _no_column("hints that only one of two nodes gets", "Connect them to Flow Predictor, too")
        if self._file(self._source(found, "image")[0]) != self._file(picture):
            raise _no_column("a mask of another picture", "Connect the same Load Image")
        if method == "mask":
            row["mask"] = self._mask_file(*self._source(found, "mask"))
        if method == "model":
            linked = self._link(found, "segmenter")
            loader = (linked[0], self._nodes[linked[0]]) if linked else found
            row["model"] = str(segmenters.folder(self._value(loader, "segmentation_model")).resolve())
        return row

    def _direction(self, flow: Node) -> dict[str, Any]:
        source, prompt = self._value(flow, "direction"), self._value(flow, "prompt")
        if source == "custom angle":
            return {"direction": f"{self._value(flow, 'angle'):g}"}
        if source == "arrows only":
            return {"direction": source}
        return {"prompt": prompt} if prompt.strip() else {}

    def _hints(self, flow: Node) -> str:
        if not self._link(flow, "hints"):
            return ""
        return self._value(self._follow(flow, "hints", "MotionHints"), "hints")

    def _mask_file(self, node: Node, slot: int) -> str:
        kind = node[1]["class_type"]
        colour = kind == "LoadImageMask" and self._value(node, "channel") != "alpha"
        if colour or (kind == "LoadImage" and slot == 1):
            return self._path(node)
        raise _no_column(
            f"the mask that '{kind}' (node {node[0]}) makes", "Save it and load it with Load Image (as Mask)"
        )

    def _file(self, node: Node) -> str:
        if node[1]["class_type"] == "PhotoTwin":
            return self._file(self._source(node, "image")[0])
        if node[1]["class_type"] != "LoadImage":
            made = f"the picture that '{node[1]['class_type']}' (node {node[0]}) makes"
            raise _no_column(made, "Save it and load it with Load Image")
        return self._path(node)

    def _path(self, node: Node) -> str:
        return str(Path(folder_paths.get_annotated_filepath(self._value(node, "image"))).resolve())

    def _settings(self, node: Node, names: Iterable[str]) -> dict[str, Any]:
        return {name: self._value(node, name) for name in names if name in node[1]["inputs"]}

    def _follow(self, node: Node, name: str, kind: str) -> Node:
        found, _ = self._source(node, name)
        if found[1]["class_type"] != kind:
            raise _no_column(f"'{found[1]['class_type']}' (node {found[0]})", f"Connect {name} to its own node")
        return found

    def _source(self, node: Node, name: str) -> tuple[Node, int]:
        linked = self._link(node, name)
        if linked is None:
            raise InputError(INPUT, f"'{name}' of node {node[0]} is not connected.")
        return (linked[0], self._nodes[linked[0]]), linked[1]

    def _link(self, node: Node, name: str) -> tuple[str, int] | None:
        value = node[1]["inputs"].get(name)
        return (value[0], value[1]) if isinstance(value, list) else None

    def _value(self, node: Node, name: str) -> Any:
        """A widget's value, also from a primitive node."""
        if linked := self._link(node, name):
            source = linked[0], self._nodes[linked[0]]
            if not source[1]["class_type"].startswith("Primitive"):
                raise _no_column(f"a '{name}' that '{source[1]['class_type']}' (node {source[0]}) gives", "Type it in")
            return self._value(source, "value")
        return node[1]["inputs"][name]


def _columns() -> dict[str, list[str]]:
    """Field of a job -> the settings that are columns of their own name."""
    from ..t2c_core.batch.columns import COLUMNS

    groups: dict[str, list[str]] = {}
    for name, column in COLUMNS.items():
        if name == column.name:
            groups.setdefault(column.group, []).append(name)
    return groups


def _no_column(what: str, remedy: str) -> InputError:
    return InputError(INPUT, f"a manifest has no column for {what}.", f"{remedy}, or turn it off.")
