"""Tiles worked on side by side by code that holds no lock of Python's: Numba's loops and OpenCV's look-ups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

P = TypeVar("P")
T = TypeVar("T")


def side_by_side(work: Callable[[slice], object], count: int, size: int) -> None:
    """``work`` of slices of ``size`` that cover ``count``, on as many threads as torch may use."""
    TileWorkers().map(work, [slice(first, min(first + size, count)) for first in range(0, count, size)])


class TileWorkers:
    """As many threads as torch may use on the CPU (``torch.get_num_threads``); they end with this object."""

    def __init__(self) -> None:
        count = torch.get_num_threads()
        self._pool = ThreadPoolExecutor(count, "t2c-tile") if count > 1 else None

    def map(self, work: Callable[[P], T], tiles: Sequence[P]) -> list[T]:
        """``work(tile)`` of every tile, in their order."""
        if self._pool is None or len(tiles) == 1:
            return [work(tile) for tile in tiles]
        inference = torch.is_inference_mode_enabled()

        def within(tile: P) -> T:
            # A thread's own setting, without which tensors made in this mode could not be written to.
            with torch.inference_mode(inference):
                return work(tile)

        futures = [self._pool.submit(within, tile) for tile in tiles]
        return [future.result() for future in futures]
