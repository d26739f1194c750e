"""Variational motion field: the smoothest fluid-like velocity that meets the arrows and pins.

The velocity v minimises one quadratic energy over the fluid's cells on a working grid,

    smoothness            |grad w|^2                      v = p(y) w, p the perspective
  + incompressibility     (div v)^2
  + banks                 (v . n)^2                       on the mask's border, except where the fluid enters or leaves
  + streaks               c (v . s_perp)^2                s, c: orientation and coherence of the structure tensor
  + arrows and pins       |v - arrow|^2, |v|^2 at pins    practically exact
  + direction             |v - d|^2                       where one is given

whose normal equations are sparse, symmetric and positive definite (compare Horn & Schunck 1981 for the smoothness,
Corpetti et al. 2002 for div regularisation of fluid motion, Bigun & Granlund 1987 for the structure tensor).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import scipy.sparse as sp
import torch

from ..errors import InputError
from ..geometry import direction_vector, fit_longest_side, nearest_inside
from ..hints import arrow_samples, to_pixels
from ..sparse.laplacian import cell_index, incidence, neighbor_pairs
from ..sparse.solve import solve
from ..types import MotionField, MotionHints, check_mask, speed_scale
from .regions import FlowRegion
from .settings import FlowSettings

WORKING_SIZE = 160
EXACT = 1e3
BANKS = 3.0


@dataclass(frozen=True)
class _Grid:
    """The fluid's cells: ``index`` numbers them 0..n-1 in [H, W], -1 elsewhere; ``scale`` cells per image pixel."""

    index: np.ndarray
    count: int
    scale: tuple[float, float]

    @property
    def shape(self) -> tuple[int, int]:
        return self.index.shape


def _make_grid(mask: np.ndarray) -> _Grid:
    height, width = fit_longest_side(mask.shape[0], mask.shape[1], WORKING_SIZE, least=4)
    # The mean would lose channels thinner than a cell, the maximum would close gaps between rocks.
    share = cv2.resize((mask > 0).astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    inside = share > 0.35
    if not inside.any():
        inside = share >= share.max()
    return _Grid(cell_index(inside), int(inside.sum()), (height / mask.shape[0], width / mask.shape[1]))


def _structure(rgb: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Streak directions [H, W, 2] (unit, along the streak) and their coherence [H, W] in 0..1 on the working grid."""
    height, width = shape
    twice = cv2.resize(rgb, (2 * width, 2 * height), interpolation=cv2.INTER_AREA)
    luma = cv2.cvtColor(twice.astype(np.float32), cv2.COLOR_RGB2GRAY)
    gx, gy = (cv2.Sobel(luma, cv2.CV_32F, *d, ksize=3, scale=0.125) for d in ((1, 0), (0, 1)))
    jxx, jyy, jxy = (
        cv2.resize(cv2.GaussianBlur(j, (0, 0), 5.0), (width, height), interpolation=cv2.INTER_AREA)
        for j in (gx * gx, gy * gy, gx * gy)
    )
    # The gradient's dominant angle is half the doubled angle; a streak runs across the gradient.
    angle = 0.5 * np.arctan2(2 * jxy, jxx - jyy) + np.pi / 2
    spread, total = np.hypot(jxx - jyy, 2 * jxy), jxx + jyy
    coherence = (spread / (total + 1e-5)) ** 2 * (total / (total + 2e-4))
    return np.stack([np.cos(angle), np.sin(angle)], -1), coherence


def _banks(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outward normals [H, W, 2], a flag for cells on the mask's border, and one for borders of enclosed islands.

    The image's own edge is no bank: the fluid may enter and leave there.
    """
    padded = cv2.copyMakeBorder(inside.astype(np.float32), 2, 2, 2, 2, cv2.BORDER_REPLICATE)
    smooth = cv2.GaussianBlur(padded, (0, 0), 1.2)
    normal = -np.stack([cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)], -1)[2:-2, 2:-2]
    length = np.hypot(normal[..., 0], normal[..., 1])
    eroded = cv2.erode(padded.astype(np.uint8), np.ones((3, 3), np.uint8))[2:-2, 2:-2] > 0
    border = inside & ~eroded & (length > 1e-3)
    outside = np.pad(~inside, 1, constant_values=True)
    _, labels = cv2.connectedComponents(outside.astype(np.uint8), connectivity=8)
    islands = (outside & (labels != labels[0, 0])).astype(np.uint8)
    at_island = cv2.dilate(islands, np.ones((3, 3), np.uint8))[1:-1, 1:-1] > 0
    return normal / np.maximum(length, 1e-6)[..., None], border, border & at_island


class _Energy:
    """Sum of weighted squared residuals |rows x - target|^2 over unknowns [n] or [n, k], as normal equations."""

    def __init__(self, matrix: sp.csr_array, rhs: np.ndarray) -> None:
        self.matrix, self.rhs = matrix, rhs

    def add(self, rows: sp.csr_array, weight: float | np.ndarray, target: np.ndarray | None = None) -> None:
        """rows: [m, n]. weight: one or [m]. target: [m] or [m, k]; zero if None."""
        weighted = rows.T @ sp.diags_array(np.broadcast_to(np.asarray(weight, np.float64), len(rows.indptr) - 1))
        self.matrix = self.matrix + weighted @ rows
        if target is not None:
            self.rhs = self.rhs + weighted @ target

    def minimum(self) -> np.ndarray:
        return solve(self.matrix + sp.eye_array(len(self.rhs)) * 1e-6, self.rhs)


def _component_rows(cells: np.ndarray, ax: np.ndarray, ay: np.ndarray, count: int) -> sp.csr_array:
    """Rows ax * u + ay * v at the given cells, over the unknowns u of all ``count`` cells, then v."""
    k = np.arange(len(cells))
    columns = np.r_[cells, cells + count]
    return sp.csr_array((np.r_[ax, ay], (np.r_[k, k], columns)), shape=(len(cells), 2 * count))


def _divergence(grid: _Grid, perspective: np.ndarray) -> sp.csr_array:
    """Rows div(p w) at the corners shared by four cells."""
    corners = [grid.index[:-1, :-1], grid.index[:-1, 1:], grid.index[1:, :-1], grid.index[1:, 1:]]
    complete = np.all([c >= 0 for c in corners], 0)
    cells = [c[complete] for c in corners]
    k = np.arange(complete.sum())
    signs_u, signs_v = (-0.5, 0.5, -0.5, 0.5), (-0.5, -0.5, 0.5, 0.5)
    data = [s * perspective[c] for signs in (signs_u, signs_v) for s, c in zip(signs, cells, strict=True)]
    columns = [c + shift for shift in (0, grid.count) for c in cells]
    return sp.csr_array(
        (np.concatenate(data), (np.tile(k, 8), np.concatenate(columns))), shape=(len(k), 2 * grid.count)
    )


def _bilinear_rows(grid: _Grid, positions: np.ndarray) -> tuple[sp.csr_array, np.ndarray]:
    """Rows interpolating one component at positions [m, 2] (image pixels); those outside the fluid are left out.

    Returns the rows [k, n] and which of the m positions they belong to.
    """
    height, width = grid.shape
    y = np.clip((positions[:, 1] + 0.5) * grid.scale[0] - 0.5, 0, height - 1)
    x = np.clip((positions[:, 0] + 0.5) * grid.scale[1] - 0.5, 0, width - 1)
    y0, x0 = np.minimum(y.astype(int), height - 2), np.minimum(x.astype(int), width - 2)
    fy, fx = y - y0, x - x0
    cells = np.stack([grid.index[y0 + dy, x0 + dx] for dy in (0, 1) for dx in (0, 1)], 1)
    weights = np.stack([(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx], 1) * (cells >= 0)
    total = weights.sum(1)
    fractions = (positions + 0.5) * grid.scale[::-1] / (width, height)
    within = ((fractions > -1e-6) & (fractions < 1 + 1e-6)).all(1)
    kept = np.flatnonzero((total > 0.05) & within)
    weights = weights[kept] / total[kept, None]
    cells = np.maximum(cells[kept], 0)
    k = np.repeat(np.arange(len(kept)), 4)
    return sp.csr_array((weights.ravel(), (k, cells.ravel())), shape=(len(kept), grid.count)), kept


def _perspective(inside: np.ndarray, amount: float) -> np.ndarray:
    """Speed factor of every row [H]: 1 where near, 1 - |amount| where far; amount > 0: the bottom is near."""
    rows = np.flatnonzero(inside.any(1))
    top, bottom = rows[0], rows[-1]
    near = np.clip((np.arange(inside.shape[0]) - top) / max(bottom - top, 1), 0, 1)
    return 1.0 - 0.9 * abs(amount) * (1 - near if amount > 0 else near)


def _constrain(
    energy: _Energy, grid: _Grid, hints: MotionHints, size: tuple[int, int], scale: float, factor: np.ndarray
) -> int:
    """Add arrows and pins; returns how many samples of arrows lie on the fluid."""
    positions, velocities = arrow_samples(hints, *size, spacing=0.5 / max(grid.scale))
    pins = to_pixels(hints.pins, *size) if hints.pins else np.zeros((0, 2))
    rows, kept = _bilinear_rows(grid, np.vstack([positions, pins]))
    if len(kept):
        energy.add(rows @ sp.diags_array(factor), EXACT, np.vstack([velocities * scale, np.zeros_like(pins)])[kept])
    return int((kept < len(positions)).sum())


def _spread(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Continue values [H, W, 2] from the fluid's cells over all others, each from its nearest cell."""
    if inside.all():
        return values
    return values.reshape(-1, 2)[nearest_inside(inside)]


def _in_cells(values: torch.Tensor, grid: _Grid, inside: np.ndarray) -> np.ndarray:
    """Values [1, H, W] in the middle of the cells, [cells]."""
    return cv2.resize(values[0].float().cpu().numpy(), grid.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)[inside]


def _drift(region: FlowRegion, grid: _Grid, inside: np.ndarray) -> np.ndarray:
    """Vectors [cells, 2] of the region's drift, 1 long at a speed factor of 1."""
    if isinstance(region.angle, torch.Tensor):
        radians = np.radians(_in_cells(region.angle, grid, inside))
        unit = np.stack([np.cos(radians), -np.sin(radians)], -1)
    else:
        unit = np.broadcast_to(direction_vector(region.angle or 0.0), (grid.count, 2))
    factor = region.speed_factor
    return unit * (_in_cells(factor, grid, inside)[:, None] if isinstance(factor, torch.Tensor) else factor)


def solve_flow(
    image: torch.Tensor,
    mask: torch.Tensor,
    hints: MotionHints | None = None,
    *,
    regions: Sequence[FlowRegion] | None = None,
    settings: FlowSettings = FlowSettings(),
) -> MotionField:
    """The motion field of the fluid in ``mask`` [1, H, W] of an image [1, H, W, 3] in 0..1.

    hints: arrows the velocity equals where they are drawn (their speeds times ``settings.speed`` and their region's
        ``arrow_factor``), pins where it is zero.
    regions: the parts of the fluid that move apart (``split_by_direction``, ``split_by_class``), each with the angle it
        drifts along where nothing was drawn; by default one part without an angle.
    settings: all but ``direction``, ``angle`` and ``limit`` count.

    The velocity is tangential to the mask's border except at the image's edge and where the fluid runs straight at an
    outer border (a waterfall's lip); it is zero outside the mask. Raises InputError for an empty mask, for a mask of
    another size, and if there is neither an arrow on the fluid nor an angle.
    """
    hints = hints or MotionHints()
    check_mask(mask, image)
    size, solid = tuple(mask.shape[-2:]), mask[0].float().cpu().numpy()
    regions = regions or [FlowRegion(mask, None)]
    if not hints.arrows and any(region.angle is None for region in regions):
        raise InputError("hints", "hold no arrow and no direction is given.", "Draw an arrow or give a direction.")
    far = _perspective(_make_grid(solid).index >= 0, settings.perspective)
    rgb = image[0, ..., :3].float().cpu().numpy()
    velocity = torch.zeros(1, 2, *size)
    for region in regions:
        fluid = region.mask[0].float().cpu().numpy()
        field = _solve(rgb, fluid, hints, region, far, settings)
        velocity += torch.from_numpy(field * (fluid > 0)[..., None]).permute(2, 0, 1)[None]
    return MotionField(velocity, mask.float().cpu().clone())


def _solve(
    rgb: np.ndarray,
    solid: np.ndarray,
    hints: MotionHints,
    region: FlowRegion,
    far: np.ndarray,
    settings: FlowSettings,
) -> np.ndarray:
    """Velocities [H, W, 2] px/frame of the fluid in ``solid`` [H, W], continued over the rest of the image.

    rgb: [H, W, 3] in 0..1. region: where it drifts to. far: speed factor of every row of the working grid.
    """
    size = solid.shape
    grid = _make_grid(solid)
    inside = grid.index >= 0
    image_scale = speed_scale(*size) * settings.speed
    p = far[np.nonzero(inside)[0]]
    # These terms hold for each component alone: one matrix for both.
    energy = _Energy(sp.csr_array((grid.count, grid.count)), np.zeros((grid.count, 2)))
    energy.add(incidence(*neighbor_pairs(grid.index), grid.count), 0.02 + 2.0 * settings.smoothness**2)
    drawn = _constrain(energy, grid, hints, size, image_scale * region.arrow_factor, p)
    if region.angle is not None and not (region.arrows_override and drawn):
        # v = p w shall be p d: far water drifts more slowly, so w itself is drawn to d.
        pull = 0.004 if drawn else 0.05
        energy.add(sp.eye_array(grid.count).tocsr(), pull, _drift(region, grid, inside) * image_scale)
    elif not drawn:
        raise InputError("hints", "have no arrow on the fluid.", "Draw one inside the mask, or enlarge the mask.")
    heading = energy.minimum()
    heading /= np.maximum(np.hypot(*heading.T), 1e-9)[:, None]

    energy = _Energy(sp.block_diag([energy.matrix, energy.matrix]).tocsr(), energy.rhs.T.ravel())
    if settings.incompressibility:
        energy.add(_divergence(grid, p), 8.0 * settings.incompressibility**2)
    normal, border, island = _banks(inside)
    cells = grid.index[border]
    n = normal[border]
    head_on = np.abs((n * heading[cells]).sum(1))
    open_end = np.where(island[border], 0.0, np.clip((head_on - 0.6) / 0.3, 0, 1))
    rows = _component_rows(cells, n[:, 0] * p[cells], n[:, 1] * p[cells], grid.count)
    energy.add(rows, BANKS * (1 - open_end))
    if settings.follow_streaks and region.streaks:
        streak, coherence = _structure(rgb, grid.shape)
        s, c = streak[inside], coherence[inside]
        # Ripples lie across the flow: only streaks within about 45 degrees of it say where it goes.
        agree = np.clip((np.abs((s * heading).sum(1)) - 0.7) / 0.2, 0, 1)
        rows = _component_rows(np.arange(grid.count), -s[:, 1], s[:, 0], grid.count)
        energy.add(rows, settings.follow_streaks * c * agree)
    solution = energy.minimum().reshape(2, -1) * p

    field = np.zeros((*grid.shape, 2), np.float32)
    field[inside] = solution.T
    return cv2.resize(_spread(field, inside), size[::-1], interpolation=cv2.INTER_LINEAR)
