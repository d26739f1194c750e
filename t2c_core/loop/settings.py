"""Settings of a loop: how the image is moved and how the two ends of the motion are cross-faded."""

from __future__ import annotations

from dataclasses import dataclass

from ..settings import Settings, fraction, setting
from ..warp.plan import WarpSettings

BLENDS = ("contrast", "linear")


@dataclass(frozen=True)
class BlendSettings(Settings):
    """How a frame's forward and backward layers are cross-faded; without effect on a video network's frames."""

    blend: str = setting(
        "contrast",
        "How the two ends of the motion are cross-faded. 'contrast' keeps the texture equally strong throughout; "
        "'linear' is the paper's, softer in mid-loop.",
        choices=BLENDS,
        advanced=True,
    )
    anchor: float = fraction(
        0.8,
        "How much the scene's large shapes stay in place while the texture flows through them (for 'contrast'). High "
        "for streams, falls and surf; 0 where the shapes themselves drift: clouds, smoke.",
        advanced=True,
    )


@dataclass(frozen=True)
class LoopSettings(BlendSettings, WarpSettings):
    """All settings of :class:`t2c_core.loop.render.LoopRenderer`."""
