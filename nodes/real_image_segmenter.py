"""What moves in the picture, as a mask."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io, ui
from comfy_execution.graph_utils import GraphBuilder

from ..t2c_core.segment.fluid import segment_fluid
from ..t2c_core.segment.overlay import mask_overlay, regions_overlay
from ..t2c_core.segment.settings import MaskSettings
from ..t2c_core.settings import describe
from ..t2c_core.types import Attention, MotionHints
from . import segmenters, sockets
from .schema import shown_when, widgets
from .support import mask_batch, progress, report_input_errors, say, single_image, to_output_device

# Saved workflows hold the widgets' values in this order, with the model's name before the threshold.
_AFTER_MODEL = ("threshold", "freeze_outliers")
_BEFORE_MODEL = [name for name in describe(MaskSettings) if name not in _AFTER_MODEL]


class RealImageSegmenter(io.ComfyNode):
    """IMAGE and hints, a given mask or a model's name in, a tidied MASK and its T2C_REGIONS out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RealImageSegmenter",
            display_name="Real Image Segmenter",
            category=sockets.CATEGORY,
            description="Finds what moves: from arrows and strokes ('hints'), from a mask you painted ('mask'), "
            "from what the diffusion model knows of its picture ('attention'), or with a segmentation model of yours "
            "('model'), which also tells river from sky. Closes holes, drops specks, grows or "
            "shrinks the region and softens its edge. Outside the mask the loop keeps the original pixels exactly.",
            search_aliases=[
                "mask",
                "segment water",
                "grabcut",
                "what moves",
                "cinemagraph mask",
                "mask2former",
                "oneformer",
                "segformer",
                "clipseg",
                "grounding dino",
            ],
            inputs=[
                io.Image.Input("image", tooltip="One picture. For a batch put 'Rebatch Images' (batch size 1) before."),
                *widgets(MaskSettings, *_BEFORE_MODEL),
                io.Combo.Input(
                    "segmentation_model",
                    options=segmenters.names(),
                    default=segmenters.AUTO,
                    extra_dict=shown_when("method", ["model"]),
                    tooltip="For 'model': a folder in models/t2c/segmentation with config.json, model.safetensors and "
                    "preprocessor_config.json. 'auto' takes the first.",
                ),
                *widgets(MaskSettings, *_AFTER_MODEL, freeze_outliers={"optional": True}),
                sockets.Hints.Input(
                    "hints",
                    optional=True,
                    tooltip="From Motion Hints. Needed for the method 'hints'; with the others, its 'move' strokes are "
                    "added to the mask, its pins and 'freeze' strokes cut out of it.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Needed for the method 'mask': 1 (white) moves. A mask of another size is scaled to the "
                    "image's. Of several masks (from a segmentation node) all move, each as a region of its own.",
                ),
                sockets.Attention.Input(
                    "attention",
                    optional=True,
                    tooltip="From Twin Prompt Sampler: for the method 'attention' and for refine_with_attention.",
                ),
                sockets.Segmenter.Input(
                    "segmenter",
                    optional=True,
                    tooltip="From Load Segmentation Model, for the method 'model'; it goes before the widget "
                    "segmentation_model.",
                ),
            ],
            enable_expand=True,
            outputs=[
                io.Mask.Output(
                    display_name="mask", tooltip="1 where the picture moves, 0 where it stays, soft between."
                ),
                io.Image.Output(
                    display_name="preview",
                    tooltip="The picture with what moves tinted and what stays darkened; with 'model', each kind in a "
                    "colour of its own, with its name and how sure the model is.",
                ),
                sockets.Regions.Output(
                    display_name="regions",
                    tooltip="For Flow Predictor: which part of the mask is a river, which the sky. Empty but with "
                    "'model', and with 'hints' on a sky.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, segmentation_model: str = segmenters.AUTO) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A model that is not there stops only who asks for it, and with a sentence that says what to do."""
        return True

    @classmethod
    def fingerprint_inputs(cls, method: str = "", segmentation_model: str = "", **others: Any) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return segmenters.folder_fingerprint(segmentation_model) if method == "model" else ""

    @classmethod
    @report_input_errors(seed="cluster_seed", model="segmentation_model")
    def execute(
        cls,
        image: io.Image.Type,
        segmentation_model: str = segmenters.AUTO,
        hints: MotionHints | None = None,
        mask: io.Mask.Type | None = None,
        attention: Attention | None = None,
        segmenter: segmenters.ManagedSegmenter | None = None,
        **settings: Any,
    ) -> io.NodeOutput:
        chosen = MaskSettings(**settings)
        if chosen.method == "model" and segmenter is None:
            segmenters.folder(segmentation_model)
            inputs = {"image": image, "hints": hints, "mask": mask, "attention": attention, **settings}
            return _with_loader(segmentation_model, {k: v for k, v in inputs.items() if v is not None})
        photo = single_image(image)
        say("finding what moves")
        fluid = segment_fluid(
            photo,
            hints=hints,
            mask=None if mask is None else mask_batch(mask),
            attention=attention,
            model=segmenter,
            settings=chosen,
            step=progress(name="step"),
        )
        say(f"{float(fluid.mask.mean()):.0%} of the picture moves")
        regions = fluid.regions
        preview = to_output_device(
            regions_overlay(photo, regions) if regions.regions else mask_overlay(photo, fluid.mask)
        )
        return io.NodeOutput(to_output_device(fluid.mask), preview, regions, ui=ui.PreviewImage(preview, cls=cls))


def _with_loader(name: str, inputs: dict[str, Any]) -> io.NodeOutput:
    """This node again, its model from 'Load Segmentation Model': workflows from before that node choose it here."""
    graph = GraphBuilder()
    segmenter = graph.node("LoadSegmentationModel", segmentation_model=name).out(0)
    node = graph.node("RealImageSegmenter", **inputs, segmenter=segmenter)
    return io.NodeOutput(*(node.out(number) for number in range(3)), expand=graph.finalize())
