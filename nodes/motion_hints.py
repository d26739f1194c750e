"""Arrows, pins and strokes: what the user says about the motion."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import folder_paths
import torch
from comfy_api.latest import io, ui
from PIL import Image

from ..t2c_core.errors import InputError
from ..t2c_core.hints import format_hints, parse_hints
from ..t2c_core.segment.strokes import mask_from_strokes
from ..t2c_core.types import MotionHints
from . import sockets
from .support import error_text, explained, handed_on, pictures

DEFAULT_SIZE = 512
EDITOR_SIZE = 2048


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
                    tooltip="The picture to draw on. It gives the strokes mask its size; without it the mask is "
                    "512x512.",
                ),
                io.String.Input(
                    "hints",
                    multiline=True,
                    default=format_hints(MotionHints()),
                    dynamic_prompts=False,
                    tooltip="What the editor draws, as JSON with three lists. arrows: points (pairs x, y from 0 at the "
                    "left or top to 1 at the right or bottom) and speed in pixels per frame of a 512 pixel picture. "
                    "pins: points that stay still. strokes: points, radius (fraction of the longer side), mode 'move', "
                    "'freeze' or 'erase', and feather. The help page has an example.",
                ),
            ],
            outputs=[
                sockets.Hints.Output(
                    display_name="hints", tooltip="For Real Image Segmenter and Flow Predictor: arrows, pins, strokes."
                ),
                io.Mask.Output(
                    display_name="strokes mask",
                    tooltip="1 under 'move' strokes that no later stroke covers, 0 elsewhere.",
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
        seen = None if image is None else pictures(image)
        height, width = (DEFAULT_SIZE, DEFAULT_SIZE) if seen is None else seen.shape[1:3]
        strokes = handed_on(mask_from_strokes(drawn, height, width))
        return io.NodeOutput(drawn, strokes, ui=None if seen is None else {"t2c_picture": [_shown(seen[0])]})


def _shown(picture: torch.Tensor) -> ui.SavedResult:
    """The picture for the editor, at most 2048 pixels large, in the folder for temporary files."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    scale = min(1.0, EDITOR_SIZE / max(picture.shape[:2]))
    size = [max(1, round(side * scale)) for side in picture.shape[:2]]
    small = picture.permute(2, 0, 1)[None]
    if scale < 1.0:
        small = torch.nn.functional.interpolate(small, size, mode="area")
    pixels = (small[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    # Named by its content: the same picture is written once, however often it is queued.
    name = f"t2c_picture_{hashlib.sha256(pixels.tobytes()).hexdigest()[:24]}.jpg"
    if not (folder / name).exists():
        temporary = folder / f"{name}.{uuid.uuid4().hex}.part"
        Image.fromarray(pixels).save(temporary, "JPEG", quality=92)
        temporary.replace(folder / name)
    return ui.SavedResult(name, "", io.FolderType.temp)
