"""A random walker over a picture (Grady, CVPR 2005): regions whose borders lie on the picture's own edges."""

from __future__ import annotations

import cv2
import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl
import torch
from kornia.filters import guided_blur

EDGE_SHARPNESS = 60.0
PRIOR_WEIGHT = 0.02


def features_of(rgb: np.ndarray) -> np.ndarray:
    """[H, W, 6] float64, each channel with unit variance: Lab colour, and local contrast of luma at three scales."""
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


def walk(features: np.ndarray, seeds: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """The random walker's probability of fluid [H, W]: (L + prior weight) p = prior, p fixed at the seeds."""
    height, width = seeds.shape
    index = np.arange(height * width).reshape(height, width)
    pairs, weights = [], []
    for a, b in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        difference = ((features[a][..., :3] - features[b][..., :3]) ** 2).sum(-1)
        pairs.append((index[a].ravel(), index[b].ravel()))
        weights.append(np.exp(-EDGE_SHARPNESS / 10 * difference).ravel() + 1e-4)
    i, j = (np.concatenate([p[k] for p in pairs]) for k in (0, 1))
    w = np.concatenate(weights)
    n = height * width
    adjacency = sp.coo_matrix((np.r_[w, w], (np.r_[i, j], np.r_[j, i])), (n, n)).tocsr()
    laplacian = sp.diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency
    hard = (seeds > 0).ravel()
    diagonal = np.where(hard, 1e3, PRIOR_WEIGHT)
    target = np.where(hard, (seeds == 1).ravel(), prior.ravel())
    return spl.spsolve((laplacian + sp.diags(diagonal)).tocsc(), diagonal * target).reshape(height, width)


def at_full_size(probability: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """A probability [h, w] found on a small grid, as float32 [H, W] at the size of the picture ``rgb`` [H, W, 3].

    Guided filter: its steps come to lie on the picture's edges.
    """
    full = rgb.shape[:2]
    scale = min(1.0, max(probability.shape) / max(full))
    upsampled = cv2.resize(probability.astype(np.float32), full[::-1], interpolation=cv2.INTER_CUBIC)
    radius = 2 * max(1, round(1.5 / scale)) + 1
    if min(full) <= radius:  # the filter mirrors the picture at its border, which a narrower one is too small for
        return upsampled
    guide = torch.from_numpy(rgb).permute(2, 0, 1)[None]
    # Coefficients on a coarser grid (He & Sun, "Fast Guided Filter", 2015): large pictures would fill the memory.
    coarser = max(1, int(0.5 / scale))
    smooth = guided_blur(guide, torch.from_numpy(upsampled)[None, None], (radius, radius), 1e-3, subsample=coarser)
    return smooth[0, 0].numpy()
