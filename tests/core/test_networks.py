"""The published networks: parity with the reference, loading, and what is said of files that cannot be used."""

from __future__ import annotations

import gc
import json
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks import published_video
from t2c_core.__main__ import main
from t2c_core.errors import InputError
from t2c_core.loop.render import LoopRenderer
from t2c_core.networks import render
from t2c_core.networks.checkpoint import convert, load_network, state_of
from t2c_core.networks.flow import hint_field, limited, predict_flow, working_size
from t2c_core.networks.folding import KINDS
from t2c_core.networks.motion import Motion
from t2c_core.networks.motion_direction import MotionDirection
from t2c_core.networks.render import NetworkFrames
from t2c_core.types import Arrow, MotionField, MotionHints, WarpPlan
from tests.core.published_networks import published_weights, rnd
from tests.core.reference_unet import VECTORS

SMALL = ["motion_direction", "video"]


def vectors(kind):
    with np.load(VECTORS / f"{kind}.npz") as file:
        return {k: torch.from_numpy(file[k]) if file[k].ndim else int(file[k]) for k in file.files}


def network(kind):
    _, state = state_of(published_weights(kind))
    with torch.device("meta"):
        made = KINDS[kind]()
    made.load_state_dict(state, assign=True)
    return made.eval().requires_grad_(False)


def agrees(ours, theirs, tolerance=1e-4):
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max()) < tolerance


def test_motion_direction():
    v = vectors("motion_direction")
    s, size = v["seed"], v["size"]
    mask = (rnd(s + 2, 1, 1, size, size) > 0).float()
    picture, hint = torch.tanh(rnd(s + 1, 1, 3, size, size)), torch.tanh(rnd(s + 3, 1, 2, size, size)) * mask
    out = network("motion_direction")(torch.cat([picture, mask, hint], 1))
    assert agrees(out[:, :, ::4, ::4], v["flow"])


def test_motion():
    v = vectors("motion")
    s, size = v["seed"], v["size"]
    mask = (rnd(s + 12, 1, 1, size, size) > 0).float()
    picture = torch.tanh(rnd(s + 11, 1, 3, size, size))
    out = network("motion")(torch.cat([picture, mask], 1), rnd(s + 13, 1, 77, 768))
    assert agrees(out[:, :, ::2, ::2], v["flow"])


@pytest.fixture(scope="module")
def video():
    return network("video")


def reference_plan(v, **changed):
    s, size = v["seed"], v["size"]
    picture = torch.tanh(rnd(s + 21, 1, 3, size, size))
    flow = F.interpolate(rnd(s + 22, 1, 2, 8, 8), (size, size), mode="bilinear", align_corners=False) * 1.5
    flow[..., : size // 3] = 0
    mask = (flow != 0).any(1).float()
    plan = {"frames": v["n_frames"], "integration": "nearest", **changed}
    return WarpPlan((picture.movedim(1, -1) + 1) / 2, MotionField(flow, mask), **plan)


def test_video(video):
    v = vectors("video")
    plan = reference_plan(v, network_still=True)
    features, metric = video.encode(plan.picture.movedim(-1, 1) * 2 - 1)
    assert agrees(features[:, ::8, ::4, ::4], v["features"])
    assert agrees(metric[:, :, ::2, ::2], v["z"])
    frames = list(NetworkFrames(plan, video))
    assert len(frames) == v["n_frames"]
    for i in (0, 5, 15):
        assert agrees(frames[i].movedim(-1, 0)[None, :, ::2, ::2] * 2 - 1, v[f"frame_{i}"])


@pytest.mark.parametrize("size", [(37, 50), (64, 33)])
def test_video_at_any_size(video, size):
    picture, mask = torch.rand(1, *size, 3), torch.zeros(1, *size)
    mask[:, 10:30, 5:30] = 1
    flow = torch.zeros(1, 2, *size)
    flow[:, 0, 10:30, 5:30] = 0.8
    plan = WarpPlan(picture, MotionField(flow, mask), 5, network=video)
    frames = torch.stack(list(LoopRenderer(plan)))
    assert frames.shape == (5, *size, 3)
    assert torch.equal(frames[:, mask[0] == 0], picture[0][mask[0] == 0].expand(5, -1, -1)), "still pixels are kept"
    moving = frames[:, mask[0] > 0]
    # Weights made by rule give almost even pictures, in which little can move.
    assert (moving[1:] - moving[:-1]).abs().max() > 1e-4
    own = torch.stack(
        list(LoopRenderer(WarpPlan(picture, MotionField(flow, mask), 5, network=video, network_still=True)))
    )
    assert not torch.equal(own[0], picture[0])
    assert torch.equal(own[:, mask[0] > 0], moving)


def test_the_seam_of_the_network_s_loop(video):
    v = vectors("video")
    frames = torch.stack(list(LoopRenderer(reference_plan(v, network=video, integration="rk4"))))
    steps = [(a - b).abs().mean().item() for a, b in zip(frames, frames.roll(-1, 0), strict=True)]
    assert 0.8 < steps[-1] / np.median(steps) < 1.25


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


@pytest.mark.parametrize("kind", ["motion", *SMALL])
def test_every_published_key_is_used(kind):
    weights = published_weights(kind)
    assert state_of(weights)[0] == kind
    key = sorted(weights)[len(weights) // 2]
    for change, said in (
        ({k: t for k, t in weights.items() if k != key}, "1 missing"),
        ({**weights, "extra.weight": torch.ones(1)}, "1 unexpected (extra.weight)"),
        ({**weights, key: torch.ones(5, 5)}, "1 misshapen"),
    ):
        with pytest.raises(InputError) as caught:
            state_of(change)
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


def test_hints_of_one_direction_and_of_arrows():
    mask = torch.zeros(1, 40, 60)
    mask[:, 10:30] = 1
    even = hint_field(mask, MotionHints(), 90.0)
    assert torch.allclose(even[0, :, 20, 20], torch.tensor([0.0, -1.0]), atol=1e-6)
    assert (even[:, :, :10] == 0).all()
    arrows = MotionHints((Arrow(((0.1, 0.5), (0.2, 0.5))), Arrow(((0.9, 0.4), (0.9, 0.6)))))
    drawn = hint_field(mask, arrows, None)
    assert torch.allclose(drawn[0, :, 20, 5], torch.tensor([1.0, 0.0]), atol=0.05)
    assert torch.allclose(drawn[0, :, 20, 55], torch.tensor([0.0, 1.0]), atol=0.05)
    assert torch.allclose(torch.linalg.vector_norm(drawn[0], dim=0)[mask[0] > 0], torch.ones(1), atol=1e-5)
    with pytest.raises(InputError):
        hint_field(mask, MotionHints(), None)


def test_limits():
    v = torch.stack([torch.tensor([[3.0, 0.1]]), torch.tensor([[4.0, 0.05]])])[None]
    assert limited(v, "paper").abs().max() == 1
    soft = limited(v, "soft")
    assert torch.allclose(soft[0, 1] / soft[0, 0], v[0, 1] / v[0, 0]), "directions stay"
    assert torch.allclose(soft[..., 1], v[..., 1], atol=1e-4) and 3 < torch.linalg.vector_norm(soft[..., 0]) < 4
    with pytest.raises(InputError):
        limited(v, "none")


@pytest.mark.parametrize("size", [(96, 96), (300, 700), (64, 200)])
def test_flow_at_any_size(size):
    net = network("motion_direction")
    mask = torch.zeros(1, *size)
    mask[:, size[0] // 2 :] = 1
    field = predict_flow(net, torch.rand(1, *size, 3), mask, angle=0.0)
    assert field.size == size
    assert (field.velocity[:, :, : size[0] // 2 - 1] == 0).all()
    assert 0 < field.velocity.abs().max() <= max(size) / 512 + 1e-5
    assert working_size(*size, 256)[1][0] % 256 == 0
    faster = predict_flow(net, torch.rand(1, *size, 3), mask, angle=0.0, speed=2.0, limit="soft")
    assert faster.velocity.abs().max() > field.velocity.abs().max()


def test_the_network_sees_the_published_input():
    """At 512 px nothing is scaled or padded: the field is 64 times the network's output, clamped."""
    net = network("motion_direction")
    picture = torch.rand(1, 512, 512, 3)
    mask = torch.ones(1, 512, 512)
    hint = torch.zeros(1, 2, 512, 512)
    hint[:, 0] = 1
    given = torch.cat([picture.movedim(-1, 1) * 2 - 1, mask[None], hint], 1)
    expected = (64 * net(given)).clamp(-1, 1)
    assert torch.allclose(predict_flow(net, picture, mask, angle=0.0).velocity, expected, atol=1e-4)


class Tiny(Motion):
    """The text network's topology, narrow."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(filters=32)


def test_the_text_network_wants_text():
    net, picture, mask = Tiny().eval(), torch.rand(1, 80, 100, 3), torch.ones(1, 80, 100)
    a = predict_flow(net, picture, mask, context=rnd(1, 1, 77, 768), limit="soft")
    b = predict_flow(net, picture, mask, context=rnd(2, 1, 77, 768), limit="soft")
    assert not torch.equal(a.velocity, b.velocity)
    for context in (None, rnd(1, 1, 77, 1024)):
        with pytest.raises(InputError) as caught:
            predict_flow(net, picture, mask, context=context)
        assert caught.value.input == "clip"
    with pytest.raises(InputError, match="hold no arrow"):
        predict_flow(MotionDirection().eval(), picture, mask)


def test_key_lists_are_the_reference_s():
    for kind, count in (("motion", 281), ("motion_direction", 142), ("video", 452)):
        assert len(json.loads((VECTORS / f"{kind}_keys.json").read_text("utf-8"))) == count


@pytest.mark.parametrize("box", [(60, 72, 70, 90), (0, 9, 0, 160), (100, 128, 3, 40)])
@pytest.mark.parametrize("tile", [512, 40])
def test_what_moves_does_not_depend_on_what_is_left_out(video, box, tile, monkeypatch):
    """Only the fluid's surroundings are decoded, in tiles; its colours are those of the whole picture decoded."""
    top, bottom, left, right = box
    picture, mask, flow = torch.rand(1, 128, 160, 3), torch.zeros(1, 128, 160), torch.zeros(1, 2, 128, 160)
    mask[:, top:bottom, left:right] = 1
    flow[:, :, top:bottom, left:right] = 0.7
    field = MotionField(flow, mask)
    whole = list(NetworkFrames(WarpPlan(picture, field, 3, network=video, network_still=True), video))
    monkeypatch.setattr(render, "TILE", tile)
    part = list(NetworkFrames(WarpPlan(picture, field, 3, network=video), video))
    for a, b in zip(whole, part, strict=True):
        assert (a - b)[mask[0] > 0].abs().max() < 1e-5
        assert torch.equal(b[mask[0] == 0], picture[0][mask[0] == 0])


def test_unfolded_frames_are_the_same():
    """The benchmark's port keeps every norm as stored; the vectors hold for it as well."""
    v = vectors("video")
    plan = reference_plan(v)
    picture = plan.picture.movedim(-1, 1) * 2 - 1
    frame = published_video.frame(published_weights("video"), picture, plan.flow.velocity, 5, v["n_frames"])
    assert agrees(frame[:, :, ::2, ::2], v["frame_5"])


def test_more_frames_need_no_more_memory(video):
    """Of tensors of the features' size no more are alive for 40 frames than for 10."""
    picture, mask = torch.rand(1, 32, 32, 3), torch.ones(1, 32, 32)
    flow, most = torch.full((1, 2, 32, 32), 0.05), []
    for frames in (10, 40):
        count = 0
        for i, _ in enumerate(LoopRenderer(WarpPlan(picture, MotionField(flow, mask), frames, network=video))):
            if i % 3 == 1:
                gc.collect()
                alive = [o.numel() for o in gc.get_objects() if type(o) is torch.Tensor]
                count = max(count, sum(n in (64 * 32 * 32, 65 * 32 * 32) for n in alive))
        most.append(count)
    assert 1 <= most[1] <= most[0]
