"""The loops that benchmarks compare: settings by name, and the frames they give."""

from __future__ import annotations

from typing import Any

import torch

from t2c_core.errors import InputError
from t2c_core.loop.render import LoopRenderer
from t2c_core.loop.settings import LoopSettings
from t2c_core.settings import describe
from t2c_core.types import MotionField

DEFAULT, LINEAR, PLAIN = "default", "linear, gather, RK4", "plain cross-fade (published)"
ONE_CYCLE = "one cycle"
LOOPS: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    ONE_CYCLE: {"cycles": "1"},
    "anchor 0": {"anchor": 0.0},
    "anchor 0.4": {"anchor": 0.4},
    "anchor 1": {"anchor": 1.0},
    "splat": {"renderer": "splat"},
    "bilinear (Euler) steps": {"integration": "bilinear"},
    "speed 1.25": {"speed": 1.25},
    "speed 1.5": {"speed": 1.5},
    "anchor 0, speed 1.5": {"anchor": 0.0, "speed": 1.5},
    LINEAR: {"blend": "linear", "cycles": "1"},
    PLAIN: {"blend": "linear", "renderer": "splat", "integration": "nearest", "cycles": "1"},
}
"""Name -> what differs from the default LoopSettings."""


def render(image: torch.Tensor, field: MotionField, frames: int, **options: Any) -> list[torch.Tensor]:
    """Frames [H, W, 3] in 0..1 of a loop of an image [1, H, W, 3], with options of LoopSettings."""
    return list(LoopRenderer(image, field, LoopSettings(frames, **options)))


def parse_options(text: str) -> dict[str, Any]:
    """'anchor=0.4 renderer=splat' -> options of LoopSettings. Raises InputError('options')."""
    known = describe(LoopSettings)
    options: dict[str, Any] = {}
    for part in text.split():
        name, equals, value = part.partition("=")
        if not equals or name not in known or name == "frames":
            names = ", ".join(sorted(known.keys() - {"frames"}))
            raise InputError("options", f"hold '{part}'; they are name=value with a name of {names}.")
        default = known[name].default
        try:
            options[name] = value == "True" if isinstance(default, bool) else type(default)(value)
        except ValueError:
            raise InputError("options", f"hold '{part}'; {name} is a number.") from None
        known[name].check(options[name])
    return options
