"""The reference's vectors, and weights and inputs made by its rules. T2C_VECTORS names another folder of vectors.

What one folder may choose otherwise than another is read from its files: prefix, timestep, sizes, seeds, step counts
and how many steps are injected.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

DATA = Path(__file__).parent / "data"
FOLDER = Path(os.environ.get("T2C_VECTORS") or DATA).resolve()


@functools.cache
def vectors(name: str) -> Mapping[str, np.ndarray]:
    """Every array of a vector file. They are shared: do not change them in place."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return {key: file[key] for key in file.files}


def tensors(name: str) -> dict[str, Any]:
    """The numbers of a vector file: arrays as tensors, single integers as int; texts are left out."""
    numbers = {key: array for key, array in vectors(name).items() if array.dtype.kind not in "US"}
    return {key: torch.from_numpy(array) if array.ndim else array.item() for key, array in numbers.items()}


def matching(name: str, pattern: str) -> list[str]:
    """The first group of ``pattern`` in each key of a vector file that it matches."""
    return [match[1] for match in (re.fullmatch(pattern, key) for key in vectors(name)) if match]


def prefix(name: str) -> str:
    """What stands before every name that seeds a random number of this file."""
    return str(vectors(name).get("prefix", ""))


@functools.cache
def network_shapes(kind: str) -> dict[str, list[int]]:
    """Key -> shape of a published network, the same whatever the weights."""
    file = f"{kind}_keys.json"
    return json.loads(((FOLDER if (FOLDER / file).is_file() else DATA) / file).read_text("utf-8"))


def randn(key: str, shape: Sequence[int], name: str = "unet") -> torch.Tensor:
    """Normal numbers seeded by the hash of a name, as the vector file ``name`` was made from."""
    seed = int.from_bytes(hashlib.sha256((prefix(name) + key).encode()).digest()[:4], "little")
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))


def weight(key: str, shape: Sequence[int]) -> torch.Tensor:
    """A parameter of the reference's UNet: divided by sqrt(fan in), or 0.1 * t, plus 1 where the key ends in weight."""
    t = randn(key, shape)
    if len(shape) > 1:
        return t / math.sqrt(math.prod(shape[1:]))
    return 0.1 * t + (1.0 if key.endswith("weight") else 0.0)


def injection_share(count: int, steps: int) -> float:
    """The setting with which ``count`` of ``steps`` steps are injected: the published code injects one more."""
    return (count - 1) / steps


def twin_variants() -> dict[str, dict[str, Any]]:
    """Final latent in sampler.npz -> the TwinSettings it was made with, and the role ``negative`` where it differs."""
    file = tensors("sampler")
    steps, odd_steps = len(file["src_steps_x"]), file["odd_steps"]
    usual = {
        "steps": steps,
        "attention_injection": injection_share(file["n_injected_attn_steps"], steps),
        "feature_injection": injection_share(file["n_injected_feat_steps"], steps),
        "negative_strength": float(file["twin_neg_alpha"][0]),
    }
    odd = {
        "steps": odd_steps,
        "attention_injection": injection_share(int(file["odd_n_injected"][0]), odd_steps),
        "feature_injection": file["odd_feature_threshold"] / odd_steps,
    }
    off = {"attention_injection": 0.0, "feature_injection": 0.0}
    no_negative = {"negative_schedule": "constant", "negative_strength": 1.0}
    changes: dict[str, dict[str, Any]] = {
        "twin_latent": {},
        "twin_noinj": off,
        "twin_attn_only": {"feature_injection": 0.0},
        "twin_feat_only": {"attention_injection": 0.0},
        "twin_thr0": {"feature_injection": 0.5 / steps},
        "twin_constant": {"negative_schedule": "constant"},
        "twin_exp": {"negative_schedule": "exp"},
        "twin_no_negative": no_negative,
        "twin_negative2": {"negative": "negative2"},
        # The published code drops the injection where no negative prompt is given; here it has to be switched off.
        "twin_quirk_no_negative_conditioning": {**off, **no_negative},
        "odd_twin_latent": odd,
    }
    return {name: {**usual, **changed} for name, changed in changes.items()}
