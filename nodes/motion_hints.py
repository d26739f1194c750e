"""Arrows, pins and strokes: what the user says about the motion."""

from __future__ import annotations

import hashlib
from pathlib import Path

import folder_paths
import torch
from comfy_api.latest import io, ui
from PIL import Image

from ..t2c_core.errors import InputError
from ..t2c_core.geometry import fit_longest_side
from ..t2c_core.hints import format_hints, parse_hints
from ..t2c_core.io.files import atomic_write
from ..t2c_core.io.images import to_uint8
from ..t2c_core.segment.strokes import mask_from_strokes
from ..t2c_core.types import MotionHints
from . import sockets
from .support import error_text, image_batch, report_input_errors, to_output_device

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
    def validate_inputs(cls, hints: str | None = None) -> bool | str:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Refuse bad JSON before the graph starts; a linked text is unknown here and read in execute."""
        try:
            parse_hints(hints or "")
        except InputError as error:
            return error_text(cls, error)
        return True

    @classmethod
    @report_input_errors()
    def execute(cls, hints: str, image: io.Image.Type | None = None) -> io.NodeOutput:
        drawn = parse_hints(hints)
        images = None if image is None else image_batch(image)
        height, width = (DEFAULT_SIZE, DEFAULT_SIZE) if images is None else images.shape[1:3]
        strokes = to_output_device(mask_from_strokes(drawn, height, width))
        output = io.NodeOutput(drawn, strokes)
        if images is not None:
            output.ui = {"t2c_picture": [_editor_image(images[0])]}
        return output


def _editor_image(image: torch.Tensor) -> ui.SavedResult:
    """The image for the editor, at most 2048 pixels large, in the folder for temporary files."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    size = fit_longest_side(image.shape[0], image.shape[1], EDITOR_SIZE)
    small = torch.nn.functional.interpolate(image.permute(2, 0, 1)[None], size, mode="area")
    pixels = to_uint8(small[0].permute(1, 2, 0))
    # Named by its content: the same image is written once, however often it is queued.
    name = f"t2c_picture_{hashlib.sha256(pixels.tobytes()).hexdigest()[:24]}.jpg"
    if not (folder / name).exists():
        with atomic_write(folder / name) as temporary:
            Image.fromarray(pixels).save(temporary, "JPEG", quality=92)
    return ui.SavedResult(name, "", io.FolderType.temp)
