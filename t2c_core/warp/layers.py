"""The two layers of every frame: the picture carried forward by i frames and backward by N - i.

Only the fluid's pixels are worked on, as a list of M points; everything else is the source picture and never enters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F

from ..types import WarpPlan
from .carry import splat_along
from .extend import extend_picture, extend_velocity
from .integrate import pixel_grid, reversed_traces, traces, unit_step
from .sample import sample, sample_planes

COVERED = 1e-3
"""Less splatted weight than this counts as a hole."""


@dataclass(frozen=True)
class Layers:
    """One frame before blending.

    forward, backward: [M, 3], the colours moved forward by i and backward by N - i frames.
    share: weight of the forward layer, a number or [M]: 1 - i / N, corrected where one layer has holes.
    along: [M, K] of either, what was carried along with the colours.
    """

    forward: torch.Tensor
    backward: torch.Tensor
    share: torch.Tensor | float
    along: tuple[torch.Tensor, torch.Tensor] | None = None

    def of(self, tile: slice) -> Layers:
        """The layers of the fluid's pixels in ``tile``."""
        share = self.share[tile] if isinstance(self.share, torch.Tensor) else self.share
        along = self.along and (self.along[0][tile], self.along[1][tile])
        return Layers(self.forward[tile], self.backward[tile], share, along)


class FluidWarp:
    """A plan made ready on a device: the fluid's pixels, its extended texture and the unit step along the field.

    indices: [M] int64, the fluid's pixels (mask > 0) in the flattened picture. positions: [M, 2] their (x, y).
    texture: [H, W, 3], the fluid continued over its borders.
    """

    def __init__(self, plan: WarpPlan, device: torch.device | str = "cpu") -> None:
        self.plan, self.device = plan, torch.device(device)
        mask = plan.flow.mask
        self.height, self.width = plan.flow.size
        velocity = plan.flow.velocity.float() * plan.speed
        fastest = float(torch.hypot(*velocity[0]).max())
        self.reach = min(fastest * plan.frames, 0.5 * max(self.height, self.width)) + 2.0
        self.indices = torch.nonzero(mask[0].reshape(-1) > 0).reshape(-1).to(self.device)
        self.positions = pixel_grid(self.height, self.width, self.device)[self.indices]
        self.texture = extend_picture(plan.picture[0], mask[0], self.reach).to(self.device)
        extended = extend_velocity(velocity, mask).to(self.device)
        self._onward = unit_step(extended, plan.integration)
        self._back = unit_step(-extended, plan.integration)

    def of_fluid(self, raster: torch.Tensor) -> torch.Tensor:
        """Values [M, C] of the fluid's pixels of a raster [H, W, C]; no copy where all pixels are fluid."""
        values = raster.reshape(self.height * self.width, -1).to(self.device)
        return values if len(values) == len(self.indices) else values.index_select(0, self.indices)

    def layers(self, colours: torch.Tensor, along: torch.Tensor | None = None) -> Iterator[Layers]:
        """Yield the N frames' layers of all the fluid's pixels; the rasters are those of ``tiled_layers``."""
        for layers in self.tiled_layers(colours, along):
            yield layers(slice(None))

    def tiled_layers(
        self, colours: torch.Tensor, along: torch.Tensor | None = None
    ) -> Iterator[Callable[[slice], Layers]]:
        """Yield for each of the N frames what gives the layers of a tile of the fluid's pixels, until the next frame.

        colours: [H, W, 3]; along: [H, W, up to 4] that goes along with them.
        """
        yield from (self._splat if self.plan.renderer == "splat" else self._gather)(colours, along)

    def coverage(self) -> Iterator[torch.Tensor]:
        """Yield for each frame [M] float32: the share of the pixel that real fluid covers, before any filling."""
        yield from (self._splat_coverage if self.plan.renderer == "splat" else self._gather_coverage)()

    def _inverse_traces(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Where each fluid pixel's forward and backward colours come from, frame by frame."""
        n, how = self.plan.frames, self.plan.integration
        forward = traces(self._back, self.positions, n, how)
        backward = reversed_traces(self._onward, self.positions, n, how)
        for _, pair in zip(range(n), zip(forward, backward, strict=True), strict=False):
            yield pair

    def _gather(self, colours: torch.Tensor, along: torch.Tensor | None) -> Iterator[Callable[[slice], Layers]]:
        # Colours by bicubic look-up; what goes along is smooth and needs no more than bilinear.
        def read(pair: tuple[torch.Tensor, torch.Tensor], share: float, tile: slice) -> Layers:
            at = [positions[tile] for positions in pair]
            seen = (sample(colours, p, mode="bicubic", outside="mirror") for p in at)
            beside = None if along is None else tuple(sample(along, p, outside="mirror") for p in at)
            return Layers(*seen, share, beside)

        for i, pair in enumerate(self._inverse_traces()):
            yield partial(read, pair, 1.0 - i / self.plan.frames)

    def _gather_coverage(self) -> Iterator[torch.Tensor]:
        for i, pair in enumerate(self._inverse_traces()):
            inside = [self._on_fluid(positions) for positions in pair]
            yield (inside[0] | inside[1] if i else inside[0]).float()

    def _on_fluid(self, positions: torch.Tensor) -> torch.Tensor:
        """bool [M]: which positions [M, 2], rounded, lie in the picture and on its fluid."""
        fluid = (self.plan.flow.mask[0] > 0).to(self.device)
        x, y = torch.round(positions).long().unbind(1)
        within = (x >= 0) & (x < self.width) & (y >= 0) & (y < self.height)
        return within & fluid[y.clamp(0, self.height - 1), x.clamp(0, self.width - 1)]

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
        for positions in traces(step, coarse, self.plan.frames, self.plan.integration):
            x, y = torch.round(positions).long().unbind(1)
            within = (x >= -stride) & (x < self.width + stride) & (y >= -stride) & (y < self.height + stride)
            hit |= within & (near[y.clamp(0, self.height - 1), x.clamp(0, self.width - 1)] > 0)
        chosen = F.max_pool2d(hit.reshape(1, 1, rows, columns).float(), 3, 1, 1)
        chosen = chosen.repeat_interleave(stride, 2).repeat_interleave(stride, 3)[0, 0]
        y, x = torch.nonzero(chosen, as_tuple=True)
        return torch.stack([x - pad - stride // 2, y - pad - stride // 2], 1).float()

    def _splats(self, carried: torch.Tensor, *, continued: bool = True) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Sums [C + 1, M] of what arrives forward and backward, the weights last, frame by frame.

        continued: whether what lies beyond the fluid, its continued texture, is splatted too.
        """
        n, how = self.plan.frames, self.plan.integration
        left, top = (int(self.positions[:, k].min()) for k in (0, 1))
        width, height = (int(self.positions[:, k].max()) - o + 1 for k, o in ((0, left), (1, top)))
        read = ((self.positions[:, 1] - top) * width + self.positions[:, 0] - left).long()
        paths = []
        for step, backwards in ((self._onward, False), (self._back, True)):
            start = self._sources(step)
            if not continued:
                start = start[self._on_fluid(start)]
            colours = torch.cat([sample(part, start, outside="mirror") for part in carried.split(4, -1)], 1)
            weight = torch.ones(len(start), 1, device=self.device)
            if self.plan.metric is not None:
                z = sample(self.plan.metric[0].permute(1, 2, 0).float().to(self.device), start, outside="mirror")
                weight = torch.exp(z - z.max())
            values = torch.cat([colours * weight, weight], 1).T.contiguous()
            paths.append(
                splat_along(values, step, start, n, how, height, width, origin=(left, top), backwards=backwards)
            )
        for _, pair in zip(range(n), zip(*paths, strict=True), strict=False):
            yield tuple(sums[:, read] for sums in pair)

    def _splat(self, colours: torch.Tensor, along: torch.Tensor | None) -> Iterator[Callable[[slice], Layers]]:
        n, carried = self.plan.frames, colours if along is None else torch.cat([colours, along], -1)
        for i, (forward, backward) in enumerate(self._splats(carried)):
            a = 1.0 - i / n
            wa, wb = forward[-1].clamp(0, 1), backward[-1].clamp(0, 1)
            share = a * wa / (a * wa + (1 - a) * wb).clamp_min(1e-12)
            ca = forward[:-1] / forward[-1].clamp_min(1e-12)
            cb = backward[:-1] / backward[-1].clamp_min(1e-12)
            # A layer's hole shows the other layer, so that the blend and its statistics see real colours only.
            empty_a, empty_b = forward[-1] < COVERED, backward[-1] < COVERED
            ca, cb = torch.where(empty_a, cb, ca), torch.where(empty_b, ca, cb)
            both = empty_a & empty_b
            if both.any():
                # Not a number until filled: whatever were missed could not pass for a colour.
                ca, cb = ca.masked_fill(both, torch.nan), cb.masked_fill(both, torch.nan)
                ca, cb = self._fill(ca, both, carried), self._fill(cb, both, carried)
            share = torch.where(both | (empty_a & empty_b), a, share)
            yield Layers(ca[:3].T, cb[:3].T, share, None if along is None else (ca[3:].T, cb[3:].T)).of

    def _splat_coverage(self) -> Iterator[torch.Tensor]:
        for forward, backward in self._splats(self.texture[..., :1], continued=False):
            yield torch.maximum(forward[-1], backward[-1]).clamp(0, 1)

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
