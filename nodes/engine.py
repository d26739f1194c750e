"""Which ComfyUI the pack runs in."""

from __future__ import annotations

import re

OLDEST = "0.16.3"
"""The oldest ComfyUI that the pack was tried with."""


def check_engine() -> None:
    """Raise ImportError, in one sentence, in a ComfyUI older than OLDEST."""
    try:
        from comfyui_version import __version__ as found
    except ImportError:  # before 0.3.11
        found = "0"
    if _numbers(found) < _numbers(OLDEST):
        which = f"this is {found}" if found != "0" else "this one is too old to say its version"
        raise ImportError(f"Text2Cinemagraph needs ComfyUI {OLDEST} or newer, and {which}. Update ComfyUI.")


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)[:3]]
