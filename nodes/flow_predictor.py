"""Where everything goes: the motion field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from comfy_api.latest import io, ui

from ..t2c_core.errors import InputError
from ..t2c_core.flow.kinds import class_parts, combined, loop_length
from ..t2c_core.flow.regions import FluidPart, region_angles
from ..t2c_core.flow.solver import solve_flow
from ..t2c_core.flow.visualise import flow_preview
from ..t2c_core.networks.flow import LIMITS, predict_flow
from ..t2c_core.prompt.asked import WAYS, asked_directions
from ..t2c_core.prompt.directions import Direction, find_directions
from ..t2c_core.prompt.paces import find_paces, frames_in
from ..t2c_core.prompt.scene import moving_words
from ..t2c_core.segment.regions import within
from ..t2c_core.types import Attention, FluidRegions, MotionField, MotionHints
from . import networks, sockets
from .support import explained, handed_on, one_mask, one_picture, same_size

METHODS = ["fluid solver", "network"]


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
                io.Combo.Input(
                    "method",
                    options=METHODS,
                    default="fluid solver",
                    tooltip="'fluid solver' needs no model: a smooth field that keeps to arrows, banks and streaks. "
                    "'network' is the paper's, from Load T2C Model.",
                ),
                io.Combo.Input(
                    "direction",
                    options=list(WAYS),
                    default="from prompt",
                    tooltip="Where the fluid goes far from any arrow. 'from prompt' uses the directions in the "
                    "prompt; without any, and without arrows, falls go down, smoke and fire up, all else right. "
                    "'custom angle' uses the angle below; 'arrows only' leaves it to the arrows.",
                ),
                io.String.Input(
                    "prompt",
                    default="",
                    multiline=True,
                    dynamic_prompts=False,
                    tooltip="For 'from prompt': any text with a direction, as in 'a river flowing in right to left, "
                    "downwards direction' or 'a waterfall falling down and clouds drifting to the right'.",
                ),
                io.Float.Input(
                    "angle",
                    default=270.0,
                    min=-360.0,
                    max=360.0,
                    step=1.0,
                    tooltip="For 'custom angle', in degrees counter-clockwise: 0 right, 90 up, 180 left, 270 down.",
                ),
                io.Float.Input(
                    "speed",
                    default=1.0,
                    min=0.0,
                    max=16.0,
                    step=0.05,
                    tooltip="Pixels per frame of a 512 pixel picture along the direction; multiplies the speeds of "
                    "arrows. Larger pictures move proportionally more pixels.",
                ),
                io.Float.Input(
                    "smoothness",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="How evenly the motion spreads between arrows.",
                ),
                io.Float.Input(
                    "incompressibility",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="How strictly the fluid keeps its volume: high for water that runs faster in narrow places "
                    "and swirls behind rocks, low for smoke, fire and clouds that spread.",
                ),
                io.Float.Input(
                    "follow_streaks",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="How much the motion turns along streaks visible in the picture, as in "
                    "long-exposure water.",
                ),
                io.Float.Input(
                    "perspective",
                    default=0.0,
                    min=-1.0,
                    max=1.0,
                    step=0.05,
                    tooltip="How much slower the far part moves. Above 0 the bottom is near (a river, the sea), below "
                    "0 the top is near (a sky).",
                ),
                io.Combo.Input(
                    "limit",
                    options=list(LIMITS),
                    default="paper",
                    tooltip="For 'network': 'paper' clamps its motion to 1 pixel per frame in each axis (of a 512 "
                    "pixel picture) as published; 'soft' lets fast water be fast.",
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
    @explained()
    def execute(
        cls,
        image: io.Image.Type,
        mask: io.Mask.Type,
        method: str,
        direction: str,
        prompt: str,
        angle: float,
        speed: float,
        smoothness: float,
        incompressibility: float,
        follow_streaks: float,
        perspective: float,
        limit: str = "paper",
        hints: MotionHints | None = None,
        attention: Attention | None = None,
        t2c_model: networks.Network | None = None,
        clip: Any = None,
        regions: FluidRegions | None = None,
    ) -> io.NodeOutput:
        picture = one_picture(image)
        fluid = same_size(one_mask(mask), picture)
        kinds = within(regions, fluid) if regions and regions.regions else FluidRegions()
        parts = _parts(fluid, kinds, direction, prompt, angle, hints)

        def angles() -> Any:
            if parts:
                return combined(parts, tuple(fluid.shape[-2:]))
            return region_angles(
                fluid, asked_directions(direction, prompt, angle, drawn=bool(hints and hints.arrows)), attention
            )

        if method == "network":
            field = _by_network(t2c_model, clip, prompt, picture, fluid, hints, angles, limit=limit, speed=speed)
        else:
            field = solve_flow(
                picture,
                fluid,
                hints or MotionHints(),
                angle=None if parts else angles(),
                parts=parts,
                speed=speed,
                smoothness=smoothness,
                incompressibility=incompressibility,
                follow_streaks=follow_streaks,
                perspective=perspective,
            )
        preview = handed_on(flow_preview(picture, field))
        frames = frames_in(prompt) or loop_length(kinds, moving_words(prompt))
        return io.NodeOutput(field, preview, frames, ui=ui.PreviewImage(preview, cls=cls))


def _parts(
    fluid: torch.Tensor, kinds: FluidRegions, direction: str, prompt: str, angle: float, hints: MotionHints | None
) -> list[FluidPart]:
    """The parts that move apart, each its own way; none where no kinds are known, or arrows alone are to say it."""
    if not kinds.regions or not (fluid > 0).any() or direction == "arrows only":
        return []
    said = find_directions(prompt)
    if direction == "custom angle":
        said = [Direction(None, f"{angle}", angle, (0, 0))]
    return class_parts(fluid, kinds, said, find_paces(prompt), hints)


def _by_network(
    model: networks.Network | None,
    clip: Any,
    prompt: str,
    picture: torch.Tensor,
    fluid: torch.Tensor,
    hints: MotionHints | None,
    angles: Callable[[], Any],
    **how: Any,
) -> MotionField:
    if model is None:
        raise InputError("t2c_model", "is not connected, but the method is 'network'.", "Connect 'Load T2C Model'.")
    if model.kind == "video":
        raise InputError("t2c_model", f"'{model.name}' is the video network.", "It belongs into 'Eulerian Warp'.")
    if model.kind == "motion":
        if clip is None:
            raise InputError("clip", "is not connected, but 'motion' reads the prompt.", "Connect that of SD 1.x.")
        how["context"] = networks.clip_context(clip, prompt)
    else:
        how.update(hints=hints, angle=None if hints and hints.arrows else angles())
    network, device = networks.ready(model, memory=2 * 2**30), model.patcher.load_device
    return predict_flow(network, picture, fluid, device=device, **how)
