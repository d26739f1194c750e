"""Which way a river runs: along its banks, out of the distance towards the viewer.

The flow between two ends of a region that no bank lets through is a harmonic function's gradient (potential flow):
Laplace's equation with one value at the far end, another at the near one, and no change across the banks.
"""

from __future__ import annotations

import cv2
import numpy as np
import scipy.sparse as sp
import scipy.sparse.csgraph as graphs
import scipy.sparse.linalg as spl

from ..nearest import nearest_inside

WORKING_SIZE = 128
SAME_HEIGHT = 0.06
"""Ends that differ by less of the picture's height lie side by side: the river runs to the right."""
END = 0.04
"""How much of a region, measured along its course, is its end where the picture's border does not cut it."""


def bank_angles(inside: np.ndarray) -> np.ndarray:
    """Degrees counter-clockwise from +x, float32 [H, W], of the flow along each connected part of a bool [H, W] region.

    Near is where a part leaves the picture lowest, else its lowest place; far is where it leaves it highest, else the
    place farthest from the near end along its course. Outside the region: 0.
    """
    full = np.array(inside.shape)
    height, width = (max(4, round(side * min(1.0, WORKING_SIZE / full.max()))) for side in full)
    small = cv2.resize(inside.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0.3
    count, labels = cv2.connectedComponents(small.astype(np.uint8), connectivity=4)
    ways = np.zeros((height, width, 2), np.float32)
    for number in range(1, count):
        ways += _course(labels == number)
    if not small.any():
        return np.zeros(inside.shape, np.float32)
    spread = ways.reshape(-1, 2)[nearest_inside(small)]
    smooth = cv2.resize(spread, tuple(full[::-1].tolist()), interpolation=cv2.INTER_LINEAR)
    return np.where(inside, np.degrees(np.arctan2(-smooth[..., 1], smooth[..., 0])) % 360, 0).astype(np.float32)


def _course(part: np.ndarray) -> np.ndarray:
    """Unit vectors [h, w, 2] (x right, y down) along one connected part, 0 elsewhere."""
    index = np.where(part, np.cumsum(part).reshape(part.shape) - 1, -1)
    graph = _neighbours(index)
    far, near = _ends(part, index, graph)
    if not far.size or not near.size or np.isin(far, near).any():
        way = np.zeros((*part.shape, 2), np.float32)
        way[part] = (0.0, 1.0)
        return way
    potential = _between(graph, far, near)
    values = np.zeros(part.shape)
    values[part] = potential
    slope = np.zeros((*part.shape, 2), np.float32)
    for axis, channel in ((1, 0), (0, 1)):
        ahead, behind = (_beside(values, part, axis, step) for step in (-1, 1))
        slope[..., channel] = behind - ahead
    slope *= part[..., None]
    # Potential flow hugs inner bends and fades in bays: only where it goes counts.
    slope /= np.maximum(np.hypot(*np.moveaxis(slope, -1, 0)), 1e-12)[..., None]
    mild = cv2.GaussianBlur(slope, (0, 0), 1.5)
    return mild / np.maximum(np.hypot(*np.moveaxis(mild, -1, 0)), 1e-6)[..., None] * part[..., None]


def _beside(values: np.ndarray, part: np.ndarray, axis: int, step: int) -> np.ndarray:
    """The neighbours' values, own ones where there is no neighbour in the part."""
    there = np.roll(part, step, axis)
    edge = [slice(None), slice(None)]
    edge[axis] = 0 if step > 0 else -1
    there[tuple(edge)] = False
    return np.where(there, np.roll(values, step, axis), values)


def _neighbours(index: np.ndarray) -> sp.csr_matrix:
    """Symmetric adjacency of the part's cells, 4-connected."""
    pairs = []
    for a, b in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        i, j = index[a].ravel(), index[b].ravel()
        both = (i >= 0) & (j >= 0)
        pairs.append(np.column_stack([i[both], j[both]]))
    i, j = np.vstack(pairs).T
    n = index.max() + 1
    return sp.csr_matrix((np.ones(2 * len(i)), (np.r_[i, j], np.r_[j, i])), (n, n))


def _between(graph: sp.csr_matrix, far: np.ndarray, near: np.ndarray) -> np.ndarray:
    """The harmonic function that is 1 at the far cells and 0 at the near ones."""
    degree = np.asarray(graph.sum(1)).ravel()
    laplacian = (sp.diags(degree) - graph).tocsr()
    values = np.zeros(len(degree))
    values[far] = 1.0
    free = np.ones(len(degree), bool)
    free[far] = free[near] = False
    if free.any():
        values[free] = spl.spsolve(laplacian[free][:, free].tocsc(), -laplacian[free][:, ~free] @ values[~free])
    return values


def _ends(part: np.ndarray, index: np.ndarray, graph: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """The cells' numbers of the far and the near end."""
    rows = np.nonzero(part)[0]
    cuts = _cuts(part, index)
    heights = [float(rows[cut].mean()) / len(part) for cut in cuts]
    if len(cuts) >= 2:
        high, low = int(np.argmin(heights)), int(np.argmax(heights))
        if heights[low] - heights[high] >= SAME_HEIGHT:
            return cuts[high], cuts[low]
        columns = [float(np.nonzero(part)[1][cut].mean()) for cut in cuts]
        return cuts[int(np.argmin(columns))], cuts[int(np.argmax(columns))]
    lowest = np.flatnonzero(rows >= rows.max() - 1)
    if cuts and heights[0] < (rows.min() + rows.max()) / 2 / len(part):
        return cuts[0], lowest
    near = cuts[0] if cuts else lowest
    if cuts and (rows[near] == len(part) - 1).any():
        near = near[rows[near] == len(part) - 1]  # of a cut round a corner the part at the viewer's feet
    way = graphs.dijkstra(graph, unweighted=True, indices=near, min_only=True)
    return np.flatnonzero(way >= (1 - END) * way.max()), near


def _cuts(part: np.ndarray, index: np.ndarray) -> list[np.ndarray]:
    """The cells' numbers of every stretch in which the picture's border cuts the part."""
    height, width = part.shape
    ring = [(0, x) for x in range(width)] + [(y, width - 1) for y in range(1, height)]
    ring += [(height - 1, x) for x in range(width - 2, -1, -1)] + [(y, 0) for y in range(height - 2, 0, -1)]
    cells = np.array([index[place] for place in ring])
    there = cells >= 0
    if there.all() or not there.any():
        return [cells[there]] if there.any() else []
    start = int(np.flatnonzero(~there)[0])
    cells = np.roll(cells, -start)
    runs = np.split(cells, np.flatnonzero(np.diff((cells >= 0).astype(int))) + 1)
    return [run for run in runs if run[0] >= 0 and len(run) >= 2]
