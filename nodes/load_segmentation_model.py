"""A segmentation model from its folder."""

from __future__ import annotations

from comfy_api.latest import io

from . import segmenters, sockets
from .support import report_input_errors, say


class LoadSegmentationModel(io.ComfyNode):
    """A folder of models/t2c/segmentation in, T2C_SEGMENTER out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoadSegmentationModel",
            display_name="Load Segmentation Model",
            category=sockets.CATEGORY,
            description="Loads a segmentation model of yours for Real Image Segmenter: Mask2Former, OneFormer, "
            "SegFormer, CLIPSeg, Grounding DINO with SAM, SAM 3 and others. Which kind it is shows in its config.json.",
            search_aliases=["mask2former", "oneformer", "segformer", "clipseg", "grounding dino", "sam", "segment"],
            inputs=[
                io.Combo.Input(
                    "segmentation_model",
                    options=segmenters.names(),
                    default=segmenters.AUTO,
                    tooltip="A folder in models/t2c/segmentation with config.json, model.safetensors and "
                    "preprocessor_config.json. 'auto' takes the first.",
                )
            ],
            outputs=[
                sockets.Segmenter.Output(
                    display_name="segmenter", tooltip="For Real Image Segmenter with the method 'model'."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, segmentation_model: str) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A model that is not there is answered by `execute`, with a sentence that says what to put where."""
        return True

    @classmethod
    def fingerprint_inputs(cls, segmentation_model: str) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return segmenters.folder_fingerprint(segmentation_model)

    @classmethod
    @report_input_errors()
    def execute(cls, segmentation_model: str) -> io.NodeOutput:
        say("loading the model")
        loaded = segmenters.load(segmentation_model)
        say("loaded")
        return io.NodeOutput(loaded)
