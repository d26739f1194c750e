"""The published networks' weights and inputs, made by the rules of the reference."""

from __future__ import annotations

import functools
import math

import torch

from t2c_core.networks.checkpoint import to_state_dict
from t2c_core.networks.fold_batchnorm import KINDS
from tests.vectors import network_shapes, randn


def network(kind: str) -> torch.nn.Module:
    """A network with these weights, in evaluation."""
    _, state = to_state_dict(published_weights(kind))
    with torch.device("meta"):
        made = KINDS[kind]()
    made.load_state_dict(state, assign=True)
    return made.eval().requires_grad_(False)


def agrees(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = 1e-4) -> bool:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.abs().max()) < tolerance


def rnd(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@functools.lru_cache(1)
def _made(kind: str) -> dict[str, torch.Tensor]:
    made = {}
    for key, shape in network_shapes(kind).items():
        t = randn(key, shape, kind)
        if "accumulation_counter" in key:
            t = torch.ones(tuple(shape))
        elif key.endswith("running_var") or "stored_var" in key:
            t = t.abs() * 0.5 + 0.75
        elif len(shape) > 1:
            t = t / math.sqrt(math.prod(shape[1:]))
        else:
            t = t * 0.1 + (1.0 if "norm" in key and key.endswith("weight") else 0.0)
        made[key] = t
    for key in [key for key in made if key.endswith("weight_orig")]:
        u, _, v = torch.linalg.svd(made[key].flatten(1), full_matrices=False)
        name = key.removesuffix("weight_orig")
        made[f"{name}weight_u"], made[f"{name}weight_v"] = u[:, 0].contiguous(), v[0].contiguous()
    return made


def published_weights(kind: str) -> dict[str, torch.Tensor]:
    """Every key of the published file of this kind. The tensors are shared: do not change them in place."""
    return dict(_made(kind))
