"""How good a loop is, in numbers."""

from __future__ import annotations

from comfy_api.latest import io, ui

from ..t2c_core.metrics.measure import measure_loop
from ..t2c_core.types import MotionField
from . import sockets
from .support import image_batch, progress, report_input_errors, require_same_size, single_image, single_mask


class CinemagraphMetrics(io.ComfyNode):
    """IMAGE frames in, a report and its main figures out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CinemagraphMetrics",
            display_name="Cinemagraph Metrics",
            category=sockets.CATEGORY,
            description="Measures a loop: is the seam invisible, does the rest stay still, does the texture keep its "
            "contrast, and does anything move at all? Shows the table in the node.",
            search_aliases=["loop quality", "measure loop", "seam", "evaluate cinemagraph"],
            is_output_node=True,
            inputs=[
                io.Image.Input(
                    "images", tooltip="All frames of one loop, in order: from Loop Blend or a loaded video."
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="What moves, at the frames' size. Without it the flow's mask is used, or the "
                    "whole picture.",
                ),
                sockets.Flow.Input(
                    "flow",
                    optional=True,
                    tooltip="The motion that was asked for: the motion found in the frames is compared with it.",
                ),
                io.Image.Input(
                    "source",
                    optional=True,
                    tooltip="The picture that was animated: what does not move is compared with it instead of the "
                    "first frame.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="report", tooltip="The table of all figures, as text."),
                io.Float.Output(
                    display_name="seam ratio",
                    tooltip="Step from the last frame to the first over the usual step: 1 is a seam nobody sees.",
                ),
                io.Float.Output(
                    display_name="static error max",
                    tooltip="Largest change of any pixel outside the mask, 0..1: 0 is perfect.",
                ),
                io.Float.Output(
                    display_name="contrast min",
                    tooltip="Weakest texture contrast in the loop compared with the first frame: 1 is perfect, 0.7 is "
                    "a plain cross-fade.",
                ),
                io.Float.Output(
                    display_name="motion amount",
                    tooltip="Usual speed found inside the mask, in pixels per frame: 0 is a still picture.",
                ),
            ],
        )

    @classmethod
    @report_input_errors(frames="images")
    def execute(
        cls,
        images: io.Image.Type,
        mask: io.Mask.Type | None = None,
        flow: MotionField | None = None,
        source: io.Image.Type | None = None,
    ) -> io.NodeOutput:
        frames = image_batch(images, "images")
        given = None if mask is None else require_same_size(single_mask(mask), frames)
        if given is None and flow is not None:
            given = flow.mask
        original = None if source is None else single_image(source, "source")[0]
        report = measure_loop(frames, given, flow, original, on_frame=progress(len(frames), "frame"))
        table = report.as_table()
        figures = (report.seam_ratio, report.static_error_max, report.contrast_min, report.motion_amount)
        return io.NodeOutput(table, *figures, ui=ui.PreviewText(table))
