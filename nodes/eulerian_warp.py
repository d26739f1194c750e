"""Picture and field put together: everything a loop is rendered from."""

from __future__ import annotations

from comfy_api.latest import io

from ..t2c_core.errors import InputError
from ..t2c_core.types import INTEGRATIONS, RENDERERS, MotionField, WarpPlan
from . import networks, sockets
from .support import explained, one_picture


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
                io.Int.Input(
                    "frames",
                    default=60,
                    min=2,
                    max=1200,
                    tooltip="Length of the loop. 60 suits waterfalls, 120 the sea; more lets things travel farther.",
                ),
                io.Float.Input(
                    "speed",
                    default=1.0,
                    min=0.25,
                    max=3.0,
                    step=0.05,
                    tooltip="Multiplies the motion, without predicting it again.",
                ),
                io.Combo.Input(
                    "renderer",
                    options=list(RENDERERS),
                    default="gather",
                    tooltip="'gather' looks up where each pixel came from: sharp and fast. 'splat' pushes pixels "
                    "forward as the paper does.",
                ),
                io.Combo.Input(
                    "integration",
                    options=list(INTEGRATIONS),
                    default="rk4",
                    tooltip="How paths are followed: 'rk4' is the most exact, 'bilinear' plain steps, 'nearest' the "
                    "published code's.",
                ),
                io.Boolean.Input(
                    "network_still",
                    default=False,
                    tooltip="With a t2c_model: show the network's picture in the still parts too, as the paper does. "
                    "Off keeps the original pixels there.",
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
    @explained(picture="image")
    def execute(
        cls,
        image: io.Image.Type,
        flow: MotionField,
        frames: int,
        speed: float,
        renderer: str,
        integration: str,
        network_still: bool = False,
        t2c_model: networks.Network | None = None,
    ) -> io.NodeOutput:
        if t2c_model is not None and t2c_model.kind != "video":
            raise InputError(
                "t2c_model", f"'{t2c_model.name}' is the network {t2c_model.kind}.", "It belongs into 'Flow Predictor'."
            )
        plan = WarpPlan(
            one_picture(image),
            flow,
            frames=frames,
            speed=speed,
            renderer=renderer,
            integration=integration,
            network=t2c_model,
            network_still=network_still,
        )
        return io.NodeOutput(plan)
