"""Folding of batch and spectral norms into the convolutions of the published weights."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from ..errors import InputError
from .motion import Motion
from .motion_direction import MotionDirection
from .video import DECODER_WIDTHS, ENCODER_WIDTHS, RESIZE, Video

Weights = Mapping[str, torch.Tensor]
KINDS: dict[str, type[torch.nn.Module]] = {"motion": Motion, "motion_direction": MotionDirection, "video": Video}
EPS = 1e-5


@dataclass
class _Reader:
    """Reads weights by key and records which are missing, misshapen or unused."""

    weights: Weights
    used: set[str] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)

    def read(self, key: str, shape: tuple[int, ...]) -> torch.Tensor:
        value = self.weights.get(key)
        self.used.add(key)
        if value is None:
            self.missing.append(key)
        elif tuple(value.shape) != shape:
            self.misshapen.append(f"{key} {list(value.shape)} instead of {list(shape)}")
        else:
            return value.float()
        return torch.ones(shape)

    def spectral(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        """weight_orig / (u^T W v), W = weight_orig as a matrix (Miyato et al. 2018)."""
        original = self.read(f"{name}.weight_orig", shape)
        matrix = original.flatten(1)
        u = self.read(f"{name}.weight_u", (shape[0],))
        v = self.read(f"{name}.weight_v", (matrix.shape[1],))
        return original / torch.dot(u, matrix @ v)

    def norm(self, name: str, inner: str, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(weight, bias) of a batch norm conditioned on noise, at noise zero: its linear parts have no effect."""
        for part in ("gain", "bias"):
            self.spectral(f"{name}.{part}", (width, 20))
        self.read(f"{name}.{inner}.accumulation_counter", (1,))
        scale = (self.read(f"{name}.{inner}.stored_var", (width,)) + EPS).rsqrt()
        return scale, -self.read(f"{name}.{inner}.stored_mean", (width,)) * scale

    def finish(self, kind: str) -> None:
        """Raise InputError('model') unless everything was there, in shape and used."""
        unexpected = set(self.weights) - self.used
        wrong = {"missing": self.missing, "misshapen": self.misshapen, "unexpected": unexpected}
        parts = [f"{len(names)} {what} ({', '.join(sorted(names)[:4])})" for what, names in wrong.items() if names]
        if parts:
            raise InputError("model", f"is no complete '{kind}' network: weights {', '.join(parts)}.")


def fold(kind: str, weights: Weights) -> dict[str, torch.Tensor]:
    """The state of our module of this kind from published weights, float32. Raises InputError('model') with lists."""
    reader = _Reader(weights)
    made = _folded_video(reader) if kind == "video" else _folded_flow(reader, kind)
    reader.finish(kind)
    return made


def _folded_flow(reader: _Reader, kind: str) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        wanted = KINDS[kind]().state_dict()
    made = {}
    for key, like in wanted.items():
        name, _, what = key.rpartition(".")
        # In motion_direction every convolution but SPADE's is spectral-normalised; motion has none.
        spectral = kind == "motion_direction" and what == "weight" and not name.startswith("spade")
        made[key] = reader.spectral(name, tuple(like.shape)) if spectral else reader.read(key, tuple(like.shape))
    return made


def _folded_video(reader: _Reader) -> dict[str, torch.Tensor]:
    made: dict[str, torch.Tensor] = {}
    for i, (inside, out) in enumerate(itertools.pairwise(ENCODER_WIDTHS)):
        theirs, ours = f"encoder.gblocks.{i}", f"encoder.{i}"
        made |= _folded_block(reader, theirs, ("ch_a.0", "ch_a.2", "ch_a.3", "ch_a.5"), "bn", inside, out, ours, "")
        if inside != out:
            made[f"{ours}.shortcut.weight"] = reader.spectral(f"{theirs}.ch_b.0", (out, inside, 1, 1))
            made[f"{ours}.shortcut.bias"] = reader.read(f"{theirs}.ch_b.0.bias", (out,))
    names = ("bn_noise1", "conv_aa", "bn_noise2", "conv_ab")
    for i, (inside, out) in enumerate(itertools.pairwise(DECODER_WIDTHS)):
        theirs, ours = f"projector.eblocks.{i}", f"decoder.{i}"
        made |= _folded_block(reader, theirs, names, "pbn", inside, out, ours, ".conv")
        # It is in the file even where the block has no use for it.
        shortcut = reader.spectral(f"{theirs}.conv_b", (out, inside, 1, 1))
        if RESIZE[i] or inside != out:
            made[f"{ours}.shortcut.weight"] = shortcut
    return made


def _folded_block(
    reader: _Reader, theirs: str, names: Sequence[str], inner: str, inside: int, out: int, ours: str, suffix: str
) -> dict[str, torch.Tensor]:
    """Norm, convolution, norm, convolution (their ``names``), the second norm folded into the first convolution."""
    norm_a, conv_a, norm_b, conv_b = (f"{theirs}.{name}" for name in names)
    weight, bias = reader.norm(norm_a, inner, inside)
    scale, shift = reader.norm(norm_b, inner, out)
    return {
        f"{ours}.norm.weight": weight,
        f"{ours}.norm.bias": bias,
        f"{ours}.conv_a{suffix}.weight": reader.spectral(conv_a, (out, inside, 3, 3)) * scale[:, None, None, None],
        f"{ours}.conv_a{suffix}.bias": reader.read(f"{conv_a}.bias", (out,)) * scale + shift,
        f"{ours}.conv_b{suffix}.weight": reader.spectral(conv_b, (out, out, 3, 3)),
        f"{ours}.conv_b{suffix}.bias": reader.read(f"{conv_b}.bias", (out,)),
    }
