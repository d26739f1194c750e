"""A pool of whole masks by constrained parametric min-cuts (after Carreira & Sminchisescu, CVPR 2010)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import maximum_filter1d

from ...geometry import connected_to
from .features import GridFeatures, blur
from .geodesic import geodesic_distance
from .graph_cut import HARD, GridCut

QUANTILES = (0.06, 0.15, 0.28, 0.42, 0.6, 0.8)
OUTLIER = 4.5
SAME = 0.96
APPEARANCE_LIMIT = 2.5
SMOOTHNESS, ROUNDS = (1.5, 5.0), 3
THRESHOLDS = (1.0, 0.0, -1.0, -2.0)
CLASS_SMOOTHNESS, CLASS_ROUNDS = (2.0, 6.0), 2


def robust_seeds(grid: GridFeatures, drawn: np.ndarray) -> np.ndarray:
    """``drawn`` (bool [h, w]) without outliers: the RMS over features of (F - median) / (1.48 MAD + 0.03) > OUTLIER."""
    values = grid.values[drawn]
    centre = np.median(values, 0)
    deviation = 1.48 * np.median(np.abs(values - centre), 0) + 0.03
    outlying = np.sqrt((((values - centre) / deviation) ** 2).mean(1)) > OUTLIER
    seeds = drawn.copy()
    seeds[drawn] = ~outlying
    return seeds if seeds.any() else drawn


def grid_cut(grid: GridFeatures) -> GridCut:
    """Cuts whose pairwise weight is exp(-d / (1.5 mean d)) + 0.03, d the features' difference."""
    across, down = grid.steps
    scale = 1.5 * (across.mean() + down.mean()) / 2 + 1e-6
    return GridCut((np.exp(-across / scale) + 0.03, np.exp(-down / scale) + 0.03))


@dataclass(frozen=True)
class Scribbles:
    """What was drawn on a grid: pixels of the fluid and of what stays, bool [h, w]."""

    grid: GridFeatures
    drawn: np.ndarray
    pinned: np.ndarray

    @cached_property
    def seeds(self) -> np.ndarray:
        """``drawn`` without its outliers, bool [h, w]."""
        return robust_seeds(self.grid, self.drawn)

    @cached_property
    def distance(self) -> np.ndarray:
        """Geodesic distance [h, w] to the seeds."""
        return geodesic_distance(self.grid.steps, self.seeds)

    @cached_property
    def cut(self) -> GridCut:
        """Minimum cuts of this grid."""
        return grid_cut(self.grid)

    def constrained(self, unary: np.ndarray, smoothness: float) -> np.ndarray:
        """The minimum cut with seeds and pins held, and only the connected parts that hold a seed."""
        held = np.where(self.pinned, -HARD, np.where(self.seeds, HARD, np.clip(unary, -8, 8)))
        return self.marked(self.cut(held, smoothness))

    def marked(self, mask: np.ndarray) -> np.ndarray:
        """The parts of ``mask`` connected to a seed, seeds included and pins excluded."""
        return connected_to(mask & ~self.pinned | self.seeds, self.seeds)


def appearance(grid: GridFeatures, mask: np.ndarray) -> np.ndarray:
    """Log ratio R [h, w] of the smoothed code histograms inside and outside the mask, clipped to +-2.5."""
    labels, kernel = grid.codes
    count = len(kernel)
    histograms = [kernel @ np.bincount(labels[side], minlength=count) for side in (mask, ~mask)]
    inside, outside = ((h + 1e-3 * h.sum() / count + 1e-9) / (h.sum() + 1e-9) for h in histograms)
    return np.clip(np.log(inside / outside), -APPEARANCE_LIMIT, APPEARANCE_LIMIT)[labels]


def row_prior(mask: np.ndarray) -> np.ndarray:
    """Log ratio [h, 1] of a row's share of the mask and of the rest, blurred, clipped to +-1.5."""
    rows = mask.mean(1, dtype=np.float32)[:, None]
    inside, outside = (blur(np.repeat(r, 2, 1), 4.0)[:, :1] + 0.02 for r in (rows, 1 - rows))
    ratio = inside / inside.mean() / (outside / outside.mean())
    return np.clip(np.log(ratio), -1.5, 1.5)


def horizon(evidence: np.ndarray, edge: np.ndarray, above: bool) -> np.ndarray:
    """The mask on one side of a border with one height per column, by dynamic programming (steps of at most 4 px).

    evidence: [h, w], > 0 where the mask should be. edge: [h, w] strength of vertical edges.
    """
    h, w = evidence.shape
    signed = evidence if above else -evidence
    total = np.concatenate([np.zeros((1, w)), 2 * np.cumsum(signed, 0)]) - signed.sum(0)
    gain = total + 6 * np.concatenate([np.zeros((1, w)), edge])
    best, rows = gain[:, 0], np.arange(h + 1)
    columns = [best]
    for x in range(1, w):
        best = gain[:, x] + maximum_filter1d(best, 9, mode="nearest")
        columns.append(best)
    border = np.empty(w, int)
    border[-1] = columns[-1].argmax()
    for x in range(w - 2, -1, -1):
        low = max(border[x + 1] - 4, 0)
        border[x] = low + columns[x][low : border[x + 1] + 5].argmax()
    upper = rows[:h, None] < border
    return upper if above else ~upper


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boolean masks."""
    return float((a & b).sum() / max(int((a | b).sum()), 1))


class Pool:
    """Masks that differ: one whose IoU with an earlier one exceeds 0.96 is not taken."""

    def __init__(self) -> None:
        self.masks: list[np.ndarray] = []
        self._flat = np.zeros((0, 0), np.float32)

    def add(self, mask: np.ndarray) -> bool:
        """Whether ``mask``, bool [h, w], differs from all earlier ones and was taken."""
        flat = mask.ravel().astype(np.float32)
        if self.masks:
            both = self._flat @ flat
            if (both > SAME * (self._flat.sum(1) + flat.sum() - both)).any():
                return False
        self.masks.append(mask)
        self._flat = np.stack([m.ravel() for m in self.masks]).astype(np.float32)
        return True


def starting_masks(scribbles: Scribbles) -> Iterator[np.ndarray]:
    """Level sets of the geodesic distance, corrected by the likeness to what was drawn."""
    grid = scribbles.grid
    labels, kernel = grid.codes
    drawn, everywhere = (kernel @ np.bincount(labels[m], minlength=len(kernel)) for m in (scribbles.seeds, labels >= 0))
    likeness = np.clip(np.log((drawn / drawn.sum() + 1e-4) / (everywhere / everywhere.sum() + 1e-4)), -3, 2)[labels]
    level = scribbles.distance - 0.12 * likeness
    if scribbles.pinned.any():
        level = level - 0.35 * geodesic_distance(grid.steps, scribbles.pinned)
    for quantile in QUANTILES:
        yield scribbles.marked((level <= np.quantile(level, quantile)) | scribbles.seeds)


def propose(scribbles: Scribbles) -> Pool:
    """The pool from colour, texture and distance: cuts iterated from level sets, horizons, and the whole image."""
    grid, g, pool, horizons = scribbles.grid, scribbles.distance, Pool(), Pool()
    edge = np.zeros(grid.size)
    edge[:-1] = np.linalg.norm(np.diff(grid.lab, axis=0), axis=-1)
    for start in starting_masks(scribbles):
        for smoothness in SMOOTHNESS:
            mask = start
            for _ in range(ROUNDS):
                reach = np.quantile(g[mask], 0.8)
                unary = appearance(grid, mask) + 0.5 * row_prior(mask) - 1.2 * np.clip(g - reach, -0.3, 0.6)
                previous, mask = mask, scribbles.constrained(unary, smoothness)
                if iou(mask, previous) > SAME:
                    break
            pool.add(mask)
        evidence = appearance(grid, start)
        for above in (True, False):
            raw = scribbles.marked(horizon(evidence, edge, above))
            if horizons.add(raw) and pool.add(raw):
                pool.add(scribbles.constrained(appearance(grid, raw) + 2.0 * raw - 1.0, SMOOTHNESS[0]))
    pool.add(scribbles.marked(np.ones(grid.size, bool)))
    return pool


def propose_class(pool: Pool, scribbles: Scribbles, evidence: np.ndarray) -> None:
    """Add cuts of a class's evidence [h, w] at several thresholds, plain and iterated with the appearance."""
    for threshold in THRESHOLDS:
        for smoothness in CLASS_SMOOTHNESS:
            mask = scribbles.constrained(evidence + threshold, smoothness)
            pool.add(mask)
            for _ in range(CLASS_ROUNDS):
                unary = 0.5 * (evidence + threshold) + appearance(scribbles.grid, mask)
                previous, mask = mask, scribbles.constrained(unary, smoothness)
                if iou(mask, previous) > SAME:
                    break
            pool.add(mask)
