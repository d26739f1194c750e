"""Splatting with one atomic addition for each point, channel and corner: the fastest, in no fixed order."""

import torch
import triton
import triton.language as tl

from .points import BLOCK, kernel, load_points, on_device, scatter


@kernel
def _splat(values, positions, out, channels, count, height, width, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = at < count
    x, y = load_points(positions, at, mask)
    scatter(out, values, at, x, y, channels, count, height, width, mask)


def splat_atomic(
    values: torch.Tensor, positions: torch.Tensor, height: int, width: int, *, block: int = BLOCK
) -> torch.Tensor:
    """Sum of values [C, M] pushed to pixel positions [M, 2] (x, y) with bilinear weights: [C, height * width] float32.

    What falls outside, and what is no number, is dropped. Any floating type; sums are float32. The order of additions
    is not fixed: results of two runs may differ in the last bits. block: points of one program, a power of two.
    """
    channels, count = values.shape
    out = torch.zeros(channels, height * width, dtype=torch.float32, device=values.device)
    if out.numel() and count:
        with on_device(values):
            _splat[(triton.cdiv(count, block),)](
                values.contiguous(), positions.contiguous(), out, channels, count, height, width, BLOCK=block
            )
    return out
