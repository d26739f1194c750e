"""Settings of the fluid's mask."""

from __future__ import annotations

from dataclasses import dataclass

from ..settings import Settings, fraction, setting
from .vocabulary import DEFAULT_VOCABULARY

METHODS: tuple[str, ...] = ("hints", "mask", "attention", "model")
CLUSTERINGS: tuple[str, ...] = ("spectral", "kmeans")
MOST_SEED = 2**32 - 1
"""scikit-learn takes no larger one."""


@dataclass(frozen=True)
class MaskSettings(Settings):
    """How the fluid's mask is found and tidied. Raises InputError, naming the setting, for a value out of range."""

    method: str = setting(
        "hints",
        "'hints' grows the region from arrows and 'move' strokes by colour and texture, away from pins and 'freeze' "
        "strokes. 'mask' takes the mask below. 'attention' needs no drawing and no other model: the words of the "
        "vocabulary choose among the regions Twin Prompt Sampler saw. 'model' asks the segmentation model for the "
        "vocabulary.",
        choices=METHODS,
    )
    detail: float = setting(
        1.0,
        "For 'hints': higher follows finer shapes (thin cascades, twigs) and takes longer.",
        low=0.25,
        high=4.0,
        step=0.25,
        when=("method", ("hints",)),
    )
    grow: float = setting(
        0.0,
        "The region grows by so many pixels; negative shrinks it.",
        low=-256.0,
        high=256.0,
        step=0.5,
        unit="pixels",
    )
    feather: float = setting(
        3.0,
        "Width of the soft edge in pixels. It lies inside the region, so nothing outside changes.",
        low=0.0,
        high=256.0,
        step=0.5,
        unit="pixels",
    )
    fill_holes: float = fraction(
        0.001,
        "Holes smaller than this fraction of the picture are closed. 0 keeps all.",
        step=5e-4,
        round=1e-4,
        advanced=True,
    )
    min_area: float = fraction(
        0.0005,
        "Islands smaller than this fraction of the picture are dropped. 0 keeps all.",
        step=5e-4,
        round=1e-4,
        advanced=True,
    )
    freeze_outliers: bool = setting(
        True,
        "For 'hints': what lies in the fluid and stands out from it by its colour (posts, leaves, a kite) stays still, "
        "unless an arrow crosses it or 'move' strokes cover it.",
        advanced=True,
        when=("method", ("hints",)),
    )
    vocabulary: str = setting(
        DEFAULT_VOCABULARY,
        "For 'attention': words of the prompt for what moves, with commas; plurals are understood. Empty: every word "
        "of the prompt for water, clouds, smoke, fire and the like. For 'model': what to look for; 'water' means "
        "rivers, lakes and the sea too.",
        when=("method", ("attention", "model")),
    )
    refine_with_attention: bool = setting(
        False,
        "For 'hints', 'mask' and 'model': replace the mask by the attention's regions that lie in it, as the paper "
        "does. Needs attention.",
        advanced=True,
    )
    clusters: int = setting(
        5,
        "Into how many kinds of regions the attention is divided. More: finer regions.",
        low=1,
        high=64,
        advanced=True,
    )
    clustering: str = setting(
        "spectral",
        "'spectral' is the paper's; 'kmeans' with 10 clusters is what it uses with directions.",
        choices=CLUSTERINGS,
        advanced=True,
    )
    overlap: float = fraction(
        0.7, "For refine_with_attention: a region counts if at least this part of it lies in the mask.", advanced=True
    )
    # Not "seed": ComfyUI's page would add a control that changes it at every run.
    cluster_seed: int = setting(
        0, "For the clustering: the same seed, the same regions.", low=0, high=MOST_SEED, advanced=True
    )
    threshold: float = setting(
        0.5,
        "For 'model': how sure it must be that a place moves. Lower takes more.",
        low=0.05,
        high=0.95,
        step=0.05,
        when=("method", ("model",)),
    )
