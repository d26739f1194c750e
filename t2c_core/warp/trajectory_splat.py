"""Splats of every frame along a field: integration and splatting together.

In torch the positions of a frame are traced, then splatted. Triton's fused kernel does both at once: forward each frame
goes one step on from the positions of the one before; backward it starts from the last check point, so that no
positions between check points are ever stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from ..kernels.dispatch import run_or_fallback, use_triton
from .integrate import STORED_BYTES, reverse_trajectory, trajectory
from .splat import splat_points


def trajectory_splat(
    values: torch.Tensor,
    step: torch.Tensor,
    start: torch.Tensor,
    steps: int,
    integration: str,
    height: int,
    width: int,
    *,
    origin: tuple[int, int] = (0, 0),
    backwards: bool = False,
    kernel: str | None = None,
    stored_bytes: int = STORED_BYTES,
) -> Iterator[torch.Tensor]:
    """Sums [C, height * width] float32 of values [C, M] splatted where their points are after 0, 1, ..., steps frames.

    step: unit step [H, W, 2] (px) of a field; start: positions [M, 2] float32 (x, y) in it; origin: (x, y) in it of the
    sums' first pixel. backwards: the same in the opposite order, after ``steps``, ..., 1, 0 frames; positions are kept
    whole where they fit into ``stored_bytes``, else every sqrt(steps)-th. kernel: as for
    :func:`t2c_core.warp.splat.splat_points`.
    """
    if use_triton(values.device, kernel):
        one = _Fused(values, step, integration, height, width, origin)
        start = start.float().contiguous()
        yield from one.backwards(start, steps, stored_bytes) if backwards else one.onwards(start, steps)
        return
    offset = torch.tensor(origin, device=start.device, dtype=torch.float32)
    every = (
        reverse_trajectory(step, start, steps, integration, stored_bytes)
        if backwards
        else trajectory(step, start, steps, integration)
    )
    for positions in every:
        yield splat_points(values, positions - offset, height, width, kernel=kernel)


class _Fused:
    """The fused kernel's frames of one set of values; in torch from where a launch fails."""

    def __init__(
        self,
        values: torch.Tensor,
        step: torch.Tensor,
        integration: str,
        height: int,
        width: int,
        origin: tuple[int, int],
    ) -> None:
        self.values, self.step, self.integration = values, step, integration
        self.size, self.origin = (height, width), origin

    def onwards(self, start: torch.Tensor, steps: int) -> Iterator[torch.Tensor]:
        yield self._splat(self.values, start, 0)
        # Two buffers in turn: the kernel must not write where it reads.
        here, there = start.clone(), torch.empty_like(start)
        for _ in range(steps):
            yield self._splat(self.values, here, 1, reached=there)
            here, there = there, here

    def backwards(self, start: torch.Tensor, steps: int, stored_bytes: int) -> Iterator[torch.Tensor]:
        size = max(1, start.numel() * start.element_size())
        interval = 1 if size * (steps + 1) <= stored_bytes else max(1, math.isqrt(steps))
        kept = [start]
        for _ in range(steps // interval):
            kept.append(torch.empty_like(start))
            # Without channels the kernel only traces.
            self._splat(self.values[:0], kept[-2], interval, reached=kept[-1])
        for after in range(steps, -1, -1):
            yield self._splat(self.values, kept[-1], after % interval)
            if after % interval == 0:
                kept.pop()

    def _splat(
        self, values: torch.Tensor, positions: torch.Tensor, steps: int, reached: torch.Tensor | None = None
    ) -> torch.Tensor:
        """values splatted ``steps`` after ``positions``; ``reached`` takes the positions there."""

        def fused() -> torch.Tensor:
            from ..kernels.fused import advect_and_splat

            nearest = self.integration == "nearest"
            return advect_and_splat(
                values, self.step, positions, steps, *self.size, nearest=nearest, origin=self.origin, reached=reached
            )

        def separate() -> torch.Tensor:
            moved = positions
            for moved in trajectory(self.step, positions, steps, self.integration):  # noqa: B007 - the last one
                pass
            if reached is not None:
                reached.copy_(moved)
            offset = torch.tensor(self.origin, device=moved.device, dtype=torch.float32)
            return splat_points(values, moved - offset, *self.size, kernel="torch")

        return run_or_fallback("trajectory splat", fused, separate)
