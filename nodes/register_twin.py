"""A twin by any editor: registered to the artistic picture, so that what is found in it fits."""

from __future__ import annotations

import torch
from comfy_api.latest import io, ui

from ..t2c_core.errors import InputError
from ..t2c_core.twin.register import register_twin
from . import sockets
from .support import image_batch, progress, report_input_errors, say, to_output_device


class RegisterTwin(io.ComfyNode):
    """Artistic IMAGE and a twin that is a little off in; the twin in the artistic picture's frame out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RegisterTwin",
            display_name="Register Twin",
            category=sockets.CATEGORY,
            description="Registers a twin that an image editor (Flux Kontext, Qwen-Image-Edit) or a ControlNet painted "
            "to the artistic picture: shifts, crops and small warps are taken back by dense optical flow between "
            "edges, whatever the two styles are. Find mask and flow in the registered twin, animate the artistic "
            "picture.",
            search_aliases=["align twin", "image registration", "optical flow", "kontext", "image edit", "controlnet"],
            inputs=[
                io.Image.Input("artistic", tooltip="The picture that will move; its frame is kept. Any size."),
                io.Image.Input(
                    "twin",
                    tooltip="The same scene as a photograph, by any editor: any size, a few pixels off, scaled or "
                    "cropped a little. As many as artistic pictures.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    display_name="realistic",
                    tooltip="The twin, registered and as large as the artistic picture: for Real Image Segmenter and "
                    "Flow Predictor.",
                ),
                io.Mask.Output(
                    display_name="confidence",
                    tooltip="1 where both show the same structure, 0 where they do not, where nothing can be seen "
                    "(plain areas) and outside the twin; there the displacement is that of the surroundings.",
                ),
            ],
        )

    @classmethod
    @report_input_errors()
    def execute(cls, artistic: torch.Tensor, twin: torch.Tensor) -> io.NodeOutput:
        pictures, twins = image_batch(artistic, "artistic"), image_batch(twin, "twin")
        if len(pictures) != len(twins):
            raise InputError(
                "twin",
                f"holds {len(twins)} pictures, artistic {len(pictures)}.",
                "Choose those that belong together with 'Get Image from Batch'.",
            )
        step, registered = progress(len(pictures)), []
        for number in range(len(pictures)):
            step(number)
            registered.append(register_twin(pictures[number : number + 1], twins[number : number + 1]))
        step(len(pictures))
        realistic = to_output_device(torch.cat([each.twin for each in registered]))
        confidence = to_output_device(torch.cat([each.confidence for each in registered]))
        moved = torch.cat([each.displacement for each in registered]).norm(dim=1).flatten(1).median(dim=1).values.mean()
        say(f"moved by {moved:.1f} px, the same structure on {(confidence > 0.5).float().mean():.0%}")
        return io.NodeOutput(realistic, confidence, ui=ui.PreviewImage(realistic, cls=cls))
