"""What moves in the picture, as a mask."""

from __future__ import annotations

import torch
from comfy_api.latest import io, ui

from ..t2c_core.errors import InputError
from ..t2c_core.segment.clusters import CLUSTERINGS
from ..t2c_core.segment.freeze import cut_frozen
from ..t2c_core.segment.from_attention import OVERLAP, mask_from_words
from ..t2c_core.segment.from_attention import refine_with_attention as _refined
from ..t2c_core.segment.from_hints import mask_from_hints
from ..t2c_core.segment.models.find import THRESHOLD, regions_of
from ..t2c_core.segment.overlay import mask_overlay, regions_overlay
from ..t2c_core.segment.refine import refine_mask
from ..t2c_core.segment.regions import union, within
from ..t2c_core.segment.strokes import with_strokes
from ..t2c_core.segment.vocabulary import DEFAULT_VOCABULARY, parse_vocabulary
from ..t2c_core.types import Attention, FluidRegions, MotionHints
from . import segmenters, sockets
from .support import explained, handed_on, one_mask, one_picture, progress, scaled_to

METHODS = ["hints", "mask", "attention", "model"]


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
                io.Combo.Input(
                    "method",
                    options=METHODS,
                    default="hints",
                    tooltip="'hints' grows the region from arrows and 'move' strokes by colour and texture, away from "
                    "pins and 'freeze' strokes. 'mask' takes the mask below. 'attention' needs no drawing and no other "
                    "model: the words of the vocabulary choose among the regions Twin Prompt Sampler saw. 'model' "
                    "asks the segmentation model for the vocabulary.",
                ),
                io.Float.Input(
                    "detail",
                    default=1.0,
                    min=0.25,
                    max=4.0,
                    step=0.25,
                    tooltip="For 'hints': higher follows finer shapes (thin cascades, twigs) and takes longer.",
                ),
                io.Float.Input(
                    "grow",
                    default=0.0,
                    min=-256.0,
                    max=256.0,
                    step=0.5,
                    tooltip="Pixels the region grows by; negative shrinks it.",
                ),
                io.Float.Input(
                    "feather",
                    default=3.0,
                    min=0.0,
                    max=256.0,
                    step=0.5,
                    tooltip="Width of the soft edge in pixels. It lies inside the region, so nothing outside changes.",
                ),
                io.Float.Input(
                    "fill_holes",
                    default=0.001,
                    min=0.0,
                    max=1.0,
                    step=0.0005,
                    round=0.0001,
                    tooltip="Holes smaller than this fraction of the picture are closed. 0 keeps all.",
                ),
                io.Float.Input(
                    "min_area",
                    default=0.0005,
                    min=0.0,
                    max=1.0,
                    step=0.0005,
                    round=0.0001,
                    tooltip="Islands smaller than this fraction of the picture are dropped. 0 keeps all.",
                ),
                io.String.Input(
                    "vocabulary",
                    default=DEFAULT_VOCABULARY,
                    tooltip="For 'attention': words of the prompt for what moves, with commas; plurals are understood. "
                    "Empty: every word of the prompt for water, clouds, smoke, fire and the like. For 'model': what to "
                    "look for; 'water' means rivers, lakes and the sea too.",
                ),
                io.Boolean.Input(
                    "refine_with_attention",
                    default=False,
                    tooltip="For 'hints', 'mask' and 'model': replace the mask by the attention's regions that lie in "
                    "it, as the paper does. Needs attention.",
                ),
                io.Int.Input(
                    "clusters",
                    default=5,
                    min=1,
                    max=64,
                    tooltip="Into how many kinds of regions the attention is divided. More: finer regions.",
                ),
                io.Combo.Input(
                    "clustering",
                    options=list(CLUSTERINGS),
                    default="spectral",
                    tooltip="'spectral' is the paper's; 'kmeans' with 10 clusters is what it uses with directions.",
                ),
                io.Float.Input(
                    "overlap",
                    default=OVERLAP,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="For refine_with_attention: a region counts if at least this part of it lies in the mask.",
                ),
                io.Int.Input(
                    # Not "seed": the page would add a control that changes it at every run.
                    "cluster_seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFF,
                    tooltip="For the clustering: the same seed, the same regions.",
                ),
                io.Combo.Input(
                    "segmentation_model",
                    options=segmenters.names(),
                    default=segmenters.AUTO,
                    tooltip="For 'model': a folder in models/t2c/segmentation with config.json, model.safetensors and "
                    "preprocessor_config.json. 'auto' takes the first.",
                ),
                io.Float.Input(
                    "threshold",
                    default=THRESHOLD,
                    min=0.05,
                    max=0.95,
                    step=0.05,
                    tooltip="For 'model': how sure it must be that a place moves. Lower takes more.",
                ),
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
                    "image's.",
                ),
                sockets.Attention.Input(
                    "attention",
                    optional=True,
                    tooltip="From Twin Prompt Sampler: for the method 'attention' and for refine_with_attention.",
                ),
            ],
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
                    "'model'.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, segmentation_model: str) -> bool:
        """A model that is not there stops only who asks for it, and with a sentence that says what to do."""
        return True

    @classmethod
    @explained(seed="cluster_seed")
    def execute(
        cls,
        image: io.Image.Type,
        method: str,
        detail: float,
        grow: float,
        feather: float,
        fill_holes: float,
        min_area: float,
        vocabulary: str = DEFAULT_VOCABULARY,
        refine_with_attention: bool = False,
        clusters: int = 5,
        clustering: str = "spectral",
        overlap: float = OVERLAP,
        cluster_seed: int = 0,
        segmentation_model: str = segmenters.AUTO,
        threshold: float = THRESHOLD,
        hints: MotionHints | None = None,
        mask: io.Mask.Type | None = None,
        attention: Attention | None = None,
    ) -> io.NodeOutput:
        picture, regions = one_picture(image), FluidRegions()
        how = {"clusters": clusters, "method": clustering, "seed": cluster_seed}
        if attention is None and (method == "attention" or refine_with_attention):
            wanted = "the method is 'attention'" if method == "attention" else "refine_with_attention is on"
            raise InputError("attention", f"is not connected, but {wanted}.", "Connect that of 'Twin Prompt Sampler'.")
        if method == "attention":
            found = mask_from_words(picture, attention, parse_vocabulary(vocabulary), **how)
        else:
            if method == "model":
                scores = segmenters.look(segmentation_model, picture, vocabulary, progress)
                regions = regions_of(scores, picture, threshold)
                found = union(regions)
            else:
                found = _from_hints(picture, hints, detail) if method == "hints" else _from_mask(picture, mask)
            if refine_with_attention:
                found = _refined(picture, found, attention, overlap=overlap, **how)
        drawn = hints or MotionHints()
        # Regions kept as a whole can reach under what was frozen: cut it first, so that its border is softened too. And
        # strokes last, or fill_holes and grow would cover them and a feathered one would lose its slope; pins need not
        # be: the flow is zero there.
        refined = refine_mask(
            cut_frozen(with_strokes(found, drawn), drawn),
            grow=grow,
            feather=feather,
            fill_holes=fill_holes,
            min_area=min_area,
        )
        refined = cut_frozen(refined, drawn, pins=False)
        if not (refined > 0).any():
            raise InputError(
                method,
                "leaves nothing that moves once grow, fill_holes and min_area are applied.",
                "Draw 'move' strokes over more of the fluid, lower min_area, or raise grow.",
            )
        regions = within(regions, refined) if regions.regions else regions
        shown = regions_overlay(picture, regions) if regions.regions else mask_overlay(picture, refined)
        preview = handed_on(shown)
        return io.NodeOutput(handed_on(refined), preview, regions, ui=ui.PreviewImage(preview, cls=cls))


def _from_hints(picture: torch.Tensor, hints: MotionHints | None, detail: float) -> torch.Tensor:
    if hints is None:
        raise InputError(
            "hints", "are not connected, but the method is 'hints'.", "Connect 'Motion Hints', or choose 'mask'."
        )
    return mask_from_hints(picture, hints, detail=detail)


def _from_mask(picture: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    if mask is None:
        raise InputError("mask", "is not connected, but the method is 'mask'.", "Connect a mask, or choose 'hints'.")
    given = one_mask(mask)
    if not (given > 0).any():
        raise InputError(
            "mask",
            "is empty: nothing would move.",
            "Paint what moves: right-click Load Image, 'Open in Mask Editor'. Is the mask the wrong way round? Use "
            "'Invert Mask'.",
        )
    return scaled_to(given, picture)
