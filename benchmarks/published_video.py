"""A plain port of the published renderer, procedure and all: what the speed of ours is measured against.

For every frame it encodes the picture twice, integrates the flow anew in both directions at rounded positions, keeps
the spectral norms and batch norms as they are stored, and counts the mask of every partial convolution over all
channels.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import torch
import torch.nn.functional as F

from t2c_core.networks.video import DECODER_WIDTHS, ENCODER_WIDTHS, RESIZE
from t2c_core.warp.integrate import displacement
from t2c_core.warp.splat import splat

Weights = Mapping[str, torch.Tensor]


def _spectral(w: Weights, name: str) -> torch.Tensor:
    original = w[f"{name}.weight_orig"]
    return original / torch.dot(w[f"{name}.weight_u"], original.flatten(1) @ w[f"{name}.weight_v"])


def _norm(w: Weights, name: str, inner: str, x: torch.Tensor) -> torch.Tensor:
    noise = torch.zeros(len(x), 20)
    gain, bias = (F.linear(noise, _spectral(w, f"{name}.{part}")) for part in ("gain", "bias"))
    scale = (1 + gain) * (w[f"{name}.{inner}.stored_var"] + 1e-5).rsqrt()
    shift = w[f"{name}.{inner}.stored_mean"] * scale - bias
    return x * scale[:, :, None, None] - shift[:, :, None, None]


def encode(w: Weights, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    h = image
    for i, (inside, out) in enumerate(itertools.pairwise(ENCODER_WIDTHS)):
        name = f"encoder.gblocks.{i}"
        a = F.relu(_norm(w, f"{name}.ch_a.0", "bn", h))
        a = F.conv2d(a, _spectral(w, f"{name}.ch_a.2"), w[f"{name}.ch_a.2.bias"], 1, 1)
        a = F.relu(_norm(w, f"{name}.ch_a.3", "bn", a))
        a = F.conv2d(a, _spectral(w, f"{name}.ch_a.5"), w[f"{name}.ch_a.5.bias"], 1, 1)
        h = a + (h if inside == out else F.conv2d(h, _spectral(w, f"{name}.ch_b.0"), w[f"{name}.ch_b.0.bias"]))
    return h[:, :64], h[:, 64:]


def _partial(
    x: torch.Tensor, mask: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    s = F.conv2d(mask, torch.ones_like(weight), None, 1, 1)
    m = s.clamp(0, 1)
    ratio = 9 * x.shape[1] / (s + 1e-8) * m
    c = bias[None, :, None, None]
    return ((F.conv2d(x * mask, weight, bias, 1, 1) - c) * ratio + c) * m, m


def decode(w: Weights, features: torch.Tensor) -> torch.Tensor:
    h, mask = features, (features != 0).float()
    for i, (inside, out) in enumerate(itertools.pairwise(DECODER_WIDTHS)):
        name = f"projector.eblocks.{i}"
        a = F.relu(_norm(w, f"{name}.bn_noise1", "pbn", h))
        a, m = _partial(a, mask, _spectral(w, f"{name}.conv_aa"), w[f"{name}.conv_aa.bias"])
        a = F.relu(_norm(w, f"{name}.bn_noise2", "pbn", a))
        a, m = _partial(a, m, _spectral(w, f"{name}.conv_ab"), w[f"{name}.conv_ab.bias"])
        b = F.conv2d(h, _spectral(w, f"{name}.conv_b")) if RESIZE[i] or inside != out else h
        if RESIZE[i] == "down":
            a, b, m = F.avg_pool2d(a, 3, 2, 1), F.avg_pool2d(b, 3, 2, 1), F.max_pool2d(m, 3, 2, 1)
        elif RESIZE[i] == "up":
            a, b = (F.interpolate(t, scale_factor=2, mode="bilinear", align_corners=False) for t in (a, b))
            m = F.interpolate(m, scale_factor=2, mode="nearest")
        h, mask = a + b, m
    return torch.tanh(h)


@torch.no_grad()
def frame(w: Weights, image: torch.Tensor, flow: torch.Tensor, i: int, n: int) -> torch.Tensor:
    """Frame i of n [1, 3, H, W] in -1..1 of a picture [1, 3, H, W] in -1..1 and a flow [1, 2, H, W] px/frame."""
    total = None
    for share, steps, direction in ((1 - i / n, i, 1.0), (i / n, n - i, -1.0)):
        features, metric = encode(w, image)
        weight = torch.exp(metric - metric.max()) * share
        moved = displacement(direction * flow, steps, "nearest")
        summed, _ = splat(torch.cat([features * weight, weight], 1), moved, mode="sum")
        total = summed if total is None else total + summed
    return decode(w, total[:, :-1] / total[:, -1:].clamp_min(1e-8))
