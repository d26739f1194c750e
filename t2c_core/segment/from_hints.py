"""What moves, from what the user drew and from the picture itself: no model weights needed.

A random walker with priors (Grady, "Multilabel random walks for image segmentation with prior models", CVPR 2005):
arrows and move strokes are seeds of the fluid, pins and freeze strokes seeds of what stays; two Gaussian mixtures of
colour and texture say how alike every other pixel is to either; the picture's edges hold the regions apart. The
probability is found on a small grid and brought to full size by a guided filter (He et al. 2013), so that the mask's
border lies on the picture's own edges.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from sklearn.mixture import GaussianMixture

from ..errors import InputError
from ..hints import draw_polyline, rasterise_strokes, to_pixels
from ..types import MotionHints
from .walker import at_full_size, features_of, walk

WORKING_SIZE = 288
COMPONENTS = 5


def _seeds(hints: MotionHints, height: int, width: int) -> np.ndarray:
    """int8 [H, W]: 1 fluid, 2 still, 0 unknown."""
    longer = max(height, width)
    seeds = np.zeros((height, width), np.uint8)
    for arrow in hints.arrows:
        draw_polyline(seeds, arrow.points, 0.0055 * longer, 1)
    strokes = rasterise_strokes(hints, height, width)
    seeds[strokes > 0] = strokes[strokes > 0]
    for x, y in np.rint(to_pixels(hints.pins, height, width)).astype(int) if hints.pins else ():
        cv2.circle(seeds, (int(x), int(y)), max(1, round(0.008 * longer)), 2, -1)
    return seeds


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


def _marked_parts(solid: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """The connected parts of a boolean [H, W] mask in which something was drawn."""
    count, labels = cv2.connectedComponents(solid.astype(np.uint8), connectivity=8)
    keep = np.zeros(count, bool)
    keep[np.unique(labels[marked & solid])] = True
    keep[0] = False
    return keep[labels]


def mask_from_hints(image: torch.Tensor, hints: MotionHints, *, detail: float = 1.0) -> torch.Tensor:
    """The fluid's mask [1, H, W] (float32, 0 or 1) of a picture [1, H, W, 3] in 0..1 from what was drawn.

    ``detail`` (0.25..4) scales the working grid: higher follows finer structures and costs more.
    Raises InputError if nothing that moves was drawn or ``detail`` is out of range.
    """
    if not (hints.arrows or any(s.mode == "move" for s in hints.strokes)):
        raise InputError("hints", "say nothing of what moves.", "Draw an arrow or a 'move' stroke on the fluid.")
    if not 0.25 <= detail <= 4.0:
        raise InputError("detail", f"is {detail}; it must lie between 0.25 and 4.")
    rgb = image[0, ..., :3].float().cpu().clamp(0, 1).numpy()
    full = rgb.shape[:2]
    scale = min(1.0, WORKING_SIZE * detail / max(full))
    height, width = (max(8, round(s * scale)) for s in full)
    small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    seeds = _seeds(hints, height, width)
    if not (seeds == 1).any():
        raise InputError("hints", "lie outside the picture or under freeze strokes.", "Draw on the fluid itself.")
    features = features_of(small)
    probability = walk(features, seeds, _prior(features, seeds))
    smooth = at_full_size(probability, rgb)
    solid = smooth > 0.5
    drawn = _seeds(hints, *full)
    solid = _marked_parts((solid | (drawn == 1)) & (drawn != 2), drawn == 1)
    return torch.from_numpy(solid.astype(np.float32))[None]
