"""The columns of a manifest, and a row's values as a job.

Beside those of PLAIN every setting of the pipeline is a column by its name; the flow's ``speed`` is ``flow_speed``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError
from ..flow.settings import FlowSettings
from ..hints import parse_hints
from ..job import DTYPES, Job, read_hints
from ..loop.settings import LoopSettings
from ..loop.write import EncodeSettings
from ..segment.settings import MaskSettings
from ..settings import Setting, Settings, describe
from ..stylize.settings import PaintSettings
from ..twin.load import PREDICTIONS
from ..twin.prompts import TwinPrompts
from ..twin.settings import TwinSettings
from ..warp.plan import MOST_FRAMES

PATHS = ("image", "mask", "model", "checkpoint", "tokenizer")
PLAIN = {
    entry.name: entry
    for entry in (
        Setting("id", "", "Names the loop's file; the picture's name without its ending where it is not given."),
        Setting("image", "", "The picture that comes alive; with a checkpoint it gets a twin instead of noise."),
        Setting("prompt", "", "With a checkpoint what is painted, else what it says of motion counts."),
        Setting("hints", "", "Arrows, pins and strokes: a JSON file, or the JSON itself."),
        Setting("mask", "", "A picture whose bright parts move."),
        Setting("model", "", "Folder of a segmentation model that finds what moves."),
        Setting("direction", "", "Words, degrees, or 'arrows only'."),
        Setting("size", 0, "The picture is scaled down to this longer side first.", low=1, high=65536, unit="pixels"),
        Setting("frames", 0, "Length of the loop.", low=2, high=MOST_FRAMES),
        Setting("checkpoint", "", "Stable Diffusion 1.x, 2.x or XL: a .safetensors file or a diffusers folder."),
        Setting("tokenizer", "", "Folder with CLIP's vocab.json and merges.txt."),
        Setting("prediction", "", "What the diffusion model predicts, if not found.", choices=PREDICTIONS),
        Setting("dtype", "", "Precision of the UNet.", choices=tuple(DTYPES)),
        *(entry for name, entry in describe(TwinPrompts).items() if name != "prompt"),
        Setting("seed", 0, "Of the noise.", low=0, high=2**63 - 1),
        Setting("width", 0, "Of what is painted from noise; a multiple of 8.", low=8, high=65536, unit="pixels"),
        Setting("height", 0, "Of what is painted from noise; a multiple of 8.", low=8, high=65536, unit="pixels"),
    )
}


class Column(NamedTuple):
    """group: the field of Job that holds the setting; '' for a field of its own. name: the field."""

    entry: Setting
    group: str
    name: str


_GROUPS: dict[str, tuple[type[Settings], tuple[str, ...]]] = {
    "masks": (MaskSettings, ("method",)),
    "flow": (FlowSettings, ("direction", "angle", "limit")),
    "loop": (LoopSettings, ("frames", "network_still")),
    "twin": (TwinSettings, ()),
    "paint": (PaintSettings, ()),
    "encode": (EncodeSettings, ()),
}
"""Field of Job -> its class and the settings that other columns decide."""


def _columns() -> dict[str, Column]:
    columns = {name: Column(entry, "", name) for name, entry in PLAIN.items()}
    for group, (settings, without) in _GROUPS.items():
        for name, entry in describe(settings).items():
            if name not in without:
                column = f"flow_{name}" if group == "flow" and name == "speed" else name
                columns[column] = Column(entry, group, name)
    return columns


COLUMNS = _columns()
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def parse_cell(name: str, value: Any) -> Any:
    """The value of a column, from a text or from what JSON and Parquet hold. Raises InputError naming the column."""
    entry = COLUMNS[name].entry
    if name == "hints" and isinstance(value, dict):
        value = json.dumps(value)
    if isinstance(entry.default, str):
        value = f"{value:g}" if name == "direction" and isinstance(value, int | float) else value
        value = str(value) if name in ("id", "cycles") and isinstance(value, int) else value
    elif isinstance(value, str):
        value = _number(entry, value.strip())
    elif isinstance(entry.default, int) and isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of whole numbers with gaps
    entry.check(value)
    return value


def _number(entry: Setting, text: str) -> Any:
    """What a text stands for; itself if that is nothing, to be refused by the check."""
    if isinstance(entry.default, bool):
        return _TRUTH.get(text.lower(), text)
    try:
        return type(entry.default)(text)
    except ValueError:
        return text


def job_of(values: Mapping[str, Any], folder: Path, device: str = "cpu") -> Job:
    """The job of a row's values (of :func:`parse_cell`). folder: where relative paths begin.

    Raises InputError, naming the column, where inputs are missing or do not go together.
    """
    fields: dict[str, Any] = {"device": device}
    groups: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        column = COLUMNS[name]
        if column.group:
            groups.setdefault(column.group, {})[column.name] = value
        elif name == "hints":
            inline = value.lstrip().startswith("{")
            fields["hints"] = parse_hints(value) if inline else read_hints(folder / value)
        elif name != "id":
            fields[name] = folder / value if name in PATHS else value
    paint = groups.get("paint", {})
    if paint and "style" not in paint:
        raise InputError(next(iter(paint)), "is given without a style.", "Name one in the column 'style'.")
    if "checkpoint" in fields:  # every word of the prompt that moves
        groups["masks"] = {"vocabulary": "", **groups.get("masks", {})}
    for group, given in groups.items():
        fields[group] = _GROUPS[group][0](**given)
    job = Job(**fields)
    job.check()
    return job
