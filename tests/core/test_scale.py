"""Large pictures and long loops: tiles, memory, and time that is linear in pixels and frames."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.scale import in_fresh_process
from t2c_core.loop.render import LoopRenderer
from t2c_core.loop.settings import BlendSettings
from t2c_core.loop.writers import yuv
from t2c_core.loop.writers.video import most_threads
from t2c_core.types import MotionField
from t2c_core.warp import extend, sample
from t2c_core.warp.extend import extend_image
from t2c_core.warp.integrate import flow_map
from t2c_core.warp.plan import WarpPlan, WarpSettings


def plan(height: int, width: int, frames: int, renderer: str = "gather", *, whole: bool = False) -> WarpPlan:
    """Noise of two scales that turns about the middle, in a disk or everywhere."""
    noise = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 3, 6, 6, generator=noise)
    image = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").permute(0, 2, 3, 1)
    image = (image + 0.2 * torch.rand(1, height, width, 3, generator=noise)).clamp(0, 1).contiguous()
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    mask = torch.ones(1, height, width) if whole else ((0.9 - (x**2 + y**2).sqrt()) * 8).clamp(0, 1)[None]
    velocity = torch.stack([-y, x])[None] * (mask > 0)
    return WarpPlan(image, MotionField(velocity, mask), WarpSettings(frames, renderer=renderer, cycles="1"))


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("blend", ["contrast", "linear"])
@pytest.mark.parametrize("renderer", ["gather", "splat"])
def test_tiles_make_the_same_frames(monkeypatch, renderer, blend, whole):
    made = plan(97, 130, 9, renderer, whole=whole)
    expected = list(LoopRenderer.from_plan(made, BlendSettings(blend)))
    monkeypatch.setattr(sample, "TILE_POINTS", 1000)
    assert len(sample.tiles(97 * 130)) == -(-97 * 130 // (1000 * torch.get_num_threads()))
    for i, (ours, theirs) in enumerate(zip(LoopRenderer.from_plan(made, BlendSettings(blend)), expected, strict=True)):
        assert (ours - theirs).abs().max() <= 1e-6, f"frame {i}"


def test_tiles_make_the_same_steps_texture_and_planes(monkeypatch):
    made = plan(97, 130, 9)
    mask, frame = made.flow.mask[0], made.image[0]

    def results() -> list[np.ndarray]:
        planes = [p for depth in (8, 10) for half in (True, False) for p in yuv.rgb_to_planes(frame, depth, half)]
        extended = extend_image(frame, mask, 40.0)
        return [flow_map(made.flow.velocity).numpy(), extended.numpy(), *planes]

    monkeypatch.setattr(yuv, "rgb_to_planes", lambda f, d, s, whole=yuv.rgb_to_planes: whole(f, depth=d, subsample=s))
    whole = results()
    for module, name, size in ((sample, "TILE_POINTS", 1000), (extend, "TILE", 999), (yuv, "STRIP_PIXELS", 700)):
        monkeypatch.setattr(module, name, size)
    assert all(np.array_equal(a, b) for a, b in zip(results(), whole, strict=True))


def test_tiles_cover_every_point_once():
    most = sample.TILE_POINTS * torch.get_num_threads()
    for count in (0, 1, most, most + 1, 5 * most - 3):
        parts = sample.tiles(count)
        assert [p.start for p in parts] == [0, *(p.stop for p in parts[:-1])] and parts[-1].stop == count
        assert all(p.stop - p.start <= most for p in parts)


@pytest.mark.slow
def test_work_is_linear_in_pixels_and_frames(monkeypatch):
    """Points looked up per pixel and frame: the same for four times the pixels and for four times the frames."""
    looked_up = 0
    original = sample._remap

    def counted(raster, positions, *options):
        nonlocal looked_up
        looked_up += len(positions)
        return original(raster, positions, *options)

    monkeypatch.setattr(sample, "_remap", counted)
    monkeypatch.setenv("T2C_KERNELS", "torch")  # compiled loops look up as many, uncounted
    found = {}
    for side, frames in ((48, 40), (96, 40), (48, 160)):
        looked_up = 0
        assert sum(1 for _ in LoopRenderer.from_plan(plan(side, side, frames, whole=True))) == frames
        found[side, frames] = looked_up / (side * side * frames)
    base = found.pop((48, 40))
    assert base > 6, "two layers of colours and of variances, and a step of both traces"
    assert all(abs(value / base - 1) < 0.15 for value in found.values()), found


@pytest.mark.slow
def test_4k_streams_to_a_file_in_bounded_memory():
    """The first frames of a 3840 x 2160 x 240 loop, in a process of its own.

    All check points are set and all working memory is in use before the second frame comes out. What comes later are
    frames that x264 holds back: without macroblock trees three B frames, four of its look-ahead and one per thread,
    each about 2.5 times as large as its 12 bits per pixel because of the half-size copies for motion search.
    """
    figures = in_fresh_process(size="3840x2160", frames=240, fluid="scene", renderer="gather", format="mp4", rendered=3)
    assert len(figures["peaks"]) == 3 and figures["file"] > 0.1
    held_back = 3 + 4 + most_threads(3840 * 2160)
    encoder = held_back * 2.5 * 1.5 * 3840 * 2160 / 2**20
    assert 500 < figures["peak"] < figures["peak"] + encoder < 3 * 1024, (figures["peaks"], encoder)
