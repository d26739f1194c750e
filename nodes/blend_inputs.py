"""The inputs that every node which renders the loop has in common."""

from __future__ import annotations

from comfy_api.latest import io

from ..t2c_core.loop.render import DEFAULT_ANCHOR
from ..t2c_core.types import BLENDS


def blend_inputs() -> list[io.Input]:
    """``blend`` and ``anchor``, as LoopRenderer takes them."""
    return [
        io.Combo.Input(
            "blend",
            options=list(BLENDS),
            default="contrast",
            tooltip="How the two ends of the motion are cross-faded. 'contrast' keeps the texture equally "
            "strong throughout; 'linear' is the paper's, softer in mid-loop.",
        ),
        io.Float.Input(
            "anchor",
            default=DEFAULT_ANCHOR,
            min=0.0,
            max=1.0,
            step=0.05,
            tooltip="How much the scene's large shapes stay in place while the texture flows through them (for "
            "'contrast'). High for streams, falls and surf; 0 where the shapes themselves drift: clouds, smoke.",
        ),
    ]
