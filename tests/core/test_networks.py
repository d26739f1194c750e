"""The published networks: parity with the reference, loading, and what is said of files that cannot be used."""

from __future__ import annotations

import copy
import gc
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks import published_video
from t2c_core.cli.main import main
from t2c_core.errors import InputError
from t2c_core.loop.network import NetworkFrames
from t2c_core.loop.render import HALVINGS, LoopRenderer
from t2c_core.loop.settings import LoopSettings
from t2c_core.networks.checkpoint import convert, load_network, to_state_dict
from t2c_core.types import MotionField
from t2c_core.warp.plan import WarpPlan, WarpSettings
from tests.core.published_networks import agrees, published_weights, rnd
from tests.vectors import matching, network_shapes
from tests.vectors import tensors as vectors

SMALL = ["motion_direction", "video"]
FRAMES = [int(i) for i in matching("video", r"frame_(\d+)")]


def on_cpu(video):
    """A loader as WarpPlan takes it."""
    return lambda memory: (video, torch.device("cpu"))


def reference_plan(v, loader=None, **changed):
    s, size = v["seed"], v["size"]
    image = torch.tanh(rnd(s + 21, 1, 3, size, size))
    flow = F.interpolate(rnd(s + 22, 1, 2, 8, 8), (size, size), mode="bilinear", align_corners=False) * 1.5
    flow[..., : size // 3] = 0
    mask = (flow != 0).any(1).float()
    plan = {"frames": v["n_frames"], "integration": "nearest", **changed}
    return WarpPlan((image.movedim(1, -1) + 1) / 2, MotionField(flow, mask), WarpSettings(**plan), network=loader)


@pytest.mark.slow
def test_video(video):
    v = vectors("video")
    plan = reference_plan(v, network_still=True)
    features, metric = video.encode(plan.image.movedim(-1, 1) * 2 - 1)
    assert agrees(features[:, ::8, ::4, ::4], v["features"])
    assert agrees(metric[:, :, ::2, ::2], v["z"])
    frames = list(NetworkFrames(plan, video))
    assert len(frames) == v["n_frames"]
    for i in FRAMES:
        assert agrees(frames[i].movedim(-1, 0)[None, :, ::2, ::2] * 2 - 1, v[f"frame_{i}"])


@pytest.mark.parametrize("size", [(37, 50), (64, 33)])
def test_video_at_any_size(video, size):
    image, mask = torch.rand(1, *size, 3), torch.zeros(1, *size)
    mask[:, 10:30, 5:30] = 1
    flow = torch.zeros(1, 2, *size)
    flow[:, 0, 10:30, 5:30] = 0.8
    plan = WarpPlan(image, MotionField(flow, mask), WarpSettings(5), network=on_cpu(video))
    frames = torch.stack(list(LoopRenderer.from_plan(plan)))
    assert frames.shape == (5, *size, 3)
    assert torch.equal(frames[:, mask[0] == 0], image[0][mask[0] == 0].expand(5, -1, -1)), "still pixels are kept"
    moving = frames[:, mask[0] > 0]
    # Weights made by rule give almost even pictures, in which little can move.
    assert (moving[1:] - moving[:-1]).abs().max() > 1e-4
    own = torch.stack(
        list(LoopRenderer(image, MotionField(flow, mask), LoopSettings(5, network_still=True), network=on_cpu(video)))
    )
    assert not torch.equal(own[0], image[0])
    assert torch.equal(own[:, mask[0] > 0], moving)


@pytest.mark.slow
def test_video_with_restarts(video):
    """Frame 0 is the network's picture of the still; a third of the way on most places have restarted once."""
    loops = {}
    for cycles in ("1", "3"):
        plan = reference_plan(vectors("video"), on_cpu(video), integration="rk4", frames=12, cycles=cycles)
        loops[cycles] = torch.stack(list(LoopRenderer.from_plan(plan)))
    long, short = loops["1"], loops["3"]
    assert torch.isfinite(short).all() and (long[0] - short[0]).abs().max() < 1e-5
    moved = (short - short[0]).abs().mean((1, 2, 3))
    assert moved[1:].min() > 0 and moved[4] < 0.8 * (long[4] - long[0]).abs().mean()


@pytest.mark.slow
def test_the_seam_of_the_network_s_loop(video):
    v = vectors("video")
    frames = torch.stack(list(LoopRenderer.from_plan(reference_plan(v, on_cpu(video), integration="rk4", cycles="1"))))
    steps = [(a - b).abs().mean().item() for a, b in zip(frames, frames.roll(-1, 0), strict=True)]
    assert 0.8 < steps[-1] / np.median(steps) < 1.25


@pytest.mark.slow
@pytest.mark.parametrize("kind", SMALL)
def test_converted_files_are_the_same_network(tmp_path, kind, capsys):
    source, target = tmp_path / "latest_net_G.pth", tmp_path / "folded.safetensors"
    torch.save({f"module.{key}": value for key, value in published_weights(kind).items()}, source)
    assert main(["convert", str(source), str(target)]) == 0
    assert kind in capsys.readouterr().out
    (one, first), (two, second) = load_network(source), load_network(target)
    assert one == two == kind
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )
    convert(source, tmp_path / "half.safetensors", torch.float16)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.55 * target.stat().st_size
    assert load_network(tmp_path / "half.safetensors", None)[1].state_dict().popitem()[1].dtype == torch.float16
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folded.safetensors", "half.safetensors", "latest_net_G.pth"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["motion", *SMALL])
def test_every_published_key_is_used(kind):
    weights = published_weights(kind)
    assert to_state_dict(weights)[0] == kind
    key = sorted(weights)[len(weights) // 2]
    for change, said in (
        ({k: t for k, t in weights.items() if k != key}, "1 missing"),
        ({**weights, "extra.weight": torch.ones(1)}, "1 unexpected (extra.weight)"),
        ({**weights, key: torch.ones(5, 5)}, "1 misshapen"),
    ):
        with pytest.raises(InputError) as caught:
            to_state_dict(change)
        assert caught.value.input == "model" and said in str(caught.value)


def test_files_that_cannot_be_used(tmp_path):
    path = tmp_path / "latest_net_G.pth"
    weights = published_weights("video")
    torch.save(weights, path)
    whole = path.read_bytes()

    class Program:
        def __reduce__(self):
            return (print, ("a program ran",))

    torch.save({"x": Program()}, tmp_path / "program.pth")
    key = "encoder.gblocks.1.ch_a.2.weight_orig"
    contents = {
        whole[: len(whole) // 3]: "cut off or no checkpoint",
        b"\x00\x01random" * 999: "cut off or no checkpoint",
        b"": "cut off or no checkpoint",
        (tmp_path / "program.pth").read_bytes(): "its program is not run",
    }
    for content, said in contents.items():
        path.write_bytes(content)
        with pytest.raises(InputError, match=said):
            load_network(path)
    for change, said in (
        ({**weights, key: weights[key] * torch.nan}, "NaN"),
        ({**weights, key: torch.zeros_like(weights[key])}, "only zeros"),
        ({"first_stage_model.x": torch.ones(2)}, "none of the paper's networks"),
        ({}, "none of the paper's networks"),
    ):
        torch.save(change, path)
        with pytest.raises(InputError, match=said):
            load_network(path)
    path.write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(InputError):
        load_network(path)
    with pytest.raises(InputError, match="does not exist"):
        load_network(tmp_path / "none.pth")


def test_a_conversion_that_fails_leaves_nothing(tmp_path):
    source = tmp_path / "a.pth"
    torch.save({"x": torch.ones(1)}, source)
    for target in (tmp_path / "b.safetensors", tmp_path / "b.pth"):
        with pytest.raises(InputError):
            convert(source, target)
    assert [p.name for p in tmp_path.iterdir()] == ["a.pth"]


def test_key_lists_are_the_reference_s():
    for kind, count in (("motion", 281), ("motion_direction", 142), ("video", 452)):
        assert len(network_shapes(kind)) == count


def test_out_of_memory_changes_no_frame_of_the_network(video, monkeypatch, caplog):
    image, mask, flow = torch.rand(1, 32, 40, 3), torch.zeros(1, 32, 40), torch.zeros(1, 2, 32, 40)
    mask[:, 8:24, 5:30] = 1
    flow[:, 0, 8:24, 5:30] = 0.8
    plan = WarpPlan(image, MotionField(flow, mask), WarpSettings(5), network=on_cpu(video))
    expected = list(LoopRenderer.from_plan(plan))
    original, calls, tiles = NetworkFrames._decoded, [], []

    def failing(self, *args):
        calls.append(None)
        tiles.append(self.tile)
        if 2 < len(calls) <= 2 + HALVINGS + 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return original(self, *args)

    monkeypatch.setattr(NetworkFrames, "_decoded", failing)
    for frame, other in zip(LoopRenderer.from_plan(plan), expected, strict=True):
        torch.testing.assert_close(frame, other, atol=1e-5, rtol=0)
    assert tiles == [512, 512, 512, 256, 128, 64, 64, 64, 64] and len(caplog.records) == 1


def test_the_caller_s_network_stays_as_it_is(video):
    before = {name: (w.data_ptr(), w.stride(), w.dtype) for name, w in video.state_dict().items()}
    image, flow = torch.rand(1, 16, 16, 3), torch.full((1, 2, 16, 16), 0.5)
    list(NetworkFrames(WarpPlan(image, MotionField(flow, torch.ones(1, 16, 16)), WarpSettings(2)), video))
    assert {name: (w.data_ptr(), w.stride(), w.dtype) for name, w in video.state_dict().items()} == before


@pytest.mark.slow
@pytest.mark.parametrize("box", [(60, 72, 70, 90), (0, 9, 0, 160), (100, 128, 3, 40)])
@pytest.mark.parametrize("tile", [512, 40])
def test_what_moves_does_not_depend_on_what_is_left_out(video, box, tile):
    """Only the fluid's surroundings are decoded, in tiles; its colours are those of the whole picture decoded."""
    top, bottom, left, right = box
    image, mask, flow = torch.rand(1, 128, 160, 3), torch.zeros(1, 128, 160), torch.zeros(1, 2, 128, 160)
    mask[:, top:bottom, left:right] = 1
    flow[:, :, top:bottom, left:right] = 0.7
    field = MotionField(flow, mask)
    whole = list(NetworkFrames(WarpPlan(image, field, WarpSettings(3, network_still=True)), video))
    part = list(NetworkFrames(WarpPlan(image, field, WarpSettings(3)), video, tile=tile))
    for a, b in zip(whole, part, strict=True):
        assert (a - b)[mask[0] > 0].abs().max() < 1e-5
        assert torch.equal(b[mask[0] == 0], image[0][mask[0] == 0])


@pytest.mark.slow
def test_unfolded_frames_are_the_same():
    """The benchmark's port keeps every norm as stored; the vectors hold for it as well."""
    v = vectors("video")
    plan = reference_plan(v)
    image = plan.image.movedim(-1, 1) * 2 - 1
    frame = published_video.frame(published_weights("video"), image, plan.flow.velocity, FRAMES[1], v["n_frames"])
    assert agrees(frame[:, :, ::2, ::2], v[f"frame_{FRAMES[1]}"])


@pytest.mark.slow
def test_more_frames_need_no_more_memory(video):
    """Of tensors of the features' size no more are alive for 40 frames than for 10."""
    image, mask = torch.rand(1, 32, 32, 3), torch.ones(1, 32, 32)
    flow, most = torch.full((1, 2, 32, 32), 0.05), []
    for frames in (10, 40):
        count = 0
        for i, _ in enumerate(
            LoopRenderer(image, MotionField(flow, mask), LoopSettings(frames, cycles="3"), network=on_cpu(video))
        ):
            if i % 3 == 1:
                gc.collect()
                alive = [o.numel() for o in gc.get_objects() if type(o) is torch.Tensor]
                count = max(count, sum(n in (64 * 32 * 32, 65 * 32 * 32) for n in alive))
        most.append(count)
    assert 1 <= most[1] <= most[0]


HALVES = [torch.float16, torch.bfloat16]


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "bound"), [*zip(HALVES, (1e-3, 8e-3), strict=True)])
def test_the_video_network_in_half_precision_with_holes(video, dtype, bound):
    """A low fall empties its upper rows: windows without any feature are 0 / 0 unless that is taken care of."""
    image, flow = torch.rand(1, 28, 40, 3, generator=torch.manual_seed(0)), torch.zeros(1, 2, 28, 40)
    flow[:, 1, :, 8:32] = 1.0
    settings = WarpSettings(60, network_still=True, integration="nearest")
    plan = WarpPlan(image, MotionField(flow, (flow != 0).any(1).float()), settings)
    renderer, half = NetworkFrames(plan, video), NetworkFrames(plan, copy.deepcopy(video).to(dtype))
    decoded: list[torch.Tensor] = []
    decode = video.decode
    video.decode = lambda features: decoded.append((features != 0).all()) or decode(features)
    try:
        pairs = list(zip(renderer, half, strict=True))
    finally:
        del video.decode
    assert sum(not whole for whole in decoded) > 30, "frames with holes"
    assert max(float((a - b).abs().max()) for a, b in pairs) < bound


def test_small_features_are_no_holes_in_half_precision(video):
    """5e-9 rounds to 0 in float16, where it would count as a hole."""
    features = torch.full((1, 64, 16, 16), 5e-9)
    features[:, :, 4:6] = 0
    frame, half = video.decode(features), copy.deepcopy(video).half().decode(features).float()
    assert (frame - half).abs().max() < 2e-3
