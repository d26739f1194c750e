"""A motion field made visible."""

from __future__ import annotations

from comfy_api.latest import io, ui

from ..t2c_core.flow import visualise
from ..t2c_core.types import MotionField
from . import sockets
from .support import report_input_errors, single_image, to_output_device


class FlowPreview(io.ComfyNode):
    """IMAGE and T2C_FLOW in, a picture with colours and arrows out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlowPreview",
            display_name="Flow Preview",
            category=sockets.CATEGORY,
            description="Shows a motion field over its picture: the colour is the direction (see the small wheel), its "
            "strength the speed, and arrows show where things go.",
            search_aliases=["show flow", "optical flow colour", "colour wheel", "color wheel", "visualize flow"],
            is_output_node=True,
            inputs=[
                io.Image.Input("image", tooltip="The picture the field belongs to, of the same size."),
                sockets.Flow.Input("flow", tooltip="The motion field to show."),
                io.Float.Input(
                    "opacity",
                    default=0.6,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="How strongly the colours cover the picture.",
                ),
                io.Boolean.Input("arrows", default=True, tooltip="Draw arrows along the motion."),
            ],
            outputs=[io.Image.Output(display_name="preview", tooltip="The picture with the field over it.")],
        )

    @classmethod
    @report_input_errors(field="flow")
    def execute(cls, image: io.Image.Type, flow: MotionField, opacity: float, arrows: bool) -> io.NodeOutput:
        shown = visualise.flow_preview(single_image(image), flow, opacity=opacity, arrows=arrows)
        preview = to_output_device(shown)
        return io.NodeOutput(preview, ui=ui.PreviewImage(preview, cls=cls))
