"""Ranking of segmentation hypotheses by expected overlap, agreement and what lies on either side of their border."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .features import GridFeatures, blur

EDGE_WEIGHT, STEP_WEIGHT, AGREEMENT_WEIGHT = 0.6, 0.05, 0.3
MOST_CONTRAST = 0.3
WHOLE_EDGE, WHOLE_STEP = 0.92, 2.0
"""Counted for a mask without a border."""


def pairwise_iou(masks: np.ndarray) -> np.ndarray:
    """[n, n] intersection over union of masks bool [n, h, w]."""
    flat = masks.reshape(len(masks), -1).astype(np.float32)
    both, area = flat @ flat.T, flat.sum(1)
    return both / np.maximum(area[:, None] + area - both, 1)


def border_contrast(grid: GridFeatures, mask: np.ndarray) -> float:
    """Mean Lab difference across the mask's border between normalised Gaussian means of either side (sigma 3)."""
    border = _rim(mask, 3)
    means = []
    for side in (mask, ~mask):
        weight = side.astype(np.float32)[..., None]
        sums = blur(np.concatenate([grid.lab * weight, weight], -1), 3.0)[border]
        means.append(sums[:, :3] / (sums[:, 3:] + 1e-4))
    return float(np.linalg.norm(means[0] - means[1], axis=-1).mean())


def _rim(mask: np.ndarray, size: int) -> np.ndarray:
    """Pixels of the mask within ``size`` // 2 px of its outside; the image's own border is no outside."""
    solid = mask.astype(np.uint8)
    return (solid - cv2.erode(solid, np.ones((size, size), np.uint8))) > 0


def rank_masks(grid: GridFeatures, masks: Sequence[np.ndarray], evidence: np.ndarray, threshold: float) -> np.ndarray:
    """Scores [n] of masks bool [h, w]; the highest is the best.

    Expected overlap sum(q m) / (sum m + sum q (1 - m)), q = sigmoid(evidence - threshold), + 0.6 mean edge rank along
    the border + border contrast (at most 0.3) + 0.05 mean step of the evidence across the border + 0.3 mean IoU with
    the other masks.
    """
    probability = 1 / (1 + np.exp(threshold - evidence))
    total = float(probability.sum())
    scores = AGREEMENT_WEIGHT * pairwise_iou(np.stack(masks)).mean(1)
    for i, mask in enumerate(masks):
        inside = float(probability[mask].sum())
        scores[i] += inside / (mask.sum() + total - inside)
        edge, contrast, step = WHOLE_EDGE, MOST_CONTRAST, WHOLE_STEP
        if not mask.all():
            edge = float(grid.edge_rank[_rim(mask, 3)].mean())
            contrast = min(border_contrast(grid, mask), MOST_CONTRAST)
            step = float(evidence[_rim(mask, 5)].mean() - evidence[_rim(~mask, 5)].mean())
        scores[i] += EDGE_WEIGHT * edge + contrast + STEP_WEIGHT * step
    return scores
