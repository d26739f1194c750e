"""A motion field as an ordinary picture and back, so that other nodes can make or change one."""

from __future__ import annotations

import torch
from comfy_api.latest import io

from ..t2c_core.errors import InputError
from ..t2c_core.flow.convert import FlowImageSettings, field_to_image, image_to_field
from ..t2c_core.types import MotionField
from . import sockets
from .schema import widgets
from .support import report_input_errors, require_same_size, single_mask, to_output_device

ENCODING = "Red 0.5 + 0.5 x / max_speed (right is brighter), green the same for y (down is brighter), blue the mask."
OWN_SPEED = (
    "Pixels per frame that the brightest and darkest values stand for. 0 takes the field's own highest speed along an "
    "axis, which keeps the most precision."
)


class FlowToImage(io.ComfyNode):
    """T2C_FLOW in, IMAGE out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlowToImage",
            display_name="Flow to Image",
            category=sockets.CATEGORY,
            description=f"Stores a motion field in a picture, to edit, scale or save it. {ENCODING}",
            search_aliases=["export flow", "save flow", "flow map", "flowmap", "encode flow"],
            inputs=[
                sockets.Flow.Input("flow", tooltip="The motion field to store."),
                *widgets(FlowImageSettings, max_speed={"default": 0.0, "min": 0.0, "tooltip": OWN_SPEED}),
            ],
            outputs=[
                io.Image.Output(
                    display_name="image",
                    tooltip=f"{ENCODING} Exact on a wire; an 8 bit file keeps 256 steps.",
                ),
                io.Float.Output(
                    display_name="max speed", tooltip="The max_speed that was used; Image to Flow needs the same."
                ),
            ],
        )

    @classmethod
    @report_input_errors(field="flow")
    def execute(cls, flow: MotionField, max_speed: float) -> io.NodeOutput:
        used = max_speed or float(flow.velocity.abs().max()) or 1.0
        return io.NodeOutput(to_output_device(field_to_image(flow, used)), used)


class ImageToFlow(io.ComfyNode):
    """IMAGE in, T2C_FLOW out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageToFlow",
            display_name="Image to Flow",
            category=sockets.CATEGORY,
            description=f"Reads a motion field from a picture made by Flow to Image or by any other node. {ENCODING}",
            search_aliases=["import flow", "load flow", "flow map", "flowmap", "decode flow"],
            inputs=[
                io.Image.Input("image", tooltip=f"One picture, of the size of the picture to animate. {ENCODING}"),
                *widgets(FlowImageSettings),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="What moves, at the image's size. Without it the blue channel is the mask.",
                ),
            ],
            outputs=[sockets.Flow.Output(display_name="flow", tooltip="The motion field, in pixels per frame.")],
        )

    @classmethod
    @report_input_errors(field="image")
    def execute(cls, image: io.Image.Type, max_speed: float, mask: io.Mask.Type | None = None) -> io.NodeOutput:
        values = _three_channels(image)
        given = None if mask is None else require_same_size(single_mask(mask), values)
        return io.NodeOutput(image_to_field(values, max_speed, given))


def _three_channels(image: torch.Tensor) -> torch.Tensor:
    """Unlike a photograph's, these values are neither clamped nor is grey repeated: both would change the motion."""
    if image.ndim != 4 or image.shape[-1] < 3:
        raise InputError("image", f"needs three channels (x, y, mask), not shape {list(image.shape)}.")
    if image.shape[0] > 1:
        raise InputError(
            "image", f"holds {image.shape[0]} pictures; a field is one.", "Choose one with 'Get Image from Batch'."
        )
    values = image[..., :3].float().cpu()
    if not torch.isfinite(values).all():
        raise InputError("image", "contains NaN or infinite values.", "Look at the node that made the picture.")
    return values
