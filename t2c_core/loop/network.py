"""Frames of the loop decoded from splatted features: the paper's renderer, without its repeated work.

The published code encodes the image twice per frame and integrates the flow anew for every frame. Encoded once and
traced incrementally the same frames come out: both directions' features are splatted with weight exp(Z - max Z) and the
cross-fade's share, divided by the sum of weights, and decoded.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch
import torch.nn.functional as F

from ..geometry import bounding_box
from ..networks.video import FEATURES, Video
from ..warp.integrate import flow_map, outside, pixel_grid, reverse_trajectory, trajectory
from ..warp.plan import WarpPlan
from ..warp.restarts import source_restarts
from ..warp.splat import EPSILON, splat_points

MULTIPLE = 4
"""The decoder halves twice; other sizes are padded with the image's own border."""
CHUNK = 16
"""Feature channels splatted at a time: what lies around them bounds the memory, not the splat's speed."""
MARGIN = 48
"""Pixels around the fluid that its decoded colours depend on: 43, rounded up to the decoder's grid."""
TILE = 512
"""Longer sides are encoded and decoded in tiles: the widest layers hold 128 channels of full size."""
Region = tuple[slice, slice]


def tiles(box: Region, side: int) -> Iterator[Region]:
    """The box in parts with sides of at most ``side``."""
    for top in range(box[0].start, box[0].stop, side):
        for left in range(box[1].start, box[1].stop, side):
            yield slice(top, min(top + side, box[0].stop)), slice(left, min(left + side, box[1].stop))


def receptive_field(tile: Region, height: int, width: int) -> Region:
    """Receptive field of a tile in a [height, width] image, on the decoder's grid."""
    parts = []
    for part, size in zip(tile, (height, width), strict=True):
        start = max(0, part.start - MARGIN) // MULTIPLE * MULTIPLE
        parts.append(slice(start, min(size, -(-(part.stop + MARGIN) // MULTIPLE) * MULTIPLE)))
    return parts[0], parts[1]


def working_bytes(height: int, width: int) -> int:
    """Bytes that rendering takes beside the network: features of the image, and the decoder's widest layers of a tile.

    Those hold 128 channels at full size and 256 at a quarter of it, several of each.
    """
    tile = min(height, TILE + 2 * MARGIN) * min(width, TILE + 2 * MARGIN)
    return 4 * (4 * FEATURES * height * width + 8 * 128 * tile)


def _crop(tile: Region, around: Region) -> Region:
    """Where a tile lies in its receptive field."""
    rows, columns = (slice(t.start - a.start, t.stop - a.start) for t, a in zip(tile, around, strict=True))
    return rows, columns


class NetworkFrames:
    """Renders a plan's frames with a video network; iterate to get N tensors [H, W, 3] float32 in 0..1.

    Where nothing moves they are the image; with ``network_still`` they are the network's own everywhere. Only
    what the fluid's colours depend on is decoded. network: on ``device``, in float32 or a half precision.
    """

    def __init__(
        self,
        plan: WarpPlan,
        network: Video,
        device: torch.device | str = "cpu",
        cycles: torch.Tensor | None = None,
        *,
        first: int = 0,
        tile: int = TILE,
    ) -> None:
        """cycles: [H, W] how often every pixel restarts (:mod:`..warp.cycles`); None: once, as published.

        first: the frame that comes first; tile: side of the tiles that are encoded and decoded, a multiple of MULTIPLE.
        """
        self.plan, self.network, self.device, self.cycles = plan, network, torch.device(device), cycles
        self.first, self.tile = first, tile

    def __len__(self) -> int:
        return self.plan.settings.frames - self.first

    @torch.no_grad()
    def __iter__(self) -> Iterator[torch.Tensor]:
        image = self.plan.image[0].float().to(self.device)
        features, weight = self._encoded()
        height, width = features.shape[-2:]
        still, size = self.plan.settings.network_still, self.plan.flow.size
        fluid = (self.plan.flow.mask[0] > 0).cpu().numpy()
        box = (slice(0, size[0]), slice(0, size[1])) if still else bounding_box(fluid)
        mask = self.plan.flow.mask[0, :, :, None].to(self.device) > 0
        start = pixel_grid(height, width, self.device)
        how = self.plan.settings.integration
        velocity = F.pad(
            self.plan.flow.velocity.float().to(self.device) * self.plan.settings.speed,
            (0, width - self.plan.flow.size[1], 0, height - self.plan.flow.size[0]),
        )
        maps = flow_map(velocity, how), flow_map(-velocity, how)
        values = features[0].flatten(1)
        for pair, shares in islice(self._moved(start, maps, (height, width)), self.first, None):
            if how == "nearest":
                # Published: what has once left the image is gone, even a fraction of a pixel outside.
                pair = tuple(p.masked_fill(outside(p, height, width)[:, None], -2.0 * max(height, width)) for p in pair)
            splatted = self._splatted(values, weight, pair, shares, (height, width))
            frame = image.clone()
            for tile in tiles(box, self.tile):
                decoded = self._decoded(splatted, tile)
                frame[tile] = decoded if still else torch.where(mask[tile], decoded, image[tile])
            yield frame

    def _moved(
        self, start: torch.Tensor, maps: tuple[torch.Tensor, torch.Tensor], size: tuple[int, int]
    ) -> Iterator[tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor | float, ...]]]:
        """Frame by frame where ``start`` [S, 2] is, moved along and against the flow, and how much either counts."""
        n, how = self.plan.settings.frames, self.plan.settings.integration
        if self.cycles is None:
            forward, backward = trajectory(maps[0], start, n, how), reverse_trajectory(maps[1], start, n, how)
            for i, pair in zip(range(n), zip(forward, backward, strict=True), strict=False):
                yield pair, (1.0 - i / n, i / n)
            return
        raster = self.cycles.to(self.device)
        ways = (source_restarts(raster, start, m, n, how, backward=b) for m, b in zip(maps, (False, True), strict=True))
        for (ahead, share), (behind, rest) in zip(*ways, strict=True):
            yield (ahead, behind), (share, rest)

    def _encoded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Features [1, 64, h, w] and splatting weights [1, h * w] = exp(Z - max Z) of the padded image."""
        image = self.plan.image.float().movedim(-1, 1).to(self.device) * 2 - 1
        height, width = image.shape[-2:]
        padded = F.pad(image, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
        size = padded.shape[-2:]
        features = torch.empty(1, FEATURES, *size, device=self.device)
        metric = torch.empty(1, 1, *size, device=self.device)
        dtype = next(self.network.parameters()).dtype
        for rows, columns in tiles((slice(0, size[0]), slice(0, size[1])), self.tile):
            around = receptive_field((rows, columns), *size)
            inner = (..., *_crop((rows, columns), around))
            part = padded[..., around[0], around[1]].to(dtype, memory_format=torch.channels_last)
            encoded = self.network.encode(part)
            features[..., rows, columns], metric[..., rows, columns] = (part[inner].float() for part in encoded)
        return features, torch.exp(metric - metric.max()).reshape(1, -1)

    def _splatted(
        self,
        values: torch.Tensor,
        weight: torch.Tensor,
        positions: tuple[torch.Tensor, ...],
        shares: tuple[torch.Tensor | float, ...],
        size: tuple[int, int],
    ) -> torch.Tensor:
        counted = zip(positions, shares, strict=True)
        ways = [(p, weight * s) for p, s in counted if isinstance(s, torch.Tensor) or s > 0]
        total = torch.stack([splat_points(w, p, *size) for p, w in ways]).sum(0).clamp_min(EPSILON)
        splatted = torch.empty(FEATURES, size[0] * size[1], device=self.device)
        for first in range(0, FEATURES, CHUNK):
            part = slice(first, first + CHUNK)
            splatted[part] = sum(splat_points(values[part] * w, p, *size) for p, w in ways) / total
        return splatted.reshape(1, FEATURES, *size)

    def _decoded(self, features: torch.Tensor, tile: Region) -> torch.Tensor:
        """[h, w, 3] in 0..1: one tile of the frame."""
        around = receptive_field(tile, *features.shape[-2:])
        part = features[:, :, around[0], around[1]]
        # On a CPU its convolutions are half as fast again with channels last.
        frame = self.network.decode(part.contiguous(memory_format=torch.channels_last)).float()[0]
        return ((frame[(slice(None), *_crop(tile, around))] + 1) / 2).clamp(0, 1).movedim(0, -1)
