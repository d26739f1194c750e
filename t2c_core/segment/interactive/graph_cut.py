"""Binary segmentation by minimum cuts (Boykov & Jolly 2001)."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from ...sparse.laplacian import neighbor_pairs

SCALE = 200
"""Capacities are whole numbers: energies times this."""
HARD = 60.0


class GridCut:
    """Minimiser of - sum_p u_p m_p + sum_pq w_pq |m_p - m_q| over masks m on a 4-connected grid.

    weights: w_pq >= 0 between horizontal [h, w - 1] and vertical [h - 1, w] neighbours.
    """

    def __init__(self, weights: tuple[np.ndarray, np.ndarray]) -> None:
        h, w = weights[0].shape[0], weights[1].shape[1]
        n = self._pixels = h * w
        self._size, self._source, self._sink = (h, w), n, n + 1
        i, j = neighbor_pairs(np.arange(n).reshape(h, w))
        self._weights = np.r_[weights[0].ravel(), weights[1].ravel()]
        every = np.arange(n)
        rows = np.r_[i, j, np.full(n, n), every, every, np.full(n, n + 1)]
        columns = np.r_[j, i, every, np.full(n, n + 1), np.full(n, n), every]
        # The data of this matrix number its entries, so that one structure serves all cuts.
        structure = sp.coo_matrix((np.arange(len(rows)), (rows, columns)), (n + 2, n + 2)).tocsr()
        self._order, self._indices, self._indptr = structure.data, structure.indices, structure.indptr

    def __call__(self, unary: np.ndarray, smoothness: float) -> np.ndarray:
        """The mask, bool [h, w], for the unary terms u [h, w] (clipped to +-HARD) and w scaled by ``smoothness``."""
        u = np.rint(np.clip(unary.ravel(), -HARD, HARD) * SCALE).astype(np.int32)
        pair = np.rint(self._weights * smoothness * SCALE).astype(np.int32)
        none = np.zeros(self._pixels, np.int32)
        capacities = np.r_[pair, pair, np.maximum(u, 0), np.maximum(-u, 0), none, none][self._order]
        n = self._pixels + 2
        graph = sp.csr_matrix((capacities, self._indices, self._indptr), (n, n))
        # The flow has the graph's own structure, as every edge has its reverse.
        residual = capacities - maximum_flow(graph, self._source, self._sink).flow.data
        left = residual > 0
        starts = np.r_[0, np.cumsum(left, dtype=np.int32)][self._indptr]
        open_edges = sp.csr_matrix((residual[left], self._indices[left], starts), (n, n))
        inside = np.zeros(n, bool)
        inside[breadth_first_order(open_edges, self._source, return_predecessors=False)] = True
        return inside[: self._pixels].reshape(self._size)
