"""Settings of the motion field: defaults, ranges, units and help texts."""

from __future__ import annotations

from dataclasses import dataclass

from ..prompt.parse import DIRECTION_SOURCES
from ..settings import Settings, fraction, setting

METHODS: tuple[str, ...] = ("fluid solver", "network")
LIMITS: tuple[str, ...] = ("paper", "soft")
"""How a network's velocities are kept small: clamped as published, or soft."""


@dataclass(frozen=True)
class FlowMethod(Settings):
    """What a node lets choose; ``predict_flow`` takes the network itself."""

    method: str = setting(
        "fluid solver",
        "'fluid solver' needs no model: a smooth field that keeps to arrows, banks and streaks. 'network' is the "
        "paper's, from Load T2C Model.",
        choices=METHODS,
    )


@dataclass(frozen=True)
class FlowSettings(Settings):
    """How the motion field of a masked fluid is predicted; the prompt itself is an argument of ``predict_flow``."""

    direction: str = setting(
        "from prompt",
        "Where the fluid goes far from any arrow. 'from prompt' uses the directions in the prompt; without any, and "
        "without arrows, falls and rain go down, smoke and fire up, rivers along their banks, all else right. "
        "'custom angle' uses the angle below; 'arrows only' leaves it to the arrows.",
        choices=DIRECTION_SOURCES,
    )
    angle: float = setting(
        270.0,
        "For 'custom angle', in degrees counter-clockwise: 0 right, 90 up, 180 left, 270 down.",
        low=-360.0,
        high=360.0,
        step=1.0,
        unit="degrees",
        when=("direction", ("custom angle",)),
    )
    speed: float = setting(
        1.0,
        "Pixels per frame of a 512 pixel picture along the direction; multiplies the speeds of arrows. Larger pictures "
        "move proportionally more pixels.",
        low=0.0,
        high=16.0,
        step=0.05,
    )
    smoothness: float = fraction(0.5, "How evenly the motion spreads between arrows.", advanced=True)
    incompressibility: float = fraction(
        0.5,
        "How strictly the fluid keeps its volume: high for water that runs faster in narrow places and swirls behind "
        "rocks, low for smoke, fire and clouds that spread.",
        advanced=True,
    )
    follow_streaks: float = fraction(
        0.5,
        "How much the motion turns along streaks visible in the picture, as in long-exposure water.",
        advanced=True,
    )
    perspective: float = setting(
        0.0,
        "How much slower the far part moves. Above 0 the bottom is near (a river, the sea), below 0 the top is near (a "
        "sky).",
        low=-1.0,
        high=1.0,
        step=0.05,
        advanced=True,
    )
    limit: str = setting(
        "paper",
        "For 'network': 'paper' clamps its motion to 1 pixel per frame in each axis (of a 512 pixel picture) as "
        "published; 'soft' lets fast water be fast.",
        choices=LIMITS,
        advanced=True,
        when=("method", ("network",)),
    )
