"""Arrows, pins and strokes: what the user says about the motion."""

from __future__ import annotations

from comfy_api.latest import io

from ..t2c_core.errors import InputError
from ..t2c_core.hints import format_hints, parse_hints
from ..t2c_core.segment.strokes import mask_from_strokes
from ..t2c_core.types import MotionHints
from . import sockets
from .support import error_text, explained, handed_on, pictures

DEFAULT_SIZE = 512


class MotionHintsNode(io.ComfyNode):
    """JSON in, T2C_HINTS and the strokes as a MASK out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MotionHints",
            display_name="Motion Hints",
            category=sockets.CATEGORY,
            description="Where the water, clouds, smoke or fire goes: arrows along the motion, pins on what stays "
            "still, brush strokes over what moves or must not move. Coordinates are fractions of the picture, so the "
            "same hints fit the picture at any size.",
            search_aliases=["arrows", "motion brush", "cinemagraph hints", "drag", "draw flow"],
            inputs=[
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The picture the hints belong to. It only gives the strokes mask its size; without it the "
                    "mask is 512x512.",
                ),
                io.String.Input(
                    "hints",
                    multiline=True,
                    default=format_hints(MotionHints()),
                    dynamic_prompts=False,
                    tooltip="JSON with three lists. arrows: points (pairs x, y from 0 at the left or top to 1 at the "
                    "right or bottom) and speed in pixels per frame of a 512 pixel picture. pins: points that stay "
                    "still. strokes: points, radius (fraction of the longer side) and mode, 'move' or 'freeze'. "
                    "The help page has an example.",
                ),
            ],
            outputs=[
                sockets.Hints.Output(
                    display_name="hints", tooltip="For Real Image Segmenter and Flow Predictor: arrows, pins, strokes."
                ),
                io.Mask.Output(
                    display_name="strokes mask",
                    tooltip="1 under 'move' strokes that no later 'freeze' stroke covers, 0 elsewhere.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, hints: str | None = None) -> bool | str:
        """Refuse bad JSON before the graph starts; a linked text is unknown here and read in execute."""
        try:
            parse_hints(hints or "")
        except InputError as error:
            return error_text(cls, error)
        return True

    @classmethod
    @explained()
    def execute(cls, hints: str, image: io.Image.Type | None = None) -> io.NodeOutput:
        drawn = parse_hints(hints)
        height, width = (DEFAULT_SIZE, DEFAULT_SIZE) if image is None else pictures(image).shape[1:3]
        return io.NodeOutput(drawn, handed_on(mask_from_strokes(drawn, height, width)))
