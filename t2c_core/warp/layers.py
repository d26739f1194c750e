"""The two layers of every frame: the picture carried forward by i frames and backward by N - i.

Only the fluid's pixels are worked on, as a list of M points; everything else is the source picture and never enters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from .cycles import Cycles
from .extend import extend_image, extend_velocity
from .integrate import flow_map, pixel_grid, reverse_trajectory, trajectory
from .plan import WarpPlan
from .restarts import Pair, Restarts, cycles_raster, restarted_splats, source_restarts
from .sample import inside, sample, sample_planar, sample_planes
from .trajectory_splat import trajectory_splat

MIN_WEIGHT = 1e-3
"""Less splatted weight than this counts as a hole."""


@dataclass(frozen=True)
class Layers:
    """One frame before blending.

    forward, backward: [3, M], the colours moved forward by i and backward by N - i frames.
    share: weight of the forward layer, a number or [M]: 1 - i / N, corrected where one layer has holes.
    aux: [K, M] of either, auxiliary channels moved along with the colours.
    second: for pixels that have a second number of cycles: which they are [E], their layers, and these layers' weight
        [E] in the mix.
    """

    forward: torch.Tensor
    backward: torch.Tensor
    share: torch.Tensor | float
    aux: tuple[torch.Tensor, torch.Tensor] | None = None
    second: tuple[torch.Tensor, Layers, torch.Tensor] | None = None

    def of(self, tile: slice) -> Layers:
        """The layers of the fluid's pixels in ``tile``."""
        share = self.share[tile] if isinstance(self.share, torch.Tensor) else self.share
        aux = self.aux and (self.aux[0][:, tile], self.aux[1][:, tile])
        return Layers(self.forward[:, tile], self.backward[:, tile], share, aux)


@dataclass(frozen=True)
class GatherFrame:
    """One frame by look-ups; called with a tile it gives that tile's layers.

    colours: [H, W, 3], by bicubic look-up; aux: [H, W, K], smooth, by bilinear look-up. sources: positions [p, 2] that
    the forward and the backward colours of a slice of points come from; share: of all points, a number or [P].
    fluid: bool [H, W]; least: [M], lowered where neither layer of a pixel comes from the fluid, None if not wanted.
    """

    colours: torch.Tensor
    aux: torch.Tensor | None
    sources: Callable[[slice], Pair]
    share: torch.Tensor | float
    restarts: Restarts | None = None
    fluid: torch.Tensor | None = None
    least: torch.Tensor | None = None

    def __call__(self, tile: slice) -> Layers:
        if self.restarts is not None:
            tile = slice(*tile.indices(self.restarts.count)[:2])
        at = self.sources(tile)
        self.note_coverage(tile, at)
        first, more = self._read(tile, at), self.restarts and self.restarts.second_of(tile)
        if more is None:
            return first
        points, pixels, weight = more
        return replace(first, second=(pixels, self._read(points, self.sources(points)), weight))

    def share_of(self, points: slice) -> torch.Tensor | float:
        """``share`` of a slice of points."""
        return self.share[points] if isinstance(self.share, torch.Tensor) else self.share

    def note_coverage(self, tile: slice, at: Pair) -> None:
        """Lower ``least`` of a tile whose colours come from positions ``at`` [m, 2] each."""
        if self.least is not None and self.fluid is not None:
            self.least[tile].mul_(inside(self.fluid, at[0]).logical_or_(inside(self.fluid, at[1])))

    def _read(self, points: slice, at: Pair) -> Layers:
        forward, backward = (sample_planar(self.colours, p, mode="bicubic", outside="mirror") for p in at)
        beside = None
        if self.aux is not None:
            beside = sample_planar(self.aux, at[0], outside="mirror"), sample_planar(self.aux, at[1], outside="mirror")
        return Layers(forward, backward, self.share_of(points), beside)


class FluidWarp:
    """A plan made ready on a device: the fluid's pixels, its extended texture and the unit step along the field.

    indices: [M] int64, the fluid's pixels (mask > 0) in the flattened picture. positions: [M, 2] their (x, y).
    texture: [H, W, 3], the fluid continued over its borders.
    """

    def __init__(self, plan: WarpPlan, device: torch.device | str = "cpu", cycles: Cycles | None = None) -> None:
        self.plan, self.settings, self.device = plan, plan.settings, torch.device(device)
        travel = plan.settings.frames if cycles is None else cycles.longest(plan.settings.frames)
        mask = plan.flow.mask
        self.height, self.width = plan.flow.size
        velocity = plan.flow.velocity.float() * plan.settings.speed
        fastest = float(torch.hypot(*velocity[0]).max())
        self.reach = min(fastest * travel, 0.5 * max(self.height, self.width)) + 2.0
        self.fluid = (mask[0] > 0).to(self.device)
        self.indices = torch.nonzero(mask[0].reshape(-1) > 0).reshape(-1).to(self.device)
        self.positions = pixel_grid(self.height, self.width, self.device)[self.indices]
        self.texture = extend_image(plan.image[0], mask[0], self.reach).to(self.device)
        extended = extend_velocity(velocity, mask).to(self.device)
        self._onward = flow_map(extended, plan.settings.integration)
        self._back = flow_map(-extended, plan.settings.integration)
        self.restarts = None
        if cycles is not None:
            how = plan.settings.integration
            self.restarts = Restarts(cycles, self.positions, self.flow_maps, plan.settings.frames, how)
        self._travel = travel

    @property
    def flow_maps(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Displacements of one frame [H, W, 2] (px): against the flow, where colours come from, and along it."""
        return self._back, self._onward

    def of_fluid(self, raster: torch.Tensor) -> torch.Tensor:
        """Planes [C, M] of the fluid's pixels of a raster [H, W, C] or [H, W]."""
        values = raster.reshape(self.height * self.width, -1).to(self.device)
        return values.index_select(0, self.indices).T.contiguous()

    def layers(self, colours: torch.Tensor, aux: torch.Tensor | None = None) -> Iterator[Layers]:
        """Yield the N frames' layers of all the fluid's pixels; the rasters are those of ``tiled_layers``."""
        for layers in self.tiled_layers(colours, aux):
            yield layers(slice(None))

    def tiled_layers(
        self, colours: torch.Tensor, aux: torch.Tensor | None = None, least: torch.Tensor | None = None
    ) -> Iterator[Callable[[slice], Layers]]:
        """Yield for each of the N frames what gives the layers of a tile of the fluid's pixels, until the next frame.

        colours: [H, W, 3]; aux: [H, W, up to 4] carried along with them; least: [M], ones that become each pixel's
        lowest ``coverage`` while the layers of all tiles are read.
        """
        yield from (self._splat if self.settings.renderer == "splat" else self._gather)(colours, aux, least)

    def coverage(self) -> Iterator[torch.Tensor]:
        """Yield for each frame [M] float32: the share of the pixel that real fluid covers, before any filling."""
        if self.settings.renderer == "splat":
            for forward, backward in self._splats(self.texture[..., :1], coverage=True):
                yield self._splat_covered(forward, backward)
            return
        every = slice(0, len(self.indices))
        pairs = self._source_positions() if self.restarts is None else (f.sources(every) for f in self.restarts)
        for pair in pairs:
            yield (inside(self.fluid, pair[0]) | inside(self.fluid, pair[1])).float()

    def _source_positions(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Where each fluid pixel's forward and backward colours come from, frame by frame."""
        n, how = self.settings.frames, self.settings.integration
        forward = trajectory(self._back, self.positions, n, how)
        backward = reverse_trajectory(self._onward, self.positions, n, how)
        for _, pair in zip(range(n), zip(forward, backward, strict=True), strict=False):
            yield pair

    def _gather(
        self, colours: torch.Tensor, aux: torch.Tensor | None, least: torch.Tensor | None
    ) -> Iterator[GatherFrame]:
        noted = {"fluid": self.fluid, "least": least}
        if self.restarts is None:
            for i, pair in enumerate(self._source_positions()):
                share = 1.0 - i / self.settings.frames
                yield GatherFrame(colours, aux, lambda tile, pair=pair: (pair[0][tile], pair[1][tile]), share, **noted)
            return
        for frame in self.restarts:
            yield GatherFrame(colours, aux, frame.sources, frame.share, frame.restarts, **noted)

    def _sources(self, step: torch.Tensor) -> torch.Tensor:
        """Starting positions [S, 2], in and around the picture, that reach the fluid within N frames along ``step``.

        Found on every fourth pixel and then widened: far fewer points than the whole neighbourhood.
        """
        stride, pad = 4, math.ceil(self.reach / 4) * 4
        rows, columns = (math.ceil((s + 2 * pad) / stride) for s in (self.height, self.width))
        coarse = pixel_grid(rows, columns, self.device) * stride - pad
        fluid = (self.plan.flow.mask > 0).float()[None].to(self.device)
        near = F.max_pool2d(fluid, 2 * stride + 1, 1, stride)[0, 0]
        hit = torch.zeros(len(coarse), dtype=torch.bool, device=self.device)
        for positions in trajectory(step, coarse, self._travel, self.settings.integration):
            x, y = torch.round(positions).long().unbind(1)
            within = (x >= -stride) & (x < self.width + stride) & (y >= -stride) & (y < self.height + stride)
            hit |= within & (near[y.clamp(0, self.height - 1), x.clamp(0, self.width - 1)] > 0)
        kept = F.max_pool2d(hit.reshape(1, 1, rows, columns).float(), 3, 1, 1)
        kept = kept.repeat_interleave(stride, 2).repeat_interleave(stride, 3)[0, 0]
        y, x = torch.nonzero(kept, as_tuple=True)
        return torch.stack([x - pad - stride // 2, y - pad - stride // 2], 1).float()

    def _splats(self, carried: torch.Tensor, *, coverage: bool = False) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Sums [C + 1, M] of what arrives forward and backward, the weights last, frame by frame; with restarts each
        source counts as much as its layer does there.

        coverage: put first how much fluid arrives, not weighted by the metric, without its continued texture.
        """
        n, how = self.settings.frames, self.settings.integration
        left, top = (int(self.positions[:, k].min()) for k in (0, 1))
        width, height = (int(self.positions[:, k].max()) - o + 1 for k, o in ((0, left), (1, top)))
        read = ((self.positions[:, 1] - top) * width + self.positions[:, 0] - left).long()
        origin, paths, raster = (left, top), [], None
        if self.restarts is not None:
            raster = cycles_raster(self.restarts.cycles, self.indices, self.height, self.width)
        for step, backwards in ((self._onward, False), (self._back, True)):
            start = self._sources(step)
            colours = torch.cat([sample(part, start, outside="mirror") for part in carried.split(4, -1)], 1)
            weight = torch.ones(len(start), 1, device=self.device)
            if self.plan.metric is not None:
                z = sample(self.plan.metric[0].permute(1, 2, 0).float().to(self.device), start, outside="mirror")
                weight = torch.exp(z - z.max())
            values = torch.cat([colours * weight, weight], 1).T.contiguous()
            if coverage:
                values = torch.cat([inside(self.fluid, start)[None].float(), values])
            if raster is None:
                sums = trajectory_splat(values, step, start, n, how, height, width, origin=origin, backwards=backwards)
            else:
                moved = source_restarts(raster, start, step, n, how, backward=backwards)
                sums = restarted_splats(values, moved, height, width, origin)
            paths.append(sums)
        for _, pair in zip(range(n), zip(*paths, strict=True), strict=False):
            yield tuple(sums[:, read] for sums in pair)

    def _splat(
        self, colours: torch.Tensor, aux: torch.Tensor | None, least: torch.Tensor | None
    ) -> Iterator[Callable[[slice], Layers]]:
        n, carried = self.settings.frames, colours if aux is None else torch.cat([colours, aux], -1)
        for i, (forward, backward) in enumerate(self._splats(carried, coverage=least is not None)):
            if least is not None:
                torch.minimum(least, self._splat_covered(forward, backward), out=least)
                forward, backward = forward[1:], backward[1:]
            a = 1.0 - i / n if self.restarts is None else 0.5
            wa, wb = forward[-1].clamp(0, 1), backward[-1].clamp(0, 1)
            share = a * wa / (a * wa + (1 - a) * wb).clamp_min(1e-12)
            ca = forward[:-1] / forward[-1].clamp_min(1e-12)
            cb = backward[:-1] / backward[-1].clamp_min(1e-12)
            # A layer's hole shows the other layer, so that the blend and its statistics see real colours only.
            empty_a, empty_b = forward[-1] < MIN_WEIGHT, backward[-1] < MIN_WEIGHT
            ca, cb = torch.where(empty_a, cb, ca), torch.where(empty_b, ca, cb)
            both = empty_a & empty_b
            # The one place that waits for the device, once a frame: filling is far more work, and rarely needed.
            if both.any():
                # Not a number until filled: whatever were missed could not pass for a colour.
                ca, cb = ca.masked_fill(both, torch.nan), cb.masked_fill(both, torch.nan)
                ca, cb = self._fill(ca, both, carried), self._fill(cb, both, carried)
            share = torch.where(both | (empty_a & empty_b), a, share)
            yield Layers(ca[:3], cb[:3], share, None if aux is None else (ca[3:], cb[3:])).of

    def _splat_covered(self, forward: torch.Tensor, backward: torch.Tensor) -> torch.Tensor:
        # With restarts a source counts as much as its layer does.
        combine = torch.maximum if self.restarts is None else torch.add
        return combine(forward[0], backward[0]).clamp(0, 1)

    def _fill(self, colours: torch.Tensor, holes: torch.Tensor, carried: torch.Tensor) -> torch.Tensor:
        """Fill holes [M] in colours [C, M]: the mean of what surrounds them plus the texture's own detail there.

        Pull-push (Gortler et al., "The Lumigraph", 1996): the mean is read from the finest level of an image pyramid
        on which something known is near.
        """
        channels, own = len(colours), carried.permute(2, 0, 1)
        known = torch.zeros(channels + 1, self.height * self.width, device=self.device)
        known[:-1, self.indices[~holes]], known[-1, self.indices[~holes]] = colours[:, ~holes], 1.0
        level = torch.cat([known.reshape(-1, self.height, self.width), own])[None]
        at, pixels = self.positions[holes], self.indices[holes]
        detail_of = own.reshape(channels, -1)[:, pixels]
        filled = torch.full_like(detail_of, torch.nan)
        open_ = torch.ones(len(at), dtype=torch.bool, device=self.device)
        scale = 1
        while open_.any() and max(level.shape[-2:]) > 1:
            level, scale = F.avg_pool2d(level, 2, ceil_mode=True), 2 * scale
            mean = sample_planes(level[0], (at[open_] + 0.5) / scale - 0.5)
            near = mean[channels] > 0.05
            reached = torch.nonzero(open_).reshape(-1)[near]
            around = mean[:channels, near] / mean[channels, near]
            filled[:, reached] = around + detail_of[:, reached] - mean[channels + 1 :, near]
            open_[reached] = False
        # Nothing known anywhere (all of it has left the picture): the texture of the place itself.
        filled[:, open_] = detail_of[:, open_]
        out = colours.clone()
        out[:, holes] = filled
        return out
