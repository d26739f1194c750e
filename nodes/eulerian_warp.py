"""Picture and field put together: everything a loop is rendered from."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from ..t2c_core.errors import InputError
from ..t2c_core.types import MotionField
from ..t2c_core.warp.plan import WarpPlan, WarpSettings
from . import networks, sockets
from .schema import widgets
from .support import report_input_errors, single_image


class EulerianWarp(io.ComfyNode):
    """IMAGE and T2C_FLOW in, T2C_WARP out; renders nothing yet."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="EulerianWarp",
            display_name="Eulerian Warp",
            category=sockets.CATEGORY,
            description="Puts a picture and its motion field together into a loop of so many frames. Instant: frames "
            "are rendered one by one by Loop Blend or Save Cinemagraph.",
            search_aliases=["animate picture", "cinemagraph", "splat", "warp image", "image to loop"],
            inputs=[
                io.Image.Input("image", tooltip="The one picture that comes alive, of the size of the flow."),
                sockets.Flow.Input("flow", tooltip="Its motion field, from Flow Predictor or Image to Flow."),
                # Optional: API prompts of before do not have it.
                *widgets(
                    WarpSettings,
                    frames={"max": 1200},
                    speed={"min": 0.25, "max": 3.0},
                    cycles={"optional": True},
                ),
                sockets.Model.Input(
                    "t2c_model",
                    optional=True,
                    tooltip="The paper's video network: it renders the frames from features instead of pixels. "
                    "Renderer, blend and anchor have no effect then.",
                ),
            ],
            outputs=[
                sockets.Warp.Output(
                    display_name="warp", tooltip="For Loop Blend and Save Cinemagraph; holds no frames."
                )
            ],
        )

    @classmethod
    @report_input_errors(picture="image")
    def execute(
        cls,
        image: io.Image.Type,
        flow: MotionField,
        t2c_model: networks.Network | None = None,
        **settings: Any,
    ) -> io.NodeOutput:
        if t2c_model is not None and t2c_model.kind != "video":
            raise InputError(
                "t2c_model", f"'{t2c_model.name}' is the network {t2c_model.kind}.", "It belongs into 'Flow Predictor'."
            )
        return io.NodeOutput(WarpPlan(single_image(image), flow, WarpSettings(**settings), network=t2c_model))
