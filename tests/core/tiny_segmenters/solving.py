"""Weights are drawn from a seeded generator; then the last linear layers are solved for by least squares."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .made_scene import MEAN, SIDE, STD

_LOOKS = re.compile(r"decoder.*cross_attn.*out_proj")


def build(kind: Any, config: Any) -> Any:
    """The network in evaluation; what ``draw`` leaves alone (SAM's positions) comes from a seed too."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(config).eval()


def draw(network: torch.nn.Module, seed: int = 0) -> None:
    """Every matrix and kernel from one generator, as wide as its inputs ask for: signals stay alive."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            # Queries shall stay what they are, whatever they see: then the last layer can tell them apart.
            timid = 0.03 if _LOOKS.search(name) else 1.0
            parameter.data = torch.randn(parameter.shape, generator=generator) * parameter[0].numel() ** -0.5 * timid
        elif name.endswith("bias"):
            parameter.data.zero_()


def least_squares(inputs: torch.Tensor, targets: torch.Tensor, ridge: float = 1e-6) -> torch.Tensor:
    """The matrix [a, b] that takes inputs [n, a] closest to targets [n, b]."""
    gram = inputs.double().T @ inputs.double()
    gram += ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
    return torch.linalg.solve(gram, inputs.double().T @ targets.double()).float()


def solve(layer: torch.nn.Module, inputs: torch.Tensor, targets: torch.Tensor, ridge: float = 1e-6) -> None:
    """Set a linear layer (or one by one convolution) so that it maps inputs [n, a] to targets [n, b]."""
    found = least_squares(torch.cat([inputs, torch.ones(len(inputs), 1)], 1), targets, ridge)
    layer.weight.data = found[:-1].T.reshape(layer.weight.shape).contiguous()
    layer.bias.data = found[-1].contiguous()


def inputs_of(layer: torch.nn.Module, run: Callable[[], Any]) -> list[torch.Tensor]:
    """What a layer is given, call by call, while ``run`` runs."""
    given: list[torch.Tensor] = []
    hook = layer.register_forward_pre_hook(lambda module, values: given.append(values[0].detach().clone()))
    with torch.no_grad():
        run()
    hook.remove()
    return given


def save(network: torch.nn.Module, folder: Path, processor: dict[str, Any]) -> Path:
    """config.json, model.safetensors and preprocessor_config.json."""
    network.save_pretrained(folder)
    settings = {"image_mean": MEAN, "image_std": STD, "do_resize": True, "do_normalize": True, **processor}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def by_place(features: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(inputs [B h w, C], targets [B h w, N]) from features [B, C, h, w] and what is wanted, [B, N, h, w] or alike."""
    wanted = wanted.expand(len(features), *wanted.shape[-3:])
    return features.movedim(1, -1).flatten(0, 2), wanted.movedim(1, -1).flatten(0, 2)


SQUARE = {"size": {"height": SIDE, "width": SIDE}}


def even_tokens(network: torch.nn.Module) -> None:
    """Let features that are upscaled be alike within a token: its outline is all that few of them have to tell."""
    for layer in network.modules():
        if isinstance(layer, torch.nn.ConvTranspose2d):
            layer.weight.data = 2 * layer.weight.data.mean((2, 3), keepdim=True).expand_as(layer.weight).contiguous()
