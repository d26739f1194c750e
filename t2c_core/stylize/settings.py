"""Settings of the photo painter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..settings import Settings, fraction, setting

FROM_PICTURE = "from picture"
STYLES: Mapping[str, Mapping[int, float]] = MappingProxyType(
    {
        "watercolour": {14: 0.7, 25: 0.3},
        "thick oil": {19: 0.5, 25: 0.5},
        "swirling oil": {19: 1.0},
        "dry brush": {25: 1.0},
        "blue and gold": {19: 0.6, 12: 0.4},
        "sea blues": {19: 0.6, 14: 0.4},
        "warm oil": {5: 1.0},
        "soft pastel": {12: 0.7, 25: 0.3},
        "crayon": {16: 0.6, 19: 0.4},
        "ink and wash": {2: 0.7, 25: 0.3},
        "pen on ochre": {11: 0.7, 19: 0.3},
        "woodcut": {18: 1.0},
        "block print": {24: 1.0},
        "stained glass": {15: 1.0},
        "dabs": {9: 1.0},
        "burnt sienna": {10: 0.7, 25: 0.3},
        "vivid outlines": {13: 1.0},
    }
)
"""Names (of what they look like; the networks have none) to weights of the built-in styles, the default first."""
DEFAULT_STYLE = next(iter(STYLES))


@dataclass(frozen=True)
class PaintSettings(Settings):
    """Settings of `paint.paint`."""

    style: str = setting(
        DEFAULT_STYLE,
        "How it is painted. 'from picture' takes colours and strokes of the style_picture. Oil, dry brush, crayon, "
        "woodcut and dabs leave marks in calm water too, so that its motion shows best.",
        choices=(*STYLES, FROM_PICTURE),
    )
    strength: float = fraction(1.0, "1 is all paint; lower lets the photograph shine through; 0 is the photograph.")
    brush: float = setting(
        0.6,
        "Size of the strokes, relative to the picture. Smaller keeps more of the photograph and takes longer.",
        low=0.5,
        high=2.0,
        step=0.1,
    )
    preserve_colour: bool = setting(False, "Paint brightness only and keep the photograph's colours.")
