"""Where everything goes: the motion field."""

from __future__ import annotations

from typing import Any

import torch
from comfy_api.latest import io, ui

from ..t2c_core.errors import InputError
from ..t2c_core.flow.network import FlowNetwork
from ..t2c_core.flow.predict import predict_flow, suggest_frame_count
from ..t2c_core.flow.settings import FlowMethod, FlowSettings
from ..t2c_core.flow.visualise import flow_preview
from ..t2c_core.types import Attention, FluidRegions, MotionField, MotionHints
from . import networks, sockets
from .schema import widgets
from .support import report_input_errors, require_same_size, say, single_image, single_mask, to_output_device

NETWORK_MEMORY = 2 * 2**30
"""Bytes that a flow network needs beside its weights."""


class FlowPredictor(io.ComfyNode):
    """IMAGE, MASK and hints or a direction in, T2C_FLOW out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FlowPredictor",
            display_name="Flow Predictor",
            category=sockets.CATEGORY,
            description="Predicts how everything inside the mask moves: along your arrows, or in one direction, round "
            "obstacles and along the banks like a fluid.",
            search_aliases=["optical flow", "motion field", "fluid", "direction", "eulerian flow", "water flow"],
            inputs=[
                io.Image.Input("image", tooltip="The picture (or its realistic twin) whose streaks guide the motion."),
                io.Mask.Input("mask", tooltip="What moves, at the image's size: from Real Image Segmenter."),
                *widgets(FlowMethod),
                *widgets(FlowSettings, "direction"),
                io.String.Input(
                    "prompt",
                    default="",
                    multiline=True,
                    placeholder="directions in words, such as: a river flowing right to left",
                    dynamic_prompts=False,
                    tooltip="For 'from prompt': any text with a direction, as in 'a river flowing in right to left, "
                    "downwards direction' or 'a waterfall falling down and clouds drifting to the right'.",
                ),
                *widgets(
                    FlowSettings,
                    *("angle", "speed", "smoothness", "incompressibility", "follow_streaks", "perspective", "limit"),
                ),
                sockets.Hints.Input(
                    "hints",
                    optional=True,
                    tooltip="From Motion Hints: arrows the motion follows exactly, pins where it is zero.",
                ),
                sockets.Attention.Input(
                    "attention",
                    optional=True,
                    tooltip="From Twin Prompt Sampler: where the prompt gives several directions, it says which part "
                    "of the picture is meant by each.",
                ),
                sockets.Model.Input(
                    "t2c_model",
                    optional=True,
                    tooltip="For 'network': motion (reads the prompt through clip) or motion_direction (follows arrows "
                    "or the direction).",
                ),
                io.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="For the network motion: the CLIP of Stable Diffusion 1.x (ViT-L/14).",
                ),
                sockets.Regions.Input(
                    "regions",
                    optional=True,
                    tooltip="From Real Image Segmenter (method 'model'): each kind moves its own way: falls fall, a "
                    "river follows its banks towards the viewer, sea and clouds drift, smoke and fire rise. The prompt "
                    "overrides it: 'clouds drifting slowly to the left'.",
                ),
            ],
            outputs=[
                sockets.Flow.Output(display_name="flow", tooltip="The motion field, in pixels per frame."),
                io.Image.Output(
                    display_name="preview",
                    tooltip="The field over the picture: colour is direction, strength is speed.",
                ),
                io.Int.Output(
                    display_name="frames",
                    tooltip="A loop's length that suits what moves, for Eulerian Warp: what the prompt says ('90 "
                    "frames'), else 60 for falls and rivers, 120 for the sea and clouds.",
                ),
            ],
        )

    @classmethod
    @report_input_errors()
    def execute(
        cls,
        image: io.Image.Type,
        mask: io.Mask.Type,
        method: str,
        prompt: str,
        hints: MotionHints | None = None,
        attention: Attention | None = None,
        t2c_model: networks.Network | None = None,
        clip: Any = None,
        regions: FluidRegions | None = None,
        **settings: Any,
    ) -> io.NodeOutput:
        source = single_image(image)
        fluid = require_same_size(single_mask(mask), source)
        say("solving the flow" if method != "network" else "running the network")
        field = predict_flow(
            source,
            fluid,
            hints=hints,
            prompt=prompt,
            regions=regions,
            attention=attention,
            network=_network(t2c_model, clip, prompt) if method == "network" else None,
            settings=FlowSettings(**settings),
        )
        preview = to_output_device(flow_preview(source, field))
        frames = suggest_frame_count(prompt, regions, fluid)
        say(_summary(field))
        return io.NodeOutput(field, preview, frames, ui=ui.PreviewImage(preview, cls=cls))


def _summary(field: MotionField) -> str:
    speed = torch.hypot(*field.velocity[0])[field.mask[0] > 0]
    mean, most = (float(speed.mean()), float(speed.max())) if len(speed) else (0.0, 0.0)
    return f"{mean:.1f} pixels per frame in the mean, {most:.1f} at most"


def _network(model: networks.Network | None, clip: Any, prompt: str) -> FlowNetwork:
    """The connected network on its device, with the prompt's text features where it reads them."""
    if model is None:
        raise InputError("t2c_model", "is not connected, but the method is 'network'.", "Connect 'Load T2C Model'.")
    if model.kind == "video":
        raise InputError("t2c_model", f"'{model.name}' is the video network.", "It belongs into 'Eulerian Warp'.")
    context = None
    if model.kind == "motion":
        if clip is None:
            raise InputError("clip", "is not connected, but 'motion' reads the prompt.", "Connect that of SD 1.x.")
        context = networks.clip_context(clip, prompt)
    return FlowNetwork(networks.ready(model, memory=NETWORK_MEMORY), context, model.patcher.load_device)
