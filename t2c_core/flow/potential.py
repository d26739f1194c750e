"""Potential flow along the banks of a region, out of the distance towards the viewer.

The velocity is the gradient of a harmonic function: Laplace's equation with one value at the far end (Dirichlet),
another at the near one, and no change across the banks (Neumann).
"""

from __future__ import annotations

import cv2
import numpy as np
import scipy.sparse as sp
import scipy.sparse.csgraph as graphs

from ..geometry import fit_longest_side, nearest_inside
from ..sparse.laplacian import adjacency, cell_index, laplacian, neighbor_pairs
from ..sparse.solve import solve

WORKING_SIZE = 128
SAME_HEIGHT = 0.06
"""Ends that differ by less of the image's height lie side by side: the river runs to the right."""
END = 0.04
"""How much of a region, measured along its course, is its end where the image's border does not cut it."""


def potential_flow_angles(inside: np.ndarray) -> np.ndarray:
    """Degrees counter-clockwise from +x, float32 [H, W], of the flow along each connected part of a bool [H, W] region.

    Near is where a part leaves the image lowest, else its lowest place; far is where it leaves it highest, else the
    place farthest from the near end along its course. Outside the region: 0.
    """
    height, width = fit_longest_side(inside.shape[0], inside.shape[1], WORKING_SIZE, least=4)
    small = cv2.resize(inside.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0.3
    count, labels = cv2.connectedComponents(small.astype(np.uint8), connectivity=4)
    directions = np.zeros((height, width, 2), np.float32)
    for number in range(1, count):
        directions += _course(labels == number)
    if not small.any():
        return np.zeros(inside.shape, np.float32)
    spread = directions.reshape(-1, 2)[nearest_inside(small)]
    smooth = cv2.resize(spread, inside.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.where(inside, np.degrees(np.arctan2(-smooth[..., 1], smooth[..., 0])) % 360, 0).astype(np.float32)


def _course(component: np.ndarray) -> np.ndarray:
    """Unit vectors [h, w, 2] (x right, y down) along one connected component, 0 elsewhere."""
    index = cell_index(component)
    edges = neighbor_pairs(index)
    far, near = _ends(component, index, adjacency(*edges, index.max() + 1))
    if not far.size or not near.size or np.isin(far, near).any():
        direction = np.zeros((*component.shape, 2), np.float32)
        direction[component] = (0.0, 1.0)
        return direction
    potential = _harmonic(laplacian(*edges, index.max() + 1), far, near)
    values = np.zeros(component.shape)
    values[component] = potential
    slope = np.zeros((*component.shape, 2), np.float32)
    for axis, channel in ((1, 0), (0, 1)):
        ahead, behind = (_beside(values, component, axis, step) for step in (-1, 1))
        slope[..., channel] = behind - ahead
    slope *= component[..., None]
    # Potential flow hugs inner bends and fades in bays: only where it goes counts.
    slope /= np.maximum(np.hypot(slope[..., 0], slope[..., 1]), 1e-12)[..., None]
    mild = cv2.GaussianBlur(slope, (0, 0), 1.5)
    return mild / np.maximum(np.hypot(mild[..., 0], mild[..., 1]), 1e-6)[..., None] * component[..., None]


def _beside(values: np.ndarray, component: np.ndarray, axis: int, step: int) -> np.ndarray:
    """The neighbours' values, own ones where there is no neighbour in the component."""
    valid = np.roll(component, step, axis)
    valid.swapaxes(0, axis)[0 if step > 0 else -1] = False
    return np.where(valid, np.roll(values, step, axis), values)


def _harmonic(matrix: sp.csr_array, far: np.ndarray, near: np.ndarray) -> np.ndarray:
    """The harmonic function that is 1 at the far cells and 0 at the near ones; ``matrix``: the Laplacian."""
    values = np.zeros(len(matrix.indptr) - 1)
    values[far] = 1.0
    free = np.ones(len(values), bool)
    free[far] = free[near] = False
    if free.any():
        values[free] = solve(matrix[free][:, free], -matrix[free][:, ~free] @ values[~free])
    return values


def _ends(component: np.ndarray, index: np.ndarray, graph: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """The cells' numbers of the far and the near end."""
    rows = np.nonzero(component)[0]
    cuts = _cuts(component, index)
    heights = [float(rows[cut].mean()) / len(component) for cut in cuts]
    if len(cuts) >= 2:
        high, low = int(np.argmin(heights)), int(np.argmax(heights))
        if heights[low] - heights[high] >= SAME_HEIGHT:
            return cuts[high], cuts[low]
        columns = [float(np.nonzero(component)[1][cut].mean()) for cut in cuts]
        return cuts[int(np.argmin(columns))], cuts[int(np.argmax(columns))]
    lowest = np.flatnonzero(rows >= rows.max() - 1)
    if cuts and heights[0] < (rows.min() + rows.max()) / 2 / len(component):
        return cuts[0], lowest
    near = cuts[0] if cuts else lowest
    if cuts and (rows[near] == len(component) - 1).any():
        near = near[rows[near] == len(component) - 1]  # of a cut round a corner the part at the viewer's feet
    distance = graphs.dijkstra(graph, unweighted=True, indices=near, min_only=True)
    return np.flatnonzero(distance >= (1 - END) * distance.max()), near


def _cuts(component: np.ndarray, index: np.ndarray) -> list[np.ndarray]:
    """The cells' numbers of every stretch in which the image's border cuts the component."""
    height, width = component.shape
    ring = [(0, x) for x in range(width)] + [(y, width - 1) for y in range(1, height)]
    ring += [(height - 1, x) for x in range(width - 2, -1, -1)] + [(y, 0) for y in range(height - 2, 0, -1)]
    cells = np.array([index[place] for place in ring])
    valid = cells >= 0
    if valid.all() or not valid.any():
        return [cells[valid]] if valid.any() else []
    start = int(np.flatnonzero(~valid)[0])
    cells = np.roll(cells, -start)
    runs = np.split(cells, np.flatnonzero(np.diff((cells >= 0).astype(int))) + 1)
    return [run for run in runs if run[0] >= 0 and len(run) >= 2]
