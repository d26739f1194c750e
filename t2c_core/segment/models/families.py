"""The families of networks that can be loaded, by the model_type in config.json."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import InputError
from . import scoring
from .labels import INPUT


@dataclass(frozen=True)
class Family:
    """run: the function that scores with it. network: its class in transformers, from version ``since`` on.

    words: whether it reads words and needs a tokenizer. square: whether a single size in its preprocessor's settings is
    that of both sides. side: the entry of its config.json that holds the one size its positions are learned for.
    """

    run: Callable[..., Any]
    network: str
    since: str
    words: bool = False
    square: bool = True
    side: str = ""

    @property
    def classes(self) -> bool:
        """Whether it knows a fixed list of classes."""
        return self.run in (scoring.dense, scoring.proposals)


def _semantic(name: str) -> Family:
    return Family(scoring.dense, f"{name}ForSemanticSegmentation", "4.44")


FAMILIES: dict[str, Family] = {
    "mask2former": Family(scoring.proposals, "Mask2FormerForUniversalSegmentation", "4.44", square=False),
    "maskformer": Family(scoring.proposals, "MaskFormerForInstanceSegmentation", "4.44", square=False),
    "oneformer": Family(scoring.proposals, "OneFormerForUniversalSegmentation", "4.44", words=True, square=False),
    "eomt": Family(scoring.proposals, "EomtForUniversalSegmentation", "4.54", side="image_size"),
    "segformer": _semantic("Segformer"),
    "upernet": _semantic("UperNet"),
    "beit": _semantic("Beit"),
    "data2vec-vision": _semantic("Data2VecVision"),
    "dpt": _semantic("DPT"),
    "mobilenet_v2": _semantic("MobileNetV2"),
    "mobilevit": _semantic("MobileViT"),
    "mobilevitv2": _semantic("MobileViTV2"),
    "clipseg": Family(scoring.clipseg, "CLIPSegForImageSegmentation", "4.44", words=True),
    "grounding-dino": Family(scoring.grounding, "GroundingDinoForObjectDetection", "4.44", words=True, square=False),
    "mm-grounding-dino": Family(
        scoring.grounding, "MMGroundingDinoForObjectDetection", "4.55", words=True, square=False
    ),
    "sam3": Family(scoring.sam3, "Sam3Model", "5.0", words=True),
    "sam3_video": Family(scoring.sam3, "Sam3Model", "5.0", words=True),
}
BOX_SEGMENTERS: dict[str, Family] = {
    "sam": Family(scoring.shapes_in_boxes, "SamModel", "4.44", side="vision_config.image_size"),
    "sam2": Family(scoring.shapes_in_boxes, "Sam2Model", "4.56"),
    "sam2_video": Family(scoring.shapes_in_boxes, "Sam2Model", "4.56"),
}
"""What draws the shapes in Grounding DINO's boxes."""

WORKS = (
    "Models that work: Mask2Former, OneFormer, MaskFormer, EoMT, SegFormer, UperNet, BEiT, DPT, CLIPSeg, Grounding "
    "DINO, SAM 3."
)
EXAMPLES = (
    "facebook/mask2former-swin-tiny-ade-semantic, shi-labs/oneformer_ade20k_swin_tiny, "
    "nvidia/segformer-b0-finetuned-ade-512-512, CIDAS/clipseg-rd64-refined, IDEA-Research/grounding-dino-tiny"
)


def family_of(config: Mapping[str, Any], name: str, table: Mapping[str, Family] = FAMILIES) -> Family:
    """The family a config.json belongs to. Raises InputError for any other, and for other heads of a family."""
    kind, built = config.get("model_type"), config.get("architectures") or []
    if not isinstance(kind, str):
        raise InputError(INPUT, f"'{name}' has a config.json without a model_type: it is not of transformers.", WORKS)
    if kind in BOX_SEGMENTERS and table is FAMILIES:
        problem = f"'{name}' is a {kind.upper()} model: it draws shapes in boxes, but reads no words."
        raise InputError(INPUT, problem, "Choose Grounding DINO, which finds it beside itself, or another model.")
    family = table.get(kind)
    if family is None:
        raise InputError(INPUT, f"'{name}' is a '{kind}' model, which makes no masks of what words mean.", WORKS)
    # SAM is published as a model for videos, with the detector in it.
    if built and family.network not in built and not kind.endswith("_video"):
        raise InputError(INPUT, f"'{name}' is a {built[0]}; masks need a {family.network}.", WORKS)
    return family


def network_class(family: Family) -> Any:
    """The class in the installed transformers. Raises InputError if that is too old."""
    import transformers

    found = getattr(transformers, family.network, None)
    if found is None:
        problem = f"needs {family.network}, which transformers {transformers.__version__} does not have."
        raise InputError(INPUT, problem, f"It is there from version {family.since} on: pip install -U transformers.")
    return found
