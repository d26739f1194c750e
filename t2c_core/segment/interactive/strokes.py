"""Interactive segmentation: from scribbles on fluid and background to the fluid's mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .classifier import FLUIDS, Classifier, Head
from .features import GridFeatures, blur, grid_features, resize
from .proposals import Scribbles, grid_cut, propose, propose_class
from .ranking import rank_masks

GRID_SIDE = 128
"""Longer side of the grid that masks are cut and compared on."""
BORDER_SIDE = 288
"""Longer side of the grid that the chosen mask's border is cut on."""
BORDER_WEIGHT, BORDER_SMOOTHNESS = 6.0, 3.0
THRESHOLDS = (1.0, 2.0)
"""Of the evidence, for sky and for water."""
SURE, APART = 0.8, 0.3
"""Strokes are apart if one is on sky with this probability and another by so much less likely."""


def covered_cells(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """bool [h, w]: cells of a grid of ``size`` that ``mask`` covers at least a third as well as the best-covered."""
    cover = resize(mask.astype(np.float32), *size)
    return cover >= max(float(cover.max()) / 3, 1e-6)


def segment_together(
    grid: GridFeatures, head: Head, features: np.ndarray, drawn: np.ndarray, pinned: np.ndarray
) -> np.ndarray:
    """The mask bool [h, w] of the region that holds ``drawn`` and not ``pinned``, both bool [h, w].

    Its evidence is the mean of the adapted classes' scores, by how likely each class is under the strokes.
    """
    scribbles = Scribbles(grid, drawn, pinned)
    strokes, pins = (features[covered_cells(m, features.shape[:2])] for m in (scribbles.seeds, pinned))
    likely = head.fluid_probabilities(strokes)
    score = resize(features @ (head.solve(strokes, pins)[:, :FLUIDS] @ likely).astype(np.float32), *grid.size)
    evidence = np.clip(4 * score, -4, 4) - 1.2 * np.clip(scribbles.distance - 0.5, -0.5, 1)
    pool = propose(scribbles)
    propose_class(pool, scribbles, evidence)
    return pool.masks[int(rank_masks(grid, pool.masks, evidence, float(likely @ THRESHOLDS)).argmax())]


def group_by_class(strokes: Sequence[np.ndarray], skies: Sequence[float]) -> list[tuple[np.ndarray, float]]:
    """(pixels of strokes, bool [h, w], how likely they are sky): all in one group, or in two, the sky first, where
    these probabilities differ widely."""
    low, high = min(skies), max(skies)
    if high < SURE or high - low < APART:
        return [(np.any(strokes, axis=0), float(np.mean(skies)))]
    groups = []
    for side in (True, False):
        members = [k for k, probability in enumerate(skies) if (probability > (low + high) / 2) == side]
        groups.append((np.any([strokes[k] for k in members], axis=0), float(np.mean([skies[k] for k in members]))))
    return groups


def snap_border(
    rgb: np.ndarray,
    mask: np.ndarray,
    side: int = BORDER_SIDE,
    *,
    sigma: float = 1 / GRID_SIDE,
    weight: float = BORDER_WEIGHT,
) -> np.ndarray:
    """``mask`` with its border cut anew along the image's edges, float32 [h', w'] (0 or 1), longer side ``side``.

    sigma: how far off the border may be, as a part of the longer side. weight: of the mask beside the edges.
    """
    grid = grid_features(rgb, side)
    soft = blur(resize(mask.astype(np.float32), *grid.size), sigma * max(grid.size))
    return grid_cut(grid)(weight * (2 * soft - 1), BORDER_SMOOTHNESS).astype(np.float32)


def segment_strokes(
    rgb: np.ndarray, drawn: Sequence[np.ndarray], pinned: np.ndarray, classifier: Classifier, *, detail: float = 1.0
) -> list[tuple[np.ndarray, float]]:
    """(mask float32 [h, w], 0 or 1, how likely it is sky) of what strokes lie on: sky and water apart.

    On a grid with the longer side 288 times ``detail`` or the image's. rgb: [H, W, 3] float32 in 0..1. drawn: for each
    stroke on the fluid its pixels, bool [g, g']; pinned: those of what stays; both on the grid with the longer side
    GRID_SIDE.
    """
    grid = grid_features(rgb, GRID_SIDE)
    features = classifier.features(rgb)
    shape = features.shape[:2]
    skies = [float(classifier.head.fluid_probabilities(features[covered_cells(s, shape)])[0]) for s in drawn]
    side = round(BORDER_SIDE * detail)
    return [
        (snap_border(rgb, segment_together(grid, classifier.head, features, group, pinned), side), sky)
        for group, sky in group_by_class(drawn, skies)
    ]
