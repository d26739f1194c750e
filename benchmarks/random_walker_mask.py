"""The baseline for masks from strokes: a random walker with priors, as the pack had it first.

Grady, "Multilabel random walks for image segmentation with prior models", CVPR 2005: arrows and move strokes are seeds
of the fluid, pins and freeze strokes seeds of what stays; two Gaussian mixtures of colour and texture give the prior.
"""

from __future__ import annotations

import cv2
import numpy as np
import scipy.sparse as sp
import torch
from sklearn.mixture import GaussianMixture

from t2c_core.geometry import connected_to, fit_longest_side
from t2c_core.segment.from_hints import rasterise_hints
from t2c_core.segment.upsample import guided_upsample, to_rgb
from t2c_core.sparse.laplacian import laplacian, neighbor_pairs
from t2c_core.sparse.solve import solve
from t2c_core.types import MotionHints

COMPONENTS = 5
EDGE_SHARPNESS = 60.0
PRIOR_WEIGHT = 0.02
WORKING_SIZE = 288
"""Longer side in px of the grid on which a random walker runs."""


def color_texture_features(rgb: np.ndarray) -> np.ndarray:
    """Features [H, W, 6] float64 with zero mean and unit variance: Lab colour, local contrast of L at three scales."""
    lab = cv2.cvtColor(rgb.astype(np.float32), cv2.COLOR_RGB2Lab)
    luma = lab[..., 0]
    channels = [*cv2.split(cv2.GaussianBlur(lab, (0, 0), 0.8))]
    for sigma in (1.5, 3.0, 6.0):
        mean = cv2.GaussianBlur(luma, (0, 0), sigma)
        variance = cv2.GaussianBlur(luma * luma, (0, 0), sigma) - mean * mean
        channels.append(np.log(np.sqrt(np.maximum(variance, 0)) + 1.0))
    f = np.stack(channels, -1).astype(np.float64)
    spread = f.reshape(-1, f.shape[-1]).std(0)
    return (f - f.reshape(-1, f.shape[-1]).mean(0)) / np.maximum(spread, 1e-3)


def random_walker(features: np.ndarray, seeds: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Random walker with a prior: (L + w) p = w prior, w = 1000 at the seeds, whose prior is their label.

    features: [H, W, >= 3], of which the first three weight the edges. seeds: [H, W] of 0 (none), 1 (fluid) and 2
    (still). prior: [H, W] in 0..1. Returns the probability of fluid [H, W].
    """
    height, width = seeds.shape
    edges = neighbor_pairs(np.arange(height * width).reshape(height, width))
    f = features[..., :3].reshape(height * width, 3)
    weights = np.exp(-EDGE_SHARPNESS / 10 * ((f[edges[0]] - f[edges[1]]) ** 2).sum(-1)) + 1e-4
    hard = (seeds > 0).ravel()
    diagonal = np.where(hard, 1e3, PRIOR_WEIGHT)
    target = np.where(hard, (seeds == 1).ravel(), prior.ravel())
    matrix = laplacian(*edges, height * width, weights) + sp.diags_array(diagonal)
    return solve(matrix, diagonal * target).reshape(height, width)


def _likelihood(features: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Log density [H, W] of every pixel under a Gaussian mixture fitted to the pixels ``where``."""
    samples = features[where]
    count = int(np.clip(len(samples) // 30, 1, COMPONENTS))
    mixture = GaussianMixture(count, covariance_type="full", reg_covar=0.02, random_state=0, max_iter=60)
    mixture.fit(samples[:: max(1, len(samples) // 6000)] if len(samples) > 1 else np.repeat(samples, 2, 0))
    return mixture.score_samples(features.reshape(-1, features.shape[-1])).reshape(features.shape[:2])


def _prior(features: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Probability [H, W] of fluid from colour, texture and nearness to what was drawn."""
    drawn, still = seeds == 1, seeds == 2
    wide = np.ones((5, 5), np.uint8)
    near = cv2.distanceTransform((~drawn).astype(np.uint8), cv2.DIST_L2, 5) / max(seeds.shape)
    fluid_like = drawn if drawn.sum() > 60 else cv2.dilate(drawn.astype(np.uint8), wide) > 0
    if not still.any():
        # Nobody said what stays: as likely as most of what was drawn is alike enough.
        score = _likelihood(features, fluid_like)
        odds = np.clip(score - np.quantile(score[fluid_like], 0.05), -6, 6) + 1.5 - 6.0 * near
        return 1.0 / (1.0 + np.exp(-odds))
    far = near > min(0.3, np.quantile(near, 0.6))
    marked_still = cv2.dilate(still.astype(np.uint8), wide) > 0
    for _ in range(2):
        background = (far & ~drawn) | marked_still
        ratio = _likelihood(features, fluid_like) - _likelihood(features, background)
        # One mark per region: the farther from it, the stronger the likeness has to be.
        probability = 1.0 / (1.0 + np.exp(14.0 * near - np.clip(ratio, -6, 6)))
        far = (probability < 0.3) & ~drawn
        fluid_like = drawn | (probability > 0.9)
    return probability


def random_walker_mask(image: torch.Tensor, hints: MotionHints) -> torch.Tensor:
    """The fluid's mask [1, H, W] (float32, 0 or 1) of an image [1, H, W, 3] in 0..1."""
    rgb = to_rgb(image)
    height, width = fit_longest_side(rgb.shape[0], rgb.shape[1], WORKING_SIZE, least=8)
    small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    seeds = rasterise_hints(hints, *small.shape[:2])
    features = color_texture_features(small)
    solid = guided_upsample(random_walker(features, seeds, _prior(features, seeds)), rgb) > 0.5
    drawn = rasterise_hints(hints, *rgb.shape[:2])
    solid = connected_to((solid | (drawn == 1)) & (drawn != 2), drawn == 1)
    return torch.from_numpy(solid.astype(np.float32))[None]
