"""The whole loop as frames and as a video, for other nodes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import comfy.model_management
import folder_paths
import torch
from comfy_api.latest import InputImpl, Types, io, ui

from ..t2c_core.geometry import fit_longest_side
from ..t2c_core.loop.render import LoopRenderer
from ..t2c_core.loop.settings import BlendSettings
from ..t2c_core.loop.write import EncodeSettings, as_rate, write_loop
from ..t2c_core.warp.plan import WarpPlan
from . import sockets
from .linked_outputs import is_linked, unlinked_marker
from .schema import from_widgets, widgets
from .support import progress, render_device, report_input_errors, say, to_output_device

PREVIEW_SIZE = 512
_NO_COVERAGE = "coverage_unlinked"
mark_unlinked_coverage = unlinked_marker("LoopBlend", 2, _NO_COVERAGE)
"""For the server: coverage costs up to half of the time."""


class LoopBlend(io.ComfyNode):
    """T2C_WARP in; IMAGE frames, VIDEO and coverage out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoopBlend",
            display_name="Loop Blend",
            category=sockets.CATEGORY,
            description="Renders the seamless loop as frames and as a video for other nodes. All frames are held in "
            "memory at once (120 frames of 1920x1080 take 3 GB); Save Cinemagraph writes any length without that.",
            search_aliases=["seamless loop", "crossfade", "cinemagraph frames", "render loop"],
            inputs=[
                sockets.Warp.Input("warp", tooltip="From Eulerian Warp."),
                *widgets(BlendSettings),
                *widgets(EncodeSettings, "frame_rate", frame_rate={"tooltip": "Frames per second of the video."}),
                io.Boolean.Input(
                    "preview", default=True, tooltip="Show the loop in the node, at most 512 pixels large."
                ),
                # Optional: API prompts of before do not have it.
                *widgets(EncodeSettings, "seconds", seconds={"optional": True}),
            ],
            outputs=[
                io.Image.Output(
                    display_name="frames", tooltip="The frames of one loop; after the last comes the first again."
                ),
                io.Video.Output(
                    display_name="video",
                    tooltip="The same as a video, for Save Video; of an odd size without the last row or column, "
                    "as video files need even ones.",
                ),
                io.Mask.Output(
                    display_name="coverage",
                    tooltip="How much of each pixel the motion supplied by itself at the worst moment of the loop: 1 "
                    "everywhere is ideal, 0 means it had to be filled in. Made only where it is connected.",
                ),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.unique_id],
        )

    @classmethod
    @report_input_errors()
    def execute(cls, warp: WarpPlan, frame_rate: float, preview: bool, **values: Any) -> io.NodeOutput:
        height, width = warp.image.shape[1:3]
        rate = as_rate(frame_rate)
        length = EncodeSettings(frame_rate=frame_rate, seconds=values.get("seconds", 0.0))
        covers = is_linked(cls.hidden, _NO_COVERAGE)
        renderer = LoopRenderer.from_plan(
            warp,
            from_widgets(BlendSettings, values),
            render_device(height, width),
            frames=length.frame_count(warp.settings.frames),
            coverage=covers,
        )
        step = progress(len(renderer), "frame")
        device = comfy.model_management.intermediate_device()
        frames = torch.empty((len(renderer), height, width, 3), dtype=torch.float32, device=device)
        for index, frame in enumerate(renderer):
            frames[index] = frame
            step(index + 1)
        # Core's Save Video cannot store odd sizes, and would say so only now that all is rendered.
        even = frames[:, : height - height % 2 or 1, : width - width % 2 or 1]
        video = InputImpl.VideoFromComponents(Types.VideoComponents(images=even, frame_rate=rate))
        coverage = to_output_device(renderer.coverage) if covers else None
        output = io.NodeOutput(frames, video, coverage)
        if preview:
            say("encoding the preview")
            output.ui = _preview(frames, rate)
        covered = f", {float(coverage.min()):.0%} covered at least" if coverage is not None else ""
        say(f"{len(frames)} frames of {width}x{height}{covered}")
        return output


def _preview(frames: torch.Tensor, rate: Fraction) -> ui.PreviewVideo:
    """The loop as a small video in the folder for temporary files."""
    name = f"t2c_loop_{uuid.uuid4().hex}.mp4"
    path = Path(folder_paths.get_temp_directory()) / name
    write_loop(
        _shrunk(frames),
        path,
        EncodeSettings(frame_rate=float(rate), quality=70),
        on_frame=lambda _: comfy.model_management.throw_exception_if_processing_interrupted(),
    )
    return ui.PreviewVideo([ui.SavedResult(name, "", io.FolderType.temp)])


def _shrunk(frames: torch.Tensor) -> Iterator[torch.Tensor]:
    size = fit_longest_side(frames.shape[1], frames.shape[2], PREVIEW_SIZE)
    for frame in frames:
        small = torch.nn.functional.interpolate(frame.permute(2, 0, 1)[None], size, mode="area")
        yield small[0].permute(1, 2, 0)
