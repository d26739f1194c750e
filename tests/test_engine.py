"""Which ComfyUI the pack runs in: one declaration for people, registry and code; older ones are told."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from scripts.paths import REPO

LOAD = """
import importlib.util, sys, types
if sys.argv[2]:
    sys.modules["comfyui_version"] = types.SimpleNamespace(__version__=sys.argv[2])
folder = sys.argv[1]
spec = importlib.util.spec_from_file_location("pack", folder + "/__init__.py", submodule_search_locations=[folder])
sys.modules["pack"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
"""


def load(version: str) -> str:
    """What the pack's import says last in a ComfyUI of that version, of which nothing else is there."""
    done = subprocess.run([sys.executable, "-c", LOAD, str(REPO), version], capture_output=True, text=True, check=False)
    return done.stderr.strip().splitlines()[-1]


def oldest() -> str:
    return re.findall(r'OLDEST = "(.*)"', (REPO / "nodes" / "engine.py").read_text(encoding="utf-8"))[0]


@pytest.mark.parametrize("version", ["0.3.40", "0.16.2", "0.9.0-dev"])
def test_an_older_one_is_told_in_one_sentence(version: str) -> None:
    expected = (
        f"ImportError: Text2Cinemagraph needs ComfyUI {oldest()} or newer, and this is {version}. Update ComfyUI."
    )
    assert load(version) == expected


def test_one_without_a_version_is_older() -> None:
    assert "too old to say its version. Update ComfyUI." in load("")


@pytest.mark.parametrize("version", ["0.16.3", "0.30.0", "1.0"])
def test_others_go_on_to_the_nodes(version: str) -> None:
    said = load(version)
    assert "needs ComfyUI" not in said and "folder_paths" in said  # ComfyUI's own module, which is not there


def test_it_is_declared_alike() -> None:
    assert f'requires-comfyui = ">={oldest()}"' in (REPO / "pyproject.toml").read_text(encoding="utf-8")
    assert f"ComfyUI ({oldest()} or newer)" in (REPO / "README.md").read_text(encoding="utf-8")
