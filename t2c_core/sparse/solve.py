"""Direct solver of sparse symmetric systems; it raises where there is no solution."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spl

ACCURACY = 1e-6
"""Largest backward error of a solution."""


def solve(matrix: sp.csr_array, rhs: np.ndarray) -> np.ndarray:
    """x with A x = b for a sparse symmetric positive definite matrix A [n, n]; b and x: [n] or [n, k].

    LU factorisation (SuperLU) with a minimum degree ordering of A + A^T and pivots on the diagonal. On grids of up to
    160 x 160 cells this takes about as long as conjugate gradients to 1e-5 with a multigrid preconditioner, is exact,
    and needs no random start vectors. Where the diagonal pivots lose too much, it is repeated with partial pivoting.

    Raises numpy.linalg.LinAlgError for a matrix that is singular or too ill-conditioned, and for NaN: the backward
    error |b - A x| / (|A| |x| + |b|) in the maximum norm (Rigal & Gaches, 1967) is above ACCURACY.
    """
    columns = sp.csc_array(matrix)
    problem = "no factorisation"
    for options in (_SYMMETRIC, {}):
        try:
            x = spl.splu(columns, **options).solve(rhs)
        except RuntimeError as error:
            problem = str(error)
            continue
        error = _backward_error(matrix, x, rhs)
        if error <= ACCURACY:
            return x
        problem = f"backward error {error:.1e}, allowed {ACCURACY:.0e}"
    raise np.linalg.LinAlgError(f"sparse system of {len(rhs)} unknowns: {problem}")


_SYMMETRIC = {"permc_spec": "MMD_AT_PLUS_A", "diag_pivot_thresh": 0.0, "options": {"SymmetricMode": True}}


def _backward_error(matrix: sp.csr_array, x: np.ndarray, rhs: np.ndarray) -> float:
    scale = abs(matrix).sum(1).max(initial=0.0) * np.abs(x).max(initial=0.0) + np.abs(rhs).max(initial=0.0)
    return float(np.abs(rhs - matrix @ x).max(initial=0.0) / max(scale, np.finfo(float).tiny))
