"""The families of networks that can be loaded, by the model_type in config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import InputError
from .names import INPUT


@dataclass(frozen=True)
class Family:
    """backend: the module of this package that runs it. network: its class in transformers, from version ``since`` on.

    words: whether it reads words and needs a tokenizer. square: whether a single size in its preprocessor's settings is
    that of both sides.
    """

    backend: str
    network: str
    since: str
    words: bool = False
    square: bool = True

    @property
    def classes(self) -> bool:
        """Whether it knows a fixed list of classes."""
        return self.backend in ("dense", "queries")


def _semantic(name: str, since: str = "4.44") -> Family:
    return Family("dense", f"{name}ForSemanticSegmentation", since)


FAMILIES: dict[str, Family] = {
    "mask2former": Family("queries", "Mask2FormerForUniversalSegmentation", "4.44", square=False),
    "maskformer": Family("queries", "MaskFormerForInstanceSegmentation", "4.44", square=False),
    "oneformer": Family("queries", "OneFormerForUniversalSegmentation", "4.44", words=True, square=False),
    "eomt": Family("queries", "EomtForUniversalSegmentation", "4.54"),
    "segformer": _semantic("Segformer"),
    "upernet": _semantic("UperNet"),
    "beit": _semantic("Beit"),
    "data2vec-vision": _semantic("Data2VecVision"),
    "dpt": _semantic("DPT"),
    "mobilenet_v2": _semantic("MobileNetV2"),
    "mobilevit": _semantic("MobileViT"),
    "mobilevitv2": _semantic("MobileViTV2"),
    "clipseg": Family("clipseg", "CLIPSegForImageSegmentation", "4.44", words=True),
    "grounding-dino": Family("grounding", "GroundingDinoForObjectDetection", "4.44", words=True, square=False),
    "mm-grounding-dino": Family("grounding", "MMGroundingDinoForObjectDetection", "4.55", words=True, square=False),
    "sam3": Family("sam3", "Sam3Model", "5.0", words=True),
    "sam3_video": Family("sam3", "Sam3Model", "5.0", words=True),
}
SHAPES: dict[str, Family] = {
    "sam": Family("shapes", "SamModel", "4.44"),
    "sam2": Family("shapes", "Sam2Model", "4.56"),
    "sam2_video": Family("shapes", "Sam2Model", "4.56"),
}
"""What draws the shapes in Grounding DINO's boxes."""

KNOWN = "Mask2Former, OneFormer, MaskFormer, EoMT, SegFormer, UperNet, BEiT, DPT, CLIPSeg, Grounding DINO, SAM 3"
EXAMPLES = (
    "facebook/mask2former-swin-tiny-ade-semantic, shi-labs/oneformer_ade20k_swin_tiny, "
    "nvidia/segformer-b0-finetuned-ade-512-512, CIDAS/clipseg-rd64-refined, IDEA-Research/grounding-dino-tiny"
)


def family_of(config: Mapping[str, Any], name: str, table: Mapping[str, Family] = FAMILIES) -> Family:
    """The family a config.json belongs to. Raises InputError for any other, and for other heads of a family."""
    kind, built = config.get("model_type"), config.get("architectures") or []
    if not isinstance(kind, str):
        raise InputError(INPUT, f"'{name}' has a config.json without a model_type: it is not of transformers.", _use())
    if kind in SHAPES and table is FAMILIES:
        raise InputError(
            INPUT, f"'{name}' is a {kind.upper()} model: it draws shapes in boxes, but reads no words.",
            "Choose Grounding DINO, which finds it beside itself, or another model.",
        )  # fmt: skip
    family = table.get(kind)
    if family is None:
        raise InputError(INPUT, f"'{name}' is a '{kind}' model, which makes no masks of what words mean.", _use())
    wanted = {family.network} if kind not in ("sam3_video", "sam2_video") else set(built)
    if built and not wanted & set(built):
        raise InputError(INPUT, f"'{name}' is a {built[0]}; masks need a {family.network}.", _use())
    return family


def network_class(family: Family) -> Any:
    """The class in the installed transformers. Raises InputError if that is too old."""
    import transformers

    found = getattr(transformers, family.network, None)
    if found is None:
        raise InputError(
            INPUT,
            f"needs {family.network}, which transformers {transformers.__version__} does not have.",
            f"It is there from version {family.since} on: pip install -U transformers.",
        )
    return found


def _use() -> str:
    return f"Models that work: {KNOWN}."
