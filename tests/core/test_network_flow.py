"""Fields of the published networks: their inputs, sizes, limits, text and half precision."""

from __future__ import annotations

import copy

import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.flow.network import FlowNetwork, clamp_speed, hint_field, network_flow, working_size
from t2c_core.networks.motion import Motion
from t2c_core.networks.motion_direction import MotionDirection
from t2c_core.types import Arrow, MotionHints
from tests.core.published_networks import agrees, network, rnd
from tests.vectors import tensors as vectors


@pytest.mark.slow
def test_motion_direction():
    v = vectors("motion_direction")
    s, size = v["seed"], v["size"]
    mask = (rnd(s + 2, 1, 1, size, size) > 0).float()
    image, hint = torch.tanh(rnd(s + 1, 1, 3, size, size)), torch.tanh(rnd(s + 3, 1, 2, size, size)) * mask
    out = network("motion_direction")(torch.cat([image, mask, hint], 1))
    assert agrees(out[:, :, ::4, ::4], v["flow"])


@pytest.mark.slow
def test_motion():
    v = vectors("motion")
    s, size = v["seed"], v["size"]
    mask = (rnd(s + 12, 1, 1, size, size) > 0).float()
    image = torch.tanh(rnd(s + 11, 1, 3, size, size))
    out = network("motion")(torch.cat([image, mask], 1), rnd(s + 13, 1, 77, 768))
    assert agrees(out[:, :, ::2, ::2], v["flow"])


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
    assert clamp_speed(v, "paper").abs().max() == 1
    soft = clamp_speed(v, "soft")
    assert torch.allclose(soft[0, 1] / soft[0, 0], v[0, 1] / v[0, 0]), "directions stay"
    assert torch.allclose(soft[..., 1], v[..., 1], atol=1e-4) and 3 < torch.linalg.vector_norm(soft[..., 0]) < 4


@pytest.mark.slow
@pytest.mark.parametrize("size", [(96, 96), (300, 700), (64, 200)])
def test_flow_at_any_size(size):
    net = network("motion_direction")
    mask = torch.zeros(1, *size)
    mask[:, size[0] // 2 :] = 1
    field = network_flow(FlowNetwork(net), torch.rand(1, *size, 3), mask, angle=0.0)
    assert field.size == size
    assert (field.velocity[:, :, : size[0] // 2 - 1] == 0).all()
    assert 0 < field.velocity.abs().max() <= max(size) / 512 + 1e-5
    assert working_size(*size, 256)[1][0] % 256 == 0
    faster = network_flow(FlowNetwork(net), torch.rand(1, *size, 3), mask, angle=0.0, speed=2.0, limit="soft")
    assert faster.velocity.abs().max() > field.velocity.abs().max()


@pytest.mark.slow
def test_the_network_sees_the_published_input():
    """At 512 px nothing is scaled or padded: the field is 64 times the network's output, clamped."""
    net = network("motion_direction")
    image = torch.rand(1, 512, 512, 3)
    mask = torch.ones(1, 512, 512)
    hint = torch.zeros(1, 2, 512, 512)
    hint[:, 0] = 1
    given = torch.cat([image.movedim(-1, 1) * 2 - 1, mask[None], hint], 1)
    expected = (64 * net(given)).clamp(-1, 1)
    assert torch.allclose(network_flow(FlowNetwork(net), image, mask, angle=0.0).velocity, expected, atol=1e-4)


class Tiny(Motion):
    """The text network's topology, narrow."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(filters=32)


@pytest.mark.slow
def test_the_text_network_wants_text():
    net, image, mask = Tiny().eval(), torch.rand(1, 80, 100, 3), torch.ones(1, 80, 100)
    a = network_flow(FlowNetwork(net, rnd(1, 1, 77, 768)), image, mask, limit="soft")
    b = network_flow(FlowNetwork(net, rnd(2, 1, 77, 768)), image, mask, limit="soft")
    assert not torch.equal(a.velocity, b.velocity)
    for context in (None, rnd(1, 1, 77, 1024)):
        with pytest.raises(InputError) as caught:
            network_flow(FlowNetwork(net, context), image, mask)
        assert caught.value.input == "clip"
    with pytest.raises(InputError, match="hold no arrow"):
        network_flow(FlowNetwork(MotionDirection().eval()), image, mask)


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "bound"), [*zip((torch.float16, torch.bfloat16), (0.01, 0.1), strict=True)])
@pytest.mark.parametrize("kind", ["motion", "motion_direction"])
def test_the_flow_networks_in_half_precision_with_holes(kind, dtype, bound):
    """The mask has holes and a straight edge; the bound is a part of the largest output."""
    net, size = (Tiny().eval(), 64) if kind == "motion" else (network(kind), 256)
    x = torch.rand(1, 4 if kind == "motion" else 6, size, size, generator=torch.manual_seed(0)) * 2 - 1
    x[:, 3], x[:, 3, 20:40, 20:40], x[:, :, :, size // 2 :] = 1, 0, 0
    x[:, 4:] *= x[:, 3:4]
    context = [rnd(1, 1, 77, 768)] if kind == "motion" else []
    with torch.no_grad():
        out = net(x, *context)
        half = copy.deepcopy(net).to(dtype)(x.to(dtype), *(t.to(dtype) for t in context)).float()
    assert (out - half).abs().max() < bound * out.abs().max()
