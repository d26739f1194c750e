"""Splatting: pixels pushed forward to where they move, in pure torch on any device, by Triton kernels on CUDA.

Forward warping by summation with bilinear weights, and softmax splatting (Niklaus & Liu, "Softmax Splatting for Video
Frame Interpolation", CVPR 2020): result(q) = sum_p b(q - p - d(p)) exp(Z(p)) I(p) / sum_p b(q - p - d(p)) exp(Z(p)),
with b the bilinear kernel. Written from the formula.
"""

from __future__ import annotations

import torch

from ..errors import InputError
from ..kernels.dispatch import run_or_fallback, use_triton
from .integrate import pixel_grid

EPSILON = 1e-8
CHUNK_POINTS = 4 * 2**20


def splat_points(
    values: torch.Tensor, positions: torch.Tensor, height: int, width: int, *, kernel: str | None = None
) -> torch.Tensor:
    """Sum of values [C, M] pushed to pixel positions [M, 2] (x, y) with bilinear weights: [C, height * width] float32.

    What falls outside the picture is dropped. Accumulates in float32 whatever the input's type. kernel: 'auto',
    'torch' or 'triton', see :mod:`t2c_core.kernels.dispatch`; where gradients are wanted torch does it. Raises
    InputError for another name.
    """
    differentiated = torch.is_grad_enabled() and (values.requires_grad or positions.requires_grad)
    if not use_triton(values.device, kernel) or differentiated:
        return _splat_torch(values, positions, height, width)

    def launched() -> torch.Tensor:
        # Imported only now: this module needs Triton.
        from ..kernels.atomic import splat_atomic

        return splat_atomic(values, positions, height, width)

    return run_or_fallback("splat", launched, lambda: _splat_torch(values, positions, height, width))


def _splat_torch(values: torch.Tensor, positions: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The same in torch; long lists are worked off in chunks of some million points."""
    channels, count = values.shape
    # Two cells of margin on every side take what falls outside: cheaper than testing each corner of each point.
    rows, columns = height + 4, width + 4
    out = torch.zeros(channels, rows * columns, dtype=torch.float32, device=values.device)
    for start in range(0, count, CHUNK_POINTS):
        piece = slice(start, start + CHUNK_POINTS)
        v, p = values[:, piece].float(), positions[piece].float().nan_to_num(nan=-2.0)
        corner = torch.floor(p)
        fx, fy = (p - corner).clamp(0, 1).unbind(1)
        x0 = corner[:, 0].clamp(-2, width).long() + 2
        y0 = corner[:, 1].clamp(-2, height).long() + 2
        first = y0 * columns + x0
        for shift, weight in (
            (0, (1 - fy) * (1 - fx)),
            (1, (1 - fy) * fx),
            (columns, fy * (1 - fx)),
            (columns + 1, fy * fx),
        ):
            if v.device.type == "cpu":
                out.scatter_add_(1, (first + shift).expand(channels, -1), v * weight)
            else:
                out.index_add_(1, first + shift, v * weight)
    return out.reshape(channels, rows, columns)[:, 2:-2, 2:-2].reshape(channels, height * width)


def splat(
    image: torch.Tensor,
    displacement: torch.Tensor,
    metric: torch.Tensor | None = None,
    *,
    mode: str = "softmax",
    kernel: str | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Push every pixel of ``image`` [B, C, H, W] by ``displacement`` [B, 2, H, W] (px; x right, y down).

    mode: 'sum' adds up; 'average' divides by the sum of the bilinear weights; 'softmax' weighs each pixel with
    exp(metric - max metric) first, metric [B, 1, H, W] (without one it equals 'average').
    Returns the result [B, C, H, W] and the sum of weights [B, 1, H, W], both float32; where that sum is 0 nothing
    arrived and the result is 0. kernel: as for :func:`splat_points`. Raises InputError for shapes that do not fit or an
    unknown mode or kernel.
    """
    if mode not in ("sum", "average", "softmax"):
        raise InputError("mode", f"is '{mode}'; choose sum, average or softmax.")
    batch, channels, height, width = image.shape
    if displacement.shape != (batch, 2, height, width):
        raise InputError("displacement", f"has shape {list(displacement.shape)}; the image {list(image.shape)}.")
    if metric is not None and metric.shape != (batch, 1, height, width):
        raise InputError("metric", f"has shape {list(metric.shape)}; needs {[batch, 1, height, width]}.")
    start = pixel_grid(height, width, image.device)
    results, weights = [], []
    for b in range(batch):
        weight = torch.ones(1, height * width, device=image.device)
        if mode == "softmax" and metric is not None:
            z = metric[b].reshape(1, -1).float()
            weight = torch.exp(z - z.max())
        colours = image[b].reshape(channels, -1).float()
        moved = start + displacement[b].reshape(2, -1).T.float()
        total = splat_points(torch.cat([colours * weight, weight]), moved, height, width, kernel=kernel)
        summed, arrived = total[:-1], total[-1:]
        if mode != "sum":
            summed = summed / arrived.clamp_min(EPSILON)
        results.append(summed.reshape(channels, height, width))
        weights.append(arrived.reshape(1, height, width))
    return torch.stack(results), torch.stack(weights)
