"""The command line replaces nothing that it reads, nor what was not named; text of other systems is read."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

import pytest
import torch

from t2c_core.cli.fluid import OF_ATTENTION
from t2c_core.cli.main import main
from t2c_core.flow.settings import FlowSettings
from t2c_core.io.images import save_image
from t2c_core.segment.settings import MaskSettings
from t2c_core.settings import describe

WRITTEN = {
    "the output is the mask": ["--mask", "sky_mask.png", "-o", "sky_mask.png"],
    "the output is the hints": ["--hints", "hints.json", "-o", "hints.json", "--format", "webp"],
    "a preview is the mask": ["--mask", "sky.webp.mask.png", "--previews", "-o", "sky.webp"],
    "a preview is the mask by another name": ["--mask", "link.png", "--previews", "-o", "sky.webp"],
    "an older preview is there": ["--hints", "hints.json", "--previews", "-o", "other.webp"],
}


@pytest.mark.parametrize("case", WRITTEN)
def test_nothing_that_is_read_or_was_there_is_replaced(case, tmp_path, monkeypatch, capsys):
    """Refused before anything is computed, and every file is as it was."""
    monkeypatch.chdir(tmp_path)
    for name in ("sky.png", "sky_mask.png", "sky.webp.mask.png", "other.webp.sheet.png"):
        save_image(torch.rand(24, 32, 3, generator=torch.Generator().manual_seed(len(name))), Path(name))
    Path("link.png").symlink_to("sky.webp.mask.png")
    Path("hints.json").write_text(json.dumps({"arrows": [{"points": [[0.2, 0.5], [0.8, 0.5]]}]}), encoding="utf-8")
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert main(["animate", "sky.png", "--direction", "left to right", "--frames", "4", *WRITTEN[case]]) == 2
    said = capsys.readouterr().err
    assert "would replace the" in said or "exists" in said, said
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_previews_are_replaced_where_that_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_image(torch.rand(24, 32, 3, generator=torch.Generator().manual_seed(0)), Path("sky.png"))
    Path("hints.json").write_text(json.dumps({"arrows": [{"points": [[0.2, 0.5], [0.8, 0.5]]}]}), encoding="utf-8")
    command = ["animate", "sky.png", "--hints", "hints.json", "--frames", "4", "--previews", "-o", "sky.webp"]
    assert main(command) == 0
    assert main(command) == 2 and main([*command, "--overwrite"]) == 0
    names = {"sky.png", "hints.json", "sky.webp", "sky.webp.mask.png", "sky.webp.flow.png", "sky.webp.sheet.png"}
    assert {file.name for file in tmp_path.iterdir()} == names


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_hints_of_other_systems_are_read(encoding, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_image(torch.rand(24, 32, 3, generator=torch.Generator().manual_seed(0)), Path("sky.png"))
    Path("hints.json").write_text(json.dumps({"arrows": [{"points": [[0.2, 0.5], [0.8, 0.5]]}]}), encoding=encoding)
    assert main(["animate", "sky.png", "--hints", "hints.json", "--frames", "4", "-o", "sky.webp"]) == 0


# What a command has no use for: 'generate' and 'animate' have no network, 'animate' no attention, and 'method' follows
# from what is given.
WITHOUT = {
    "generate": {MaskSettings: {"method"}, FlowSettings: {"angle", "limit"}},
    "animate": {MaskSettings: {"method", *OF_ATTENTION}, FlowSettings: {"angle", "limit"}},
}


@pytest.mark.parametrize("command", WITHOUT)
def test_every_setting_of_mask_and_flow_is_an_option(command: str) -> None:
    parser = argparse.ArgumentParser()
    importlib.import_module(f"t2c_core.cli.{command}").add_arguments(parser)
    options = {option for action in parser._actions for option in action.option_strings}
    renamed = {(FlowSettings, "speed"): "flow-speed", (MaskSettings, "freeze_outliers"): "no-freeze-outliers"}
    for settings, unused in WITHOUT[command].items():
        names = describe(settings).keys() - unused
        assert {f"--{renamed.get((settings, name), name).replace('_', '-')}" for name in names} <= options
