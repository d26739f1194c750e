"""Widgets made from settings, with ComfyUI's own classes of inputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.comfyui

SCRIPT = """
import json
from dataclasses import dataclass
from pack_without_comfyui.nodes.schema import widgets
from pack_without_comfyui.t2c_core.settings import Settings, setting

@dataclass(frozen=True)
class Example(Settings):
    amount: float = setting(0.5, "How much.", low=0.0, high=1.0, step=0.05)
    radius: int = setting(3, "How far.", low=1, unit="px")
    mode: str = setting("fast", "Which.", choices=("fast", "good"), advanced=True)
    loop: bool = setting(True, "Whether.")
    title: str = setting("", "Any text.")

made = widgets(Example) + widgets(Example, "radius", "amount", amount={"id": "share", "round": 0.001})
print(json.dumps([[i.id, i.get_io_type(), i.as_dict()] for i in made]))
try:
    widgets(Example, "amount", radius={"step": 2})
except KeyError as error:
    print(error)
"""


def test_widgets_have_the_settings_defaults_and_ranges(run_with_pack: Callable[[str], list[str]]) -> None:
    made, error = run_with_pack(SCRIPT)[-2:]
    assert "no widget 'radius'" in error
    amount, radius, mode, loop, title, again, share = json.loads(made)
    shared = {"optional": False}
    limits = {"default": 0.5, "min": 0.0, "max": 1.0, "step": 0.05}
    assert amount == ["amount", "FLOAT", {**shared, **limits, "tooltip": "How much."}]
    assert radius == ["radius", "INT", {**shared, "default": 3, "min": 1, "tooltip": "How far. Unit: px."}]
    assert mode[:2] == ["mode", "COMBO"]
    assert mode[2].items() >= {"default": "fast", "tooltip": "Which.", "advanced": True}.items()
    assert mode[2]["options"] == ["fast", "good"]
    assert loop == ["loop", "BOOLEAN", {**shared, "default": True, "tooltip": "Whether."}]
    assert title[:2] == ["title", "STRING"] and title[2]["default"] == ""
    assert again == radius
    assert share == ["share", "FLOAT", {**amount[2], "round": 0.001}]


def test_only_a_prefix_outside_the_output_folder_is_said_to_be_outside(
    run_with_pack: Callable[[str], list[str]], tmp_path: Path
) -> None:
    script = f"""
import folder_paths
from pack_without_comfyui.nodes.save_cinemagraph import _numbered

def broken(*_):
    raise Exception("the disk is on fire")

def attempt(prefix):
    try:
        print("path", _numbered(prefix, ".mp4", 8, 8)[0].name)
    except Exception as error:
        print(type(error).__name__, error)

folder_paths.set_output_directory({str(tmp_path)!r})
for prefix in ("loop", "a/b/loop", "a/../../loop", "/etc/loop", ""):
    attempt(prefix)
folder_paths.get_save_image_path = broken
attempt("loop")
"""
    lines = run_with_pack(script)[-6:]
    assert lines[:2] == ["path loop_00001_.mp4"] * 2
    assert all("InputError" in line and "outside" in line for line in lines[2:4])
    assert lines[4].startswith("path ")
    assert lines[5] == "Exception the disk is on fire"
