"""Integration and splatting in one kernel: a point goes along the field in registers and is splatted where it arrives.

Neither displacements nor positions between the frames are written; where the caller wants to go on from here, the
positions reached are.
"""

import torch
import triton
import triton.language as tl

from .points import BLOCK, advance, kernel, load_points, on_device, scatter


@kernel
def _advect_and_splat(
    values,
    step,
    positions,
    reached,
    out,
    left,
    top,
    steps,
    channels,
    count,
    field_height,
    field_width,
    height,
    width,
    NEAREST: tl.constexpr,
    KEEP: tl.constexpr,
    BLOCK: tl.constexpr,
):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = at < count
    x, y = load_points(positions, at, mask)
    for _ in range(steps):
        x, y = advance(step, x, y, field_height, field_width, mask, NEAREST)
    if KEEP:
        tl.store(reached + 2 * at, x, mask=mask)
        tl.store(reached + 2 * at + 1, y, mask=mask)
    scatter(out, values, at, x - left, y - top, channels, count, height, width, mask)


def advect_and_splat(
    values: torch.Tensor,
    step: torch.Tensor,
    positions: torch.Tensor,
    steps: int,
    height: int,
    width: int,
    *,
    nearest: bool = False,
    origin: tuple[int, int] = (0, 0),
    reached: torch.Tensor | None = None,
    block: int = BLOCK,
) -> torch.Tensor:
    """Sums [C, height * width] float32 of values [C, M], splatted where their points are ``steps`` frames later.

    step: [H, W, 2] float32 (px), the displacement of one frame. positions: [M, 2] (x, y) in that field.
    nearest: steps by the nearest pixel's displacement, until a point leaves the field; else by the bilinear one.
    origin: (x, y) in the field of the result's first pixel. reached: [M, 2] float32, contiguous, takes the positions
    at the end; it must not be ``positions``. With no channels (C = 0) the points are only traced.
    """
    channels, count = values.shape
    out = torch.zeros(channels, height * width, dtype=torch.float32, device=values.device)
    if count and (out.numel() or reached is not None):
        with on_device(values):
            _advect_and_splat[(triton.cdiv(count, block),)](
                values.contiguous(),
                step.contiguous(),
                positions.contiguous(),
                positions if reached is None else reached,
                out,
                *origin,
                steps,
                channels if height * width else 0,
                count,
                *step.shape[:2],
                height,
                width,
                NEAREST=nearest,
                KEEP=reached is not None,
                BLOCK=block,
            )
    return out
