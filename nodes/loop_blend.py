"""The whole loop as frames and as a video, for other nodes."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import comfy.model_management
import folder_paths
import torch
from comfy_api.latest import InputImpl, Types, io, ui

from ..t2c_core.loop.render import LoopRenderer
from ..t2c_core.loop.write import as_rate, write_loop
from ..t2c_core.types import WarpPlan
from . import sockets
from .blend_inputs import blend_inputs
from .networks import ready_plan
from .support import explained, handed_on, progress, render_device

PREVIEW_SIZE = 512


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
                *blend_inputs(),
                io.Float.Input(
                    "frame_rate",
                    default=30.0,
                    min=1.0,
                    max=120.0,
                    step=1.0,
                    round=0.001,
                    tooltip="Frames per second of the video.",
                ),
                io.Boolean.Input(
                    "preview", default=True, tooltip="Show the loop in the node, at most 512 pixels large."
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="frames", tooltip="The frames of one loop; after the last comes the first again."
                ),
                io.Video.Output(display_name="video", tooltip="The same as a video, for Save Video."),
                io.Mask.Output(
                    display_name="coverage",
                    tooltip="How much of each pixel the motion supplied by itself at the worst moment of the loop: 1 "
                    "everywhere is ideal, 0 means it had to be filled in.",
                ),
            ],
        )

    @classmethod
    @explained()
    def execute(cls, warp: WarpPlan, blend: str, anchor: float, frame_rate: float, preview: bool) -> io.NodeOutput:
        height, width = warp.picture.shape[1:3]
        rate = as_rate(frame_rate)
        warp, device = ready_plan(warp)
        renderer = LoopRenderer(warp, blend, device or render_device(height, width), anchor=anchor)
        step = progress(len(renderer))
        device = comfy.model_management.intermediate_device()
        frames = torch.empty((len(renderer), height, width, 3), dtype=torch.float32, device=device)
        for index, frame in enumerate(renderer):
            frames[index] = frame
            step(index + 1)
        video = InputImpl.VideoFromComponents(Types.VideoComponents(images=frames, frame_rate=rate))
        shown = _preview(frames, rate) if preview else None
        return io.NodeOutput(frames, video, handed_on(renderer.coverage), ui=shown)


def _preview(frames: torch.Tensor, rate: Fraction) -> ui.PreviewVideo:
    """The loop as a small video in the folder for temporary files."""
    name = f"t2c_loop_{uuid.uuid4().hex}.mp4"
    path = Path(folder_paths.get_temp_directory()) / name
    write_loop(
        _shrunk(frames),
        path,
        frame_rate=rate,
        format="mp4",
        quality=70,
        on_frame=lambda _: comfy.model_management.throw_exception_if_processing_interrupted(),
    )
    return ui.PreviewVideo([ui.SavedResult(name, "", io.FolderType.temp)])


def _shrunk(frames: torch.Tensor) -> Iterator[torch.Tensor]:
    scale = PREVIEW_SIZE / max(frames.shape[1:3])
    for frame in frames:
        if scale >= 1.0:
            yield frame
        else:
            size = [max(2, round(s * scale)) for s in frame.shape[:2]]
            small = torch.nn.functional.interpolate(frame.permute(2, 0, 1)[None], size, mode="area")
            yield small[0].permute(1, 2, 0)
