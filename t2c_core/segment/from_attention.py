"""What moves, with the help of a diffusion model's attention: masks sharpened by its regions, or found from words.

The paper keeps the regions of the self-attention that lie in a mask by at least 70 %. On its coarse grid their borders
are stairs; here they are brought onto the picture's edges afterwards, unless asked for as published.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from ..errors import InputError
from ..types import Attention
from .clusters import cluster_places, connected_regions
from .vocabulary import matching, telling
from .walker import at_full_size, features_of, walk

OVERLAP = 0.7
WORKING_SIZE = 288


def enlarged(grid: np.ndarray, height: int, width: int) -> np.ndarray:
    """[h, w] by nearest neighbour at [height, width]: each pixel takes the place its centre lies in."""
    y = ((np.arange(height) + 0.5) * grid.shape[0] / height).astype(int)
    x = ((np.arange(width) + 0.5) * grid.shape[1] / width).astype(int)
    return grid[y[:, None], x[None]]


def keep_overlapping(regions: np.ndarray, mask: np.ndarray, overlap: float = OVERLAP) -> np.ndarray:
    """bool [H, W]: the regions (int [H, W]) of which at least the part ``overlap`` lies where ``mask`` (bool) is set.

    Regions count as a whole: what of them lies outside the mask is kept too. Raises InputError('overlap') outside 0..1.
    """
    if not 0.0 <= overlap <= 1.0:
        raise InputError("overlap", f"is {overlap}; it must lie between 0 and 1.")
    sizes = np.bincount(regions.ravel())
    inside = np.bincount(regions[mask], minlength=len(sizes))
    return (inside >= overlap * np.maximum(sizes, 1) - 1e-9)[regions] & (inside > 0)[regions]


def eroded(mask: np.ndarray, size: int = 5, iterations: int = 0) -> np.ndarray:
    """bool [H, W] eroded by a square; the picture's border never erodes. Raises InputError for amounts below 0."""
    if iterations < 0 or size < 1:
        raise InputError("erosion", f"of {iterations} x {size} pixels cannot be; sizes start at 1, counts at 0.")
    if not iterations:
        return mask
    square = np.ones((size, size), np.uint8)
    return cv2.erode(mask.astype(np.uint8), square, iterations=iterations) > 0


def refine_with_attention(
    picture: torch.Tensor,
    mask: torch.Tensor,
    attention: Attention,
    *,
    clusters: int = 5,
    method: str = "spectral",
    overlap: float = OVERLAP,
    seed: int = 0,
    as_published: bool = False,
) -> torch.Tensor:
    """A mask [1, H, W] replaced by the attention's regions that lie in it; float32 [1, H, W], 0 or 1.

    picture: [1, H, W, 3] in 0..1, the one the mask belongs to. The mask counts where it is at least 0.5.
    as_published: stairs of the attention's grid instead of the picture's edges.
    Raises InputError('overlap') if no region is left, ('mask') for a mask of another size than the picture.
    """
    if mask.shape[-2:] != picture.shape[1:3]:
        raise InputError(
            "mask",
            f"is {mask.shape[-1]}x{mask.shape[-2]}, the image {picture.shape[2]}x{picture.shape[1]}.",
            "Scale one of them to the other's size.",
        )
    height, width = mask.shape[-2:]
    regions = connected_regions(cluster_places(attention, clusters, method, seed))
    kept = keep_overlapping(enlarged(regions, height, width), mask[0].cpu().numpy() >= 0.5, overlap)
    if not kept.any():
        raise InputError(
            "overlap",
            f"of {overlap} leaves none of the attention's {regions.max() + 1} regions.",
            "Lower it, or ask for more clusters.",
        )
    if as_published:
        return torch.from_numpy(kept.astype(np.float32))[None]
    return snapped(picture, kept, attention.grid)


def snapped(picture: torch.Tensor, kept: np.ndarray, grid: tuple[int, int]) -> torch.Tensor:
    """A blocky mask, bool [H, W], with its border moved onto the picture's edges within one place of the grid.

    Farther inside and outside nothing changes. Float32 [1, H, W], 0 or 1.
    """
    rgb = picture[0, ..., :3].float().cpu().clamp(0, 1).numpy()
    full = rgb.shape[:2]
    scale = min(1.0, WORKING_SIZE / max(full))
    height, width = (max(8, round(s * scale)) for s in full)
    small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    inside = cv2.resize(kept.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
    reach = max(height / grid[0], width / grid[1])
    padded = np.pad(inside, 1, mode="edge").astype(np.uint8)
    depth = [cv2.distanceTransform(part, cv2.DIST_L2, 5)[1:-1, 1:-1] for part in (padded, 1 - padded)]
    seeds = np.where(depth[0] > reach, 1, np.where(depth[1] > reach, 2, 0))
    if not (seeds == 0).any():
        return torch.from_numpy(kept.astype(np.float32))[None]
    # A soft slope over the band instead of the stairs: the edges decide within it.
    prior = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), max(reach / 2, 0.5))
    probability = walk(features_of(small), seeds, prior)
    smooth = at_full_size(probability, rgb)
    return torch.from_numpy((smooth > 0.5).astype(np.float32))[None]


def word_score(attention: Attention, vocabulary: Sequence[str]) -> np.ndarray:
    """How much each place means the vocabulary's words, float32 [h, w] in 0..1.

    Half how much attention goes to these words, half how much of all words' attention does: maps of single words have a
    high floor and are all bright where the picture is busy. Raises InputError('attention') without heat maps,
    InputError('vocabulary') if no such word is in the prompt.
    """
    if attention.heat is None or not attention.words:
        raise InputError(
            "attention", "has no heat maps of words: the tokenizer's words are not known.", "Use another method."
        )
    chosen = matching(attention.words, vocabulary)
    heat = attention.heat.float().numpy()
    if not np.isfinite(heat).all():
        raise InputError("attention", "contains NaN or infinite values.", "Sample again, in another precision.")
    heat = heat / np.maximum(heat.max(axis=(1, 2), keepdims=True), 1e-12)
    others = sorted(set(telling(attention.words)) | set(chosen))
    alone = heat[chosen].max(0)
    share = alone / np.maximum(heat[others].sum(0), 1e-12)
    return ((_stretched(alone) + _stretched(share)) / 2).astype(np.float32)


def _stretched(values: np.ndarray) -> np.ndarray:
    low, high = np.percentile(values, (2, 98))
    return np.clip((values - low) / max(high - low, 1e-12), 0, 1)


def mask_from_words(
    picture: torch.Tensor,
    attention: Attention,
    vocabulary: Sequence[str],
    *,
    clusters: int = 5,
    method: str = "spectral",
    seed: int = 0,
) -> torch.Tensor:
    """The mask of what the vocabulary's words mean, float32 [1, H, W], 0 or 1, at the picture's size.

    The regions of the self-attention whose mean word score reaches Otsu's threshold of all scores; at least the best.
    picture: [1, H, W, 3] in 0..1, either of the twins. Raises InputError as `word_score` and `cluster_places` do.
    """
    score = word_score(attention, vocabulary)
    regions = connected_regions(cluster_places(attention, clusters, method, seed))
    means = np.bincount(regions.ravel(), score.ravel()) / np.bincount(regions.ravel())
    levels = np.round(score * 255).astype(np.uint8)
    threshold, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    kept = means >= min(threshold / 255, means.max())
    height, width = picture.shape[1:3]
    return snapped(picture, enlarged(kept[regions], height, width), attention.grid)
