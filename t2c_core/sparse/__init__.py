"""Sparse linear systems on pixel grids: ``x = solve(laplacian(*neighbor_pairs(index), count) + diagonal, rhs)``."""
