"""What the editor in the page must know of the server: limits, defaults, and which inputs of nodes a preview takes.

GET /text2cinemagraph/settings answers the JSON of `editor_settings`; the page repeats none of these numbers.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from aiohttp import web
from comfy_api.latest import io

from ..t2c_core import hints
from ..t2c_core.preview import FLOW_INPUTS, LONGEST, MASK_INPUTS
from ..t2c_core.settings import Setting, describe
from ..t2c_core.types import REFERENCE_SIZE, Arrow, Stroke
from .eulerian_warp import EulerianWarp
from .flow_predictor import FlowPredictor
from .loop_blend import LoopBlend
from .motion_hints import EDITOR_SIZE
from .preview_request import MIN_SIDE
from .real_image_segmenter import RealImageSegmenter

ROUTE = "/text2cinemagraph/settings"


def editor_settings() -> dict[str, Any]:
    """Limits of hints, defaults of the loop, and for each node that a preview follows the inputs it takes."""
    stroke = describe(Stroke)
    return {
        "reference_size": REFERENCE_SIZE,
        "max_image_side": EDITOR_SIZE,
        "hints": {
            "version": hints.VERSION,
            "max_items": hints.MAX_ITEMS,
            "max_points": hints.MAX_POINTS,
            "max_text": hints.MAX_TEXT,
            "coordinate": {"min": hints.MIN_COORDINATE, "max": hints.MAX_COORDINATE},
            **{name: _range(entry) for name, entry in {**describe(Arrow), **stroke}.items() if not entry.choices},
            "modes": stroke["mode"].choices,
        },
        "loop": {**_defaults(EulerianWarp, {"frames", "speed"}), **_defaults(LoopBlend, {"frame_rate"})},
        "preview": {
            "min_side": MIN_SIDE,
            "max_side": LONGEST,
            "flow": sorted(_defaults(FlowPredictor, (*FLOW_INPUTS, "prompt"))),
            "mask": sorted(_defaults(RealImageSegmenter, MASK_INPUTS)),
        },
    }


def _range(entry: Setting) -> dict[str, float | None]:
    return {"default": entry.default, "min": entry.low, "max": entry.high, "step": entry.step}


def _defaults(node: type[io.ComfyNode], names: Collection[str]) -> dict[str, Any]:
    """Defaults of those widgets of a node that are named."""
    widgets = [widget for widget in node.define_schema().inputs if widget.id in names]
    return {widget.id: getattr(widget, "default", None) for widget in widgets}


def add_settings_route(routes: web.RouteTableDef) -> None:
    """Let a server tell its settings."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(editor_settings())

    routes.get(ROUTE)(answer)
