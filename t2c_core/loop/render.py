"""Frames of the loop, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch

from ..devices import sampling_device
from ..errors import InputError
from ..memory import copy_on_cpu, first_that_fits, while_memory_lasts
from ..networks.video import Video
from ..types import MotionField
from ..warp.cycles import Cycles, most_cycles
from ..warp.extend import MIN_COVERAGE, extend_velocity
from ..warp.layers import FluidWarp
from ..warp.plan import VideoLoader, WarpPlan
from ..warp.restarts import cycles_raster
from ..warp.sample import sample_planar, tiles
from .blend import LinearBlend, Underlay, contrast_blend
from .cycles import suitable_cycles
from .layer_weights import CHANNELS
from .network import TILE, NetworkFrames, working_bytes
from .settings import BlendSettings, LoopSettings
from .statistics import LocalStatistics, Moments, SourceStatistics, luma

HALVINGS = 3
"""How often tiles are halved where memory is short, before the CPU takes over."""


class LoopRenderer:
    """Renders the N frames of a loop: iterate over it as often as wanted; each pass starts at frame 0.

    Frames are [H, W, 3] float32 in 0..1 on ``device`` (:func:`t2c_core.devices.sampling_device`), every one a tensor of
    its own. Frame 0 is the image itself, and pixels outside the mask are the image's, bit for bit, in every frame.
    Frame N would equal frame 0 and is not produced. The arguments are those of :class:`t2c_core.warp.plan.WarpPlan`; a
    video ``network`` renders on the device it is on, and blend and anchor have no effect then. coverage: gather it
    while rendering, which costs far less than afterwards. Raises InputError for shapes that do not fit.
    Memory: a few copies of the fluid's pixels, whatever N is. Where a device has not enough for a frame, smaller tiles
    and then the CPU render it and the others; frames are on the CPU then.
    """

    def __init__(
        self,
        image: torch.Tensor,
        flow: MotionField,
        settings: LoopSettings = LoopSettings(),
        *,
        metric: torch.Tensor | None = None,
        network: VideoLoader | None = None,
        coverage: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        self.plan = WarpPlan(image, flow, settings, metric, network)
        self.settings, self.device = settings, sampling_device(device)
        self._with_coverage = coverage
        self._level = 0
        self._warp: FluidWarp | None = None
        self._coverage: torch.Tensor | None = None

    @classmethod
    def from_plan(
        cls,
        plan: WarpPlan,
        blend: BlendSettings = BlendSettings(),
        device: torch.device | str = "cpu",
        *,
        frames: int | None = None,
        coverage: bool = False,
    ) -> LoopRenderer:
        """A renderer of what a T2C_WARP socket carries; ``frames``: another length than the plan's."""
        length = plan.settings.frames if frames is None else frames
        settings = LoopSettings(**{**vars(plan.settings), **vars(blend), "frames": length})
        shared = {"metric": plan.metric, "network": plan.network, "coverage": coverage, "device": device}
        return cls(plan.image, plan.flow, settings, **shared)

    def __len__(self) -> int:
        return self.settings.frames

    @property
    def warp(self) -> FluidWarp:
        """The plan made ready on the device (made on first use)."""
        if self._warp is None:
            self._warp = FluidWarp(self.plan, self.device, self.cycles())
        return self._warp

    def cycles(self) -> Cycles | None:
        """How often every fluid pixel restarts within the loop; None: the published single cross-fade."""
        if self.settings.cycles == "auto":
            return suitable_cycles(self.plan, self.device)
        number = min(int(self.settings.cycles), most_cycles(len(self)))
        return None if number == 1 else Cycles.even(int((self.plan.flow.mask > 0).sum()), number, self.device)

    def __iter__(self) -> Iterator[torch.Tensor]:
        return while_memory_lasts(self._levels(), lambda level, first: self._frames(first), "rendering", "image")

    def _levels(self) -> Iterator[int]:
        """How often memory ran out so far, once more with every step."""
        for level in range(self._level, HALVINGS + 2):
            if level != self._level:
                self._level, self._warp = level, None
                self.device = torch.device("cpu") if self._on_cpu else self.device
            yield level

    @property
    def _halvings(self) -> int:
        return min(self._level, HALVINGS)

    @property
    def _on_cpu(self) -> bool:
        return self._level > HALVINGS

    def _frames(self, first: int) -> Iterator[torch.Tensor]:
        if self.plan.network is not None:
            yield from self._decoded(self.plan.network, first)
            return
        image = self.plan.image[0].float().to(self.device)
        if self._still():
            for _ in range(first, len(self)):
                yield image.clone()
            return
        if first == 0:
            yield image.clone()
        warp = self.warp
        alpha = warp.of_fluid(self.plan.flow.mask[0].float())[0]
        source = warp.of_fluid(image)
        under = Underlay(image, source, alpha, warp.indices, tiles(len(alpha), alpha.device, self._halvings))
        blend, aux = LinearBlend(), None
        if self.settings.blend == "contrast":
            statistics = LocalStatistics(warp.positions, warp.height, warp.width, self._halvings)
            anchor = SourceStatistics(source, statistics, self.settings.anchor) if self.settings.anchor else None
            aux = self._aux(anchor or statistics(source))
            blend = contrast_blend(statistics, anchor, source.shape[1], self._layer_angle(statistics))
        # A pass that was begun with other tiles has not gathered all of it.
        least = torch.ones_like(alpha) if self._with_coverage and first == 0 else None
        frames = warp.tiled_layers(warp.texture, aux, least)
        for layers in islice(frames, max(first, 1), None):
            yield blend.compose(layers, under)
        if least is not None:
            self._coverage = self._coverage_raster(least)

    def _decoded(self, loader: VideoLoader, first: int) -> Iterator[torch.Tensor]:
        """The network's frames in the fluid, the image elsewhere; the first one too, or the loop would jump there."""
        network, device = loader(working_bytes(*self.plan.flow.size))
        if not isinstance(network, Video):
            raise InputError("network", f"is a {type(network).__name__}.", "A loop is rendered by the network 'video'.")
        if self._on_cpu:
            network, device = copy_on_cpu(network), torch.device("cpu")
        image = self.plan.image[0].float().to(device)
        mask = self.plan.flow.mask[0, :, :, None].float().to(device)
        cycles, indices = self.cycles(), torch.nonzero(self.plan.flow.mask[0].reshape(-1) > 0).reshape(-1)
        raster = None if cycles is None else cycles_raster(cycles, indices, *self.plan.flow.size)
        for frame in NetworkFrames(self.plan, network, device, raster, first=first, tile=TILE >> self._halvings):
            yield frame if self.settings.network_still else torch.lerp(image, frame, mask)

    def _layer_angle(self, statistics: LocalStatistics) -> torch.Tensor | None:
        """acos [M] of the correlation of the two layers in mid-cycle; None for the single long cross-fade."""
        if self.warp.restarts is None:
            return None
        layers = (
            sample_planar(self.warp.texture, p, mode="bicubic", outside="mirror")
            for p in self.warp.restarts.mid_cycle()
        )
        return statistics.layer_angle(*(luma(colours) for colours in layers))

    def _still(self) -> bool:
        """Whether nothing moves at all."""
        moving = (self.plan.flow.mask > 0)[:, None] & (self.plan.flow.velocity != 0)
        return self.settings.speed == 0 or not bool(moving.any())

    def _aux(self, place: SourceStatistics | Moments) -> torch.Tensor:
        """[H, W, 4]: what goes along with the colours, continued beyond the mask; there the last channel is 0."""
        warp, mask = self.warp, self.plan.flow.mask
        aux = torch.empty(warp.height, warp.width, CHANNELS, device=self.device)
        aux[..., 3] = (mask[0] > MIN_COVERAGE).to(self.device) if (mask > MIN_COVERAGE).any() else 1.0
        for first, values in ((0, place.variance), (2, luma(place.mean)[None])):
            raster = torch.zeros(2, warp.height * warp.width, device=self.device)
            raster[: len(values), warp.indices] = values
            spread = extend_velocity(raster.reshape(1, 2, warp.height, warp.width), mask)
            aux[..., first : first + len(values)] = spread[0, : len(values)].permute(1, 2, 0)
        return aux

    @property
    def coverage(self) -> torch.Tensor:
        """[1, H, W] float32: the least share of each pixel, over the loop, that real fluid covered before filling.

        1 = always (and everywhere outside the mask); below 1 the continued texture or a filled hole shows at times.
        """
        if self._coverage is None:
            self._coverage = first_that_fits(self._levels(), lambda level: self._least_coverage(), "coverage", "image")
        return self._coverage

    def _least_coverage(self) -> torch.Tensor:
        least = torch.ones(len(self.warp.indices), device=self.device)
        for covered in self.warp.coverage() if len(least) else ():
            torch.minimum(least, covered, out=least)
        return self._coverage_raster(least)

    def _coverage_raster(self, least: torch.Tensor) -> torch.Tensor:
        raster = torch.ones(self.warp.height * self.warp.width, device=least.device)
        return raster.index_copy_(0, self.warp.indices, least).reshape(1, self.warp.height, self.warp.width)
