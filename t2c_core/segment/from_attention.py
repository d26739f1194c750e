"""Segmentation by a diffusion model's attention: masks refined by its regions, or selected by words.

The paper keeps the regions of the self-attention that lie in a mask by at least 70 %. On its coarse grid their borders
are stairs; here they are brought onto the image's edges afterwards, unless asked for as published.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from ..errors import InputError
from ..geometry import connected_to
from ..types import Attention
from .clusters import cluster_tokens, connected_regions
from .interactive.strokes import snap_border
from .refine import grow_mask
from .settings import MaskSettings
from .upsample import guided_upsample, to_rgb
from .vocabulary import content_word_indices, match_indices, parse_vocabulary

BORDER_WEIGHT = 1.5
"""Of the regions beside the image's edges, where the border is cut."""


def resize_nearest(grid: np.ndarray, height: int, width: int) -> np.ndarray:
    """Nearest-neighbour upsampling of [h, w] to [height, width], pixel centres aligned."""
    y = ((np.arange(height) + 0.5) * grid.shape[0] / height).astype(int)
    x = ((np.arange(width) + 0.5) * grid.shape[1] / width).astype(int)
    return grid[y[:, None], x[None]]


def keep_overlapping(regions: np.ndarray, mask: np.ndarray, overlap: float = MaskSettings.overlap) -> np.ndarray:
    """bool [H, W]: the regions (int [H, W]) of which at least the part ``overlap`` lies where ``mask`` (bool) is set.

    Regions count as a whole: what of them lies outside the mask is kept too.
    """
    sizes = np.bincount(regions.ravel())
    inside = np.bincount(regions[mask], minlength=len(sizes))
    return (inside >= overlap * np.maximum(sizes, 1) - 1e-9)[regions] & (inside > 0)[regions]


def overlapping_regions(
    mask: torch.Tensor, attention: Attention, settings: MaskSettings = MaskSettings()
) -> np.ndarray:
    """bool [H, W]: the attention's regions that lie in ``mask`` [1, H, W] where it is at least 0.5, as published.

    Raises InputError('overlap') if no region is left.
    """
    height, width = mask.shape[-2:]
    regions = connected_regions(cluster_tokens(attention, settings))
    kept = keep_overlapping(resize_nearest(regions, height, width), mask[0].cpu().numpy() >= 0.5, settings.overlap)
    if not kept.any():
        problem = f"of {settings.overlap} leaves none of the attention's {regions.max() + 1} regions."
        raise InputError("overlap", problem, "Lower it, or ask for more clusters.")
    return kept


def snap_to_edges(image: torch.Tensor, kept: np.ndarray, grid: tuple[int, int]) -> torch.Tensor:
    """A blocky mask, bool [H, W], with its border cut along the image's edges; float32 [1, H, W] of 0 and 1.

    grid: rows and columns of its blocks. Farther than one of them inside and outside nothing changes, and a connected
    component of which the cut leaves nothing stays as it is.
    """
    rgb = np.ascontiguousarray(to_rgb(image))
    reach = max(side / blocks for side, blocks in zip(kept.shape, grid, strict=True))
    border = snap_border(rgb, kept, sigma=reach / 2 / max(kept.shape), weight=BORDER_WEIGHT)
    cut = (guided_upsample(border, rgb) > 0.5) | grow_mask(kept, -reach)
    cut &= grow_mask(kept, reach)
    lost = kept & ~connected_to(kept, cut)
    return torch.from_numpy((cut | lost).astype(np.float32))[None]


def word_score(attention: Attention, vocabulary: Sequence[str]) -> np.ndarray:
    """Score of the vocabulary's words by cross-attention, float32 [h, w] in 0..1.

    Half how much attention goes to these words, half how much of all words' attention does: maps of single words have a
    high floor and are all bright where the image is busy. Raises InputError('attention') without heat maps,
    InputError('vocabulary') if no such word is in the prompt.
    """
    if attention.heat is None or not attention.words:
        raise InputError(
            "attention",
            f"has no heat maps of words{f': {attention.heat_problem}' if attention.heat_problem else ''}.",
            "Use another method.",
        )
    chosen = match_indices(attention.words, vocabulary)
    heat = attention.heat.float().numpy()
    if not np.isfinite(heat).all():
        raise InputError("attention", "contains NaN or infinite values.", "Sample again, in another precision.")
    heat = heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), 1e-12)
    others = sorted(set(content_word_indices(attention.words)) | set(chosen))
    alone = heat[chosen].max(0)
    share = alone / np.maximum(heat[others].sum(0), 1e-12)
    return ((_stretched(alone) + _stretched(share)) / 2).astype(np.float32)


def _stretched(values: np.ndarray) -> np.ndarray:
    low, high = np.percentile(values, (2, 98))
    return np.clip((values - low) / max(high - low, 1e-12), 0, 1)


def mask_from_words(image: torch.Tensor, attention: Attention, settings: MaskSettings = MaskSettings()) -> torch.Tensor:
    """The mask of what the vocabulary's words mean, float32 [1, H, W], 0 or 1, at the image's size.

    The regions of the self-attention whose mean word score exceeds Otsu's threshold of all scores; at least the best.
    image: [1, H, W, 3] in 0..1, either of the twins. Raises InputError as `word_score` and `cluster_tokens` do.
    """
    score = word_score(attention, parse_vocabulary(settings.vocabulary))
    regions = connected_regions(cluster_tokens(attention, settings))
    means = np.bincount(regions.ravel(), score.ravel()) / np.bincount(regions.ravel())
    levels = np.round(score * 255).astype(np.uint8)
    threshold, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    kept = (means > threshold / 255) | (means == means.max())
    height, width = image.shape[1:3]
    return snap_to_edges(image, resize_nearest(kept[regions], height, width), attention.grid)
