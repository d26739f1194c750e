"""A motion field with no weights: the smoothest fluid-like velocity that does what was drawn.

The velocity minimises one quadratic energy over the fluid's cells on a working grid,

    smoothness            |grad w|^2                      v = p(y) w, p the perspective
  + incompressibility     (div v)^2
  + banks                 (v . n)^2                       on the mask's border, except where the fluid enters or leaves
  + streaks               c (v . s_perp)^2                s, c: orientation and coherence of the structure tensor
  + what was drawn        |v - arrow|^2, |v|^2 at pins    practically exact
  + direction             |v - d|^2                       where one is given

whose normal equations are sparse, symmetric and positive definite (compare Horn & Schunck 1981 for the smoothness,
Corpetti et al. 2002 for div regularisation of fluid motion, Bigun & Granlund 1987 for the structure tensor).
They are solved by conjugate gradients with pyamg's smoothed aggregation as preconditioner.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import pyamg
import scipy.sparse as sp
import scipy.sparse.linalg as spl
import torch

from ..errors import InputError
from ..hints import arrow_samples, to_pixels
from ..nearest import nearest_inside
from ..prompt.directions import direction_vector
from ..types import MotionField, MotionHints, speed_scale
from .regions import FluidPart, split_by_angle

WORKING_SIZE = 160
EXACT = 1e3
BANKS = 3.0
NEAR_PICTURE_EDGE = 1.5
DIRECT_UNKNOWNS = 9000


@dataclass(frozen=True)
class _Grid:
    """The fluid's cells: ``index`` numbers them 0..n-1 in [H, W], -1 elsewhere; ``scale`` cells per picture pixel."""

    index: np.ndarray
    count: int
    scale: tuple[float, float]

    @property
    def shape(self) -> tuple[int, int]:
        return self.index.shape


def _make_grid(mask: np.ndarray) -> _Grid:
    full = np.array(mask.shape)
    height, width = (max(4, round(s * min(1.0, WORKING_SIZE / full.max()))) for s in full)
    # The mean would lose channels thinner than a cell, the maximum would close gaps between rocks.
    share = cv2.resize((mask > 0).astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    inside = share > 0.35
    if not inside.any():
        inside = share >= share.max()
    index = np.where(inside, np.cumsum(inside).reshape(inside.shape) - 1, -1)
    return _Grid(index, int(inside.sum()), (height / full[0], width / full[1]))


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

    The picture's own edge is no bank: the fluid may enter and leave there.
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
    """Sum of weighted squared residuals over the unknowns (u of every cell, then v), as normal equations."""

    def __init__(self, grid: _Grid) -> None:
        self.grid, self.n = grid, grid.count
        self.matrix = sp.csr_matrix((2 * self.n, 2 * self.n))
        self.rhs = np.zeros(2 * self.n)

    def add(self, rows: sp.spmatrix, weight: float | np.ndarray, target: np.ndarray | float = 0.0) -> None:
        w = np.broadcast_to(np.asarray(weight, np.float64), rows.shape[0])
        weighted = rows.T @ sp.diags(w)
        self.matrix = self.matrix + weighted @ rows
        self.rhs += weighted @ np.broadcast_to(np.asarray(target, np.float64), rows.shape[0])

    def selector(self, cells: np.ndarray, ax: np.ndarray, ay: np.ndarray) -> sp.csr_matrix:
        """Rows ax * u + ay * v at the given cells."""
        k = np.arange(len(cells))
        return sp.csr_matrix(
            (np.r_[ax, ay], (np.r_[k, k], np.r_[cells, cells + self.n])), shape=(len(cells), 2 * self.n)
        )

    def solve(self, start: np.ndarray | None = None) -> np.ndarray:
        matrix = (self.matrix + sp.eye(2 * self.n) * 1e-6).tocsr()
        if 2 * self.n <= DIRECT_UNKNOWNS:
            return spl.spsolve(matrix.tocsc(), self.rhs)
        constants = np.kron(np.eye(2), np.ones((self.n, 1)))
        # pyamg draws its start vectors from NumPy's global generator: fixed here, so that a field can be repeated.
        state = np.random.get_state()
        np.random.seed(0)
        try:
            preconditioner = pyamg.smoothed_aggregation_solver(
                matrix, B=constants, symmetry="symmetric", max_coarse=300
            ).aspreconditioner()
        finally:
            np.random.set_state(state)
        solution, _ = spl.cg(matrix, self.rhs, x0=start, rtol=1e-5, maxiter=300, M=preconditioner)
        return solution


def _differences(grid: _Grid) -> sp.csr_matrix:
    """Rows q - p over all neighbouring pairs of cells, for one component."""
    pairs = []
    for a, b in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        i, j = grid.index[a].ravel(), grid.index[b].ravel()
        both = (i >= 0) & (j >= 0)
        pairs.append(np.column_stack([i[both], j[both]]))
    i, j = np.vstack(pairs).T
    k, one = np.arange(len(i)), np.ones(len(i))
    return sp.csr_matrix((np.r_[-one, one], (np.r_[k, k], np.r_[i, j])), shape=(len(i), grid.count))


def _divergence(grid: _Grid, perspective: np.ndarray) -> sp.csr_matrix:
    """Rows div(p w) at the corners shared by four cells."""
    corners = [grid.index[:-1, :-1], grid.index[:-1, 1:], grid.index[1:, :-1], grid.index[1:, 1:]]
    whole = np.all([c >= 0 for c in corners], 0)
    cells = [c[whole] for c in corners]
    k = np.arange(whole.sum())
    signs_u, signs_v = (-0.5, 0.5, -0.5, 0.5), (-0.5, -0.5, 0.5, 0.5)
    data = [s * perspective[c] for signs in (signs_u, signs_v) for s, c in zip(signs, cells, strict=True)]
    columns = [c + shift for shift in (0, grid.count) for c in cells]
    return sp.csr_matrix(
        (np.concatenate(data), (np.tile(k, 8), np.concatenate(columns))), shape=(len(k), 2 * grid.count)
    )


def _bilinear_rows(grid: _Grid, positions: np.ndarray) -> tuple[sp.csr_matrix, np.ndarray]:
    """Rows interpolating one component at positions [m, 2] (picture pixels); those outside the fluid are left out.

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
    return sp.csr_matrix((weights.ravel(), (k, cells.ravel())), shape=(len(kept), grid.count)), kept


def _perspective(inside: np.ndarray, amount: float) -> np.ndarray:
    """Speed factor of every row [H]: 1 where near, 1 - |amount| where far; amount > 0: the bottom is near."""
    rows = np.flatnonzero(inside.any(1))
    top, bottom = rows[0], rows[-1]
    near = np.clip((np.arange(inside.shape[0]) - top) / max(bottom - top, 1), 0, 1)
    return 1.0 - 0.9 * abs(amount) * (1 - near if amount > 0 else near)


def _constrain(energy: _Energy, hints: MotionHints, size: tuple[int, int], scale: float, factor: np.ndarray) -> int:
    """Add arrows and pins; returns how many samples of arrows lie on the fluid."""
    grid = energy.grid
    positions, wanted = arrow_samples(hints, *size, spacing=0.5 / max(grid.scale))
    pins = to_pixels(hints.pins, *size) if hints.pins else np.zeros((0, 2))
    rows, kept = _bilinear_rows(grid, np.vstack([positions, pins]))
    if len(kept) == 0:
        return 0
    targets = np.vstack([wanted * scale, np.zeros_like(pins)])[kept]
    rows = rows @ sp.diags(factor)
    none = sp.csr_matrix(rows.shape)
    energy.add(sp.hstack([rows, none]).tocsr(), EXACT, targets[:, 0])
    energy.add(sp.hstack([none, rows]).tocsr(), EXACT, targets[:, 1])
    return int((kept < len(positions)).sum())


def _spread(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Continue values [H, W, 2] from the fluid's cells over all others, each from its nearest cell."""
    if inside.all():
        return values
    return values.reshape(-1, 2)[nearest_inside(inside)]


def _in_cells(values: torch.Tensor, grid: _Grid, inside: np.ndarray) -> np.ndarray:
    """Values [1, H, W] in the middle of the cells, [cells]."""
    return cv2.resize(values[0].float().cpu().numpy(), grid.shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)[inside]


def _drift(part: FluidPart, grid: _Grid, inside: np.ndarray) -> np.ndarray:
    """Vectors [2, cells] of the part's drift, 1 long at a factor of 1."""
    if isinstance(part.angle, torch.Tensor):
        radians = np.radians(_in_cells(part.angle, grid, inside))
        way = np.stack([np.cos(radians), -np.sin(radians)])
    else:
        way = np.repeat(np.array(direction_vector(part.angle))[:, None], grid.count, 1)
    return way * (_in_cells(part.drift, grid, inside) if isinstance(part.drift, torch.Tensor) else part.drift)


def solve_flow(
    image: torch.Tensor,
    mask: torch.Tensor,
    hints: MotionHints | None = None,
    *,
    angle: float | torch.Tensor | None = None,
    parts: Sequence[FluidPart] | None = None,
    speed: float = 1.0,
    smoothness: float = 0.5,
    incompressibility: float = 0.5,
    follow_streaks: float = 0.5,
    perspective: float = 0.0,
) -> MotionField:
    """The motion field of the fluid in ``mask`` [1, H, W] of a picture [1, H, W, 3] in 0..1.

    hints: arrows the velocity equals where they are drawn (their speeds times ``speed``), pins where it is zero.
    angle: degrees counter-clockwise from +x the fluid drifts along where nothing was drawn, at ``speed``; one for all
        of it, or [1, H, W] where parts go different ways: separate parts with different angles are solved apart.
    parts: in place of the angle, all parts of the fluid with their own ones (`flow.kinds.class_parts`).
    speed: px/frame at a longer side of 512 px. smoothness, incompressibility, follow_streaks: 0..1.
    perspective: -1..1, how much slower far water is; > 0: the bottom is near, < 0: the top (a sky) is near.

    The velocity is tangential to the mask's border except at the picture's edge and where the fluid runs straight at
    an outer border (a waterfall's lip); it is zero outside the mask. Raises InputError for an empty mask, values
    out of range, or neither an arrow on the fluid nor an angle.
    """
    hints = hints or MotionHints()
    for name, value, low in (
        ("smoothness", smoothness, 0.0),
        ("incompressibility", incompressibility, 0.0),
        ("follow_streaks", follow_streaks, 0.0),
        ("perspective", perspective, -1.0),
    ):
        if not low <= value <= 1.0:
            raise InputError(name, f"is {value}; it must lie between {low:g} and 1.")
    if not 0.0 <= speed <= 64.0:
        raise InputError("speed", f"is {speed}; it must lie between 0 and 64.")
    size = tuple(mask.shape[-2:])
    if isinstance(angle, torch.Tensor):
        if tuple(angle.shape) != (1, *size) or not torch.isfinite(angle).all():
            raise InputError("angle", f"needs finite degrees of shape {[1, *size]}, not {list(angle.shape)}.")
    elif angle is not None and not math.isfinite(angle):
        raise InputError("angle", f"is {angle}; it must be a finite number of degrees.")
    if tuple(image.shape[1:3]) != size:
        raise InputError("mask", f"is {size[1]}x{size[0]}, the image {image.shape[2]}x{image.shape[1]}.")
    solid = mask[0].float().cpu().numpy()
    if not (solid > 0).any():
        raise InputError("mask", "is empty: nothing would move.", "Draw or paint what moves.")
    if not hints.arrows and angle is None and not parts:
        raise InputError("hints", "hold no arrow and no direction is given.", "Draw an arrow or give a direction.")

    far = _perspective(_make_grid(solid).index >= 0, perspective)
    rgb = image[0, ..., :3].float().cpu().numpy()
    if not parts:
        split = split_by_angle(mask, angle) if isinstance(angle, torch.Tensor) else [(mask, angle)]
        parts = [FluidPart(*part) for part in split]
    velocity = torch.zeros(1, 2, *size)
    for part in parts:
        fluid = part.mask[0].float().cpu().numpy()
        field = _solve(rgb, fluid, hints, part, speed, far, smoothness, incompressibility, follow_streaks)
        velocity += torch.from_numpy(field * (fluid > 0)[..., None]).permute(2, 0, 1)[None]
    return MotionField(velocity, mask.float().cpu().clone())


def _solve(
    rgb: np.ndarray,
    solid: np.ndarray,
    hints: MotionHints,
    part: FluidPart,
    speed: float,
    far: np.ndarray,
    smoothness: float,
    incompressibility: float,
    follow_streaks: float,
) -> np.ndarray:
    """Velocities [H, W, 2] px/frame of the fluid in ``solid`` [H, W], continued over the rest of the picture.

    rgb: [H, W, 3] in 0..1. part: where it drifts to. far: speed factor of every row of the working grid. The rest as
    in ``solve_flow``.
    """
    size = solid.shape
    grid = _make_grid(solid)
    inside = grid.index >= 0
    picture_scale = speed_scale(*size) * speed
    p = far[np.nonzero(inside)[0]]
    twice_p = np.r_[p, p]
    gradient = _differences(grid)
    energy = _Energy(grid)
    energy.add(sp.block_diag([gradient, gradient]).tocsr(), 0.02 + 2.0 * smoothness**2)
    drawn = _constrain(energy, hints, size, picture_scale, p)
    if part.angle is not None and not (part.led and drawn):
        d = _drift(part, grid, inside) * picture_scale
        pull = 0.004 if drawn else 0.05
        # v = p w shall be p d: far water drifts more slowly, so w itself is drawn to d.
        energy.add(sp.eye(2 * grid.count).tocsr(), pull, d.ravel())
    elif not drawn:
        raise InputError("hints", "have no arrow on the fluid.", "Draw one inside the mask, or enlarge the mask.")
    first = energy.solve()
    heading = np.stack([first[: grid.count], first[grid.count :]], -1)
    heading /= np.maximum(np.hypot(*heading.T), 1e-9)[:, None]

    if incompressibility:
        energy.add(_divergence(grid, p), 8.0 * incompressibility**2)
    normal, border, island = _banks(inside)
    cells = grid.index[border]
    n = normal[border]
    head_on = np.abs((n * heading[cells]).sum(1))
    open_end = np.where(island[border], 0.0, np.clip((head_on - 0.6) / 0.3, 0, 1))
    energy.add(energy.selector(cells, n[:, 0] * p[cells], n[:, 1] * p[cells]), BANKS * (1 - open_end))
    if follow_streaks:
        streak, coherence = _structure(rgb, grid.shape)
        s, c = streak[inside], coherence[inside]
        # Ripples lie across the flow: only streaks within about 45 degrees of it say where it goes.
        agree = np.clip((np.abs((s * heading).sum(1)) - 0.7) / 0.2, 0, 1)
        energy.add(energy.selector(np.arange(grid.count), -s[:, 1], s[:, 0]), follow_streaks * c * agree)
    solution = energy.solve(first) * twice_p

    field = np.zeros((*grid.shape, 2), np.float32)
    field[inside, 0], field[inside, 1] = solution[: grid.count], solution[grid.count :]
    return cv2.resize(_spread(field, inside), size[::-1], interpolation=cv2.INTER_LINEAR)
