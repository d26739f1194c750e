"""Frames of the loop decoded from splatted features: the paper's renderer, without its repeated work.

The published code encodes the picture twice per frame and integrates the flow anew for every frame. Encoded once and
traced incrementally the same frames come out: both directions' features are splatted with weight exp(Z - max Z) and the
cross-fade's share, divided by the sum of weights, and decoded.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from ..types import WarpPlan
from ..warp.integrate import outside, pixel_grid, reversed_traces, traces, unit_step
from ..warp.splat import splat_points
from .video import FEATURES, Video

MULTIPLE = 4
"""The decoder halves twice; other sizes are padded with the picture's own border."""
CHUNK = 16
"""Feature channels splatted at a time: what lies around them bounds the memory, not the splat's speed."""
EPSILON = 1e-8
MARGIN = 48
"""Pixels around the fluid that its decoded colours depend on: 43, rounded up to the decoder's grid."""


TILE = 512
"""Longer sides are decoded in tiles: the decoder's widest layers hold 128 channels of full size."""
Region = tuple[slice, slice]


def fluid_box(mask: torch.Tensor) -> Region:
    """Rows and columns of the smallest box around what moves in ``mask`` [1, H, W]; empty for an empty mask."""
    found = []
    for axis in (1, 0):
        lines = torch.nonzero((mask[0] > 0).any(axis)).flatten()
        found.append(slice(int(lines[0]), int(lines[-1]) + 1) if len(lines) else slice(0, 0))
    return found[0], found[1]


def tiles(box: Region) -> Iterator[Region]:
    """The box in parts with sides of at most TILE."""
    for top in range(box[0].start, box[0].stop, TILE):
        for left in range(box[1].start, box[1].stop, TILE):
            yield slice(top, min(top + TILE, box[0].stop)), slice(left, min(left + TILE, box[1].stop))


def surroundings(tile: Region, height: int, width: int) -> Region:
    """What of a [height, width] picture must be decoded for a tile to come out as if all were; on the decoder grid."""
    parts = []
    for part, size in zip(tile, (height, width), strict=True):
        start = max(0, part.start - MARGIN) // MULTIPLE * MULTIPLE
        parts.append(slice(start, min(size, -(-(part.stop + MARGIN) // MULTIPLE) * MULTIPLE)))
    return parts[0], parts[1]


class NetworkFrames:
    """Renders a plan's frames with a video network; iterate to get N tensors [H, W, 3] float32 in 0..1.

    Where nothing moves they are the picture; with ``plan.network_still`` they are the network's own everywhere. Only
    what the fluid's colours depend on is decoded. network: on ``device``, in float32 or a half precision.
    """

    def __init__(self, plan: WarpPlan, network: Video, device: torch.device | str = "cpu") -> None:
        self.plan, self.network, self.device = plan, network, torch.device(device)

    def __len__(self) -> int:
        return self.plan.frames

    @torch.no_grad()
    def __iter__(self) -> Iterator[torch.Tensor]:
        # On a CPU its convolutions are half as fast again with channels last.
        self.network.to(memory_format=torch.channels_last)
        picture = self.plan.picture[0].float().to(self.device)
        features, weight = self._encoded()
        height, width = features.shape[-2:]
        still, size = self.plan.network_still, self.plan.flow.size
        box = (slice(0, size[0]), slice(0, size[1])) if still else fluid_box(self.plan.flow.mask)
        mask = self.plan.flow.mask[0, :, :, None].to(self.device) > 0
        start = pixel_grid(height, width, self.device)
        n, how = self.plan.frames, self.plan.integration
        velocity = F.pad(
            self.plan.flow.velocity.float().to(self.device) * self.plan.speed,
            (0, width - self.plan.flow.size[1], 0, height - self.plan.flow.size[0]),
        )
        forward = traces(unit_step(velocity, how), start, n, how)
        backward = reversed_traces(unit_step(-velocity, how), start, n, how)
        values = features[0].flatten(1)
        for i, pair in zip(range(n), zip(forward, backward, strict=True), strict=False):
            if how == "nearest":
                # Published: what has once left the picture is gone, even a fraction of a pixel outside.
                pair = tuple(p.masked_fill(outside(p, height, width)[:, None], -2.0 * max(height, width)) for p in pair)
            splatted = self._splatted(values, weight, pair, 1.0 - i / n, (height, width))
            frame = picture.clone()
            for tile in tiles(box):
                decoded = self._decoded(splatted, tile)
                frame[tile] = decoded if still else torch.where(mask[tile], decoded, picture[tile])
            yield frame

    def _encoded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Features [1, 64, h, w] and splatting weights [1, h * w] = exp(Z - max Z) of the padded picture."""
        picture = self.plan.picture.float().movedim(-1, 1).to(self.device) * 2 - 1
        height, width = picture.shape[-2:]
        padded = F.pad(picture, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
        features, metric = self.network.encode(padded.to(next(self.network.parameters()).dtype))
        metric = metric.float()
        return features.float(), torch.exp(metric - metric.max()).reshape(1, -1)

    def _splatted(
        self,
        values: torch.Tensor,
        weight: torch.Tensor,
        positions: tuple[torch.Tensor, torch.Tensor],
        share: float,
        size: tuple[int, int],
    ) -> torch.Tensor:
        ways = [(p, weight * s) for p, s in zip(positions, (share, 1.0 - share), strict=True) if s > 0]
        total = sum(splat_points(w, p, *size) for p, w in ways).clamp_min(EPSILON)
        splatted = torch.empty(FEATURES, size[0] * size[1], device=self.device)
        for first in range(0, FEATURES, CHUNK):
            part = slice(first, first + CHUNK)
            splatted[part] = sum(splat_points(values[part] * w, p, *size) for p, w in ways) / total
        return splatted.reshape(1, FEATURES, *size)

    def _decoded(self, features: torch.Tensor, tile: Region) -> torch.Tensor:
        """[h, w, 3] in 0..1: one tile of the frame."""
        around = surroundings(tile, *features.shape[-2:])
        part = features[:, :, around[0], around[1]].to(next(self.network.parameters()).dtype)
        frame = self.network.decode(part.contiguous(memory_format=torch.channels_last)).float()[0]
        inner = tuple(slice(t.start - a.start, t.stop - a.start) for t, a in zip(tile, around, strict=True))
        return ((frame[:, inner[0], inner[1]] + 1) / 2).clamp(0, 1).movedim(0, -1)
