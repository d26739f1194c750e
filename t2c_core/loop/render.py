"""Frames of the loop, one at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ..errors import InputError
from ..networks.render import NetworkFrames
from ..types import BLENDS, WarpPlan
from ..warp.extend import OWN, extend_velocity
from ..warp.layers import FluidWarp
from ..warp.sample import tiles
from .blend import Anchor, Bands, ContrastBlend, LocalStatistics, linear_tiles, luma
from .suit import CHANNELS

DEFAULT_ANCHOR = 0.8


class LoopRenderer:
    """Renders a plan's N frames: iterate over it as often as wanted; each pass starts at frame 0.

    Frames are [H, W, 3] float32 in 0..1 on ``device``, every one a tensor of its own. Frame 0 is the picture itself,
    and pixels outside the mask are the picture's, bit for bit, in every frame. Frame N would equal frame 0 and is not
    produced. blend: 'contrast' keeps the texture's contrast through the cross-fade, 'linear' is the published one.
    anchor (0..1, for 'contrast'): how much the scene's large shapes stay in place while the texture flows: near 1
    for streams and falls, 0 where shapes themselves drift (clouds, smoke).
    A plan with a video network is rendered by it, on the device it is on; blend and anchor have no effect then.
    Memory: a few copies of the fluid's pixels, whatever N is.
    """

    def __init__(
        self,
        plan: WarpPlan,
        blend: str = "contrast",
        device: torch.device | str = "cpu",
        *,
        anchor: float = DEFAULT_ANCHOR,
    ) -> None:
        if blend not in BLENDS:
            raise InputError("blend", f"is '{blend}'; choose one of {', '.join(BLENDS)}.")
        if not 0.0 <= anchor <= 1.0:
            raise InputError("anchor", f"is {anchor}; it must lie between 0 and 1.")
        self.plan, self.blend, self.anchor, self.device = plan, blend, anchor, torch.device(device)
        self._warp: FluidWarp | None = None
        self._coverage: torch.Tensor | None = None

    def __len__(self) -> int:
        return self.plan.frames

    @property
    def warp(self) -> FluidWarp:
        """The plan made ready on the device (made on first use)."""
        if self._warp is None:
            self._warp = FluidWarp(self.plan, self.device)
        return self._warp

    def __iter__(self) -> Iterator[torch.Tensor]:
        picture = self.plan.picture[0].float().to(self.device)
        if self.plan.network is not None:
            yield from self._decoded(picture)
            return
        yield picture.clone()
        if self._still():
            for _ in range(1, len(self)):
                yield picture.clone()
            return
        warp = self.warp
        alpha = warp.of_fluid(self.plan.flow.mask[0].float())
        source = warp.of_fluid(picture)
        blend, along = linear_tiles, None
        if self.blend == "contrast":
            statistics = LocalStatistics(warp.positions, warp.height, warp.width)
            anchor = Anchor(source, statistics, self.anchor) if self.anchor else None
            along = self._along(anchor or statistics(source))
            blend = ContrastBlend(statistics, anchor, len(source))
        frames = warp.tiled_layers(warp.texture, along)
        next(frames)
        for layers in frames:
            fluid = blend(layers)
            frame = picture.clone()
            for tile in tiles(len(source), self.device):
                colours = torch.lerp(source[tile], fluid(tile), alpha[tile]).clamp_(0, 1)
                frame.view(-1, 3).index_copy_(0, warp.indices[tile], colours)
            yield frame
            del frame

    def _decoded(self, picture: torch.Tensor) -> Iterator[torch.Tensor]:
        """The network's frames in the fluid, the picture elsewhere; the first one too, or the loop would jump there."""
        mask = self.plan.flow.mask[0, :, :, None].float().to(self.device)
        for frame in NetworkFrames(self.plan, self.plan.network, self.device):
            yield frame if self.plan.network_still else torch.lerp(picture, frame, mask)

    def _still(self) -> bool:
        """Whether nothing moves at all."""
        moving = (self.plan.flow.mask > 0)[:, None] & (self.plan.flow.velocity != 0)
        return self.plan.speed == 0 or not bool(moving.any())

    def _along(self, place: Anchor | Bands) -> torch.Tensor:
        """[H, W, 4]: what goes along with the colours, continued beyond the mask; there the last channel is 0."""
        warp, mask = self.warp, self.plan.flow.mask
        along = torch.empty(warp.height, warp.width, CHANNELS, device=self.device)
        along[..., 3] = (mask[0] > OWN).to(self.device) if (mask > OWN).any() else 1.0
        for first, values in ((0, place.variance), (2, luma(place.mean)[:, None])):
            raster = torch.zeros(2, warp.height * warp.width, device=self.device)
            raster[: values.shape[1], warp.indices] = values.T
            spread = extend_velocity(raster.reshape(1, 2, warp.height, warp.width), mask)
            along[..., first : first + values.shape[1]] = spread[0, : values.shape[1]].permute(1, 2, 0)
        return along

    @property
    def coverage(self) -> torch.Tensor:
        """[1, H, W] float32: the least share of each pixel, over the loop, that real fluid covered before filling.

        1 = always (and everywhere outside the mask); below 1 the continued texture or a filled hole shows at times.
        """
        if self._coverage is None:
            least = torch.ones(self.warp.height * self.warp.width, device=self.device)
            if len(self.warp.indices):
                for covered in self.warp.coverage():
                    least[self.warp.indices] = torch.minimum(least[self.warp.indices], covered)
            self._coverage = least.reshape(1, self.warp.height, self.warp.width)
        return self._coverage
