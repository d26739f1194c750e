"""Sparse systems on grids: matrices against dense ones, solutions against NumPy's, errors where there is none."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from t2c_core.sparse.laplacian import adjacency, cell_index, incidence, laplacian, neighbor_pairs
from t2c_core.sparse.solve import solve

INSIDE = np.array([[1, 1, 0], [0, 1, 1]], bool)


def test_matrices_of_a_small_grid():
    index = cell_index(INSIDE)
    assert index.tolist() == [[0, 1, -1], [-1, 2, 3]]
    i, j = neighbor_pairs(index)
    assert sorted(zip(i.tolist(), j.tolist(), strict=True)) == [(0, 1), (1, 2), (2, 3)]
    weights = np.array([2.0, 3.0, 5.0])
    dense = np.zeros((4, 4))
    dense[i, j] = dense[j, i] = weights
    assert np.array_equal(adjacency(i, j, 4, weights).toarray(), dense)
    matrix = laplacian(i, j, 4, weights)
    assert np.array_equal(matrix.toarray(), np.diag(dense.sum(1)) - dense)
    rows = incidence(i, j, 4)
    assert np.array_equal((rows.T @ sp.diags_array(weights) @ rows).toarray(), matrix.toarray())
    assert rows.sum() == 0


@pytest.mark.parametrize("columns", [(), (2,)])
def test_a_solution_is_exact(columns):
    count = 30 * 40
    i, j = neighbor_pairs(np.arange(count).reshape(30, 40))
    matrix = laplacian(i, j, count) + 0.01 * sp.eye_array(count)
    rhs = np.random.default_rng(1).standard_normal((count, *columns))
    assert np.abs(solve(matrix, rhs) - np.linalg.solve(matrix.toarray(), rhs)).max() < 1e-9


def test_ill_conditioned_systems_are_solved_where_conjugate_gradients_stop():
    """Condition number 1e12: 300 iterations leave a residual of some percent, which nobody was told of."""
    count = 3000
    scale = np.logspace(-6, 6, count)
    chain = laplacian(np.arange(count - 1), np.arange(1, count), count) + 1e-3 * sp.eye_array(count)
    matrix = sp.diags_array(np.sqrt(scale)) @ chain @ sp.diags_array(np.sqrt(scale))
    x = np.cos(np.arange(count))
    rhs = matrix @ x
    iterated, status = sp.linalg.cg(matrix, rhs, rtol=1e-5, maxiter=300)
    assert status != 0 and np.abs(iterated - x).max() > 0.01
    assert np.abs(solve(matrix, rhs) - x).max() < 1e-6


def test_where_the_diagonal_gives_no_pivot_rows_are_exchanged():
    matrix = sp.csr_array(np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert np.allclose(solve(matrix, np.array([2.0, 3.0])), [3.0, 2.0])


@pytest.mark.parametrize(
    "matrix",
    [laplacian(np.array([0]), np.array([1]), 2), sp.csr_array((3, 3)), sp.eye_array(2) * np.nan],
    ids=["singular", "zero", "nan"],
)
def test_what_has_no_solution_is_an_error(matrix):
    with pytest.raises(np.linalg.LinAlgError, match=f"sparse system of {matrix.shape[0]} unknowns: "):
        solve(matrix, np.arange(1.0, matrix.shape[0] + 1))
