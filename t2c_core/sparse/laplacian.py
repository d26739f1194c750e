"""Graph matrices of 4-connected pixel grids: incidence, adjacency and Laplacian."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def cell_index(inside: np.ndarray) -> np.ndarray:
    """Numbers 0..n-1, row by row, of the cells of a bool [H, W] mask; -1 outside."""
    return np.where(inside, np.cumsum(inside).reshape(inside.shape) - 1, -1)


def neighbor_pairs(index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cells (i, j) of every edge of the grid, horizontal edges first; ``index`` [H, W] as of ``cell_index``."""
    pairs = []
    for a, b in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        i, j = index[a].ravel(), index[b].ravel()
        both = (i >= 0) & (j >= 0)
        pairs.append(np.stack([i[both], j[both]]))
    i, j = np.concatenate(pairs, 1)
    return i, j


def incidence(i: np.ndarray, j: np.ndarray, count: int) -> sp.csr_array:
    """Incidence matrix [edges, count]: row k is x[j_k] - x[i_k], so that its Gram matrix is the Laplacian."""
    k, one = np.arange(len(i)), np.ones(len(i))
    return sp.csr_array((np.r_[-one, one], (np.r_[k, k], np.r_[i, j])), shape=(len(i), count))


def adjacency(i: np.ndarray, j: np.ndarray, count: int, weights: np.ndarray | float = 1.0) -> sp.csr_array:
    """Symmetric adjacency matrix W [count, count] of the edges (i, j) with weights [edges]."""
    w = np.broadcast_to(np.asarray(weights, np.float64), i.shape)
    # scipy.sparse.csgraph takes 32-bit indices only before scipy 1.15.
    rows, columns = np.r_[i, j].astype(np.int32), np.r_[j, i].astype(np.int32)
    return sp.csr_array((np.r_[w, w], (rows, columns)), shape=(count, count))


def laplacian(i: np.ndarray, j: np.ndarray, count: int, weights: np.ndarray | float = 1.0) -> sp.csr_array:
    """Graph Laplacian L = D - W [count, count], D the diagonal of W's row sums; positive semidefinite."""
    w = adjacency(i, j, count, weights)
    return sp.csr_array(sp.diags_array(w.sum(1)) - w)
