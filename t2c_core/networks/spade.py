"""Spatially-adaptive normalisation (Park et al. 2019), as both flow networks use it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

HIDDEN = 128


def resize_condition(condition: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The networks' input [B, C, H, W] at another size: image and hint bilinear, the mask (channel 3) nearest."""
    smooth = F.interpolate(condition, size, mode="bilinear", align_corners=False)
    smooth[:, 3:4] = F.interpolate(condition[:, 3:4], size, mode="nearest")
    return smooth


class Spade(nn.Module):
    """norm(x) * (1 + gamma) + beta; gamma and beta are made from the network's whole input."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(condition, HIDDEN, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(HIDDEN, width, 3, padding=1)
        self.mlp_beta = nn.Conv2d(HIDDEN, width, 3, padding=1)

    def forward(self, x: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        height, width = x.shape[-2:]
        hidden = self.mlp_shared(resize_condition(condition, (height, width)))
        return F.instance_norm(x, eps=1e-5) * (1 + self.mlp_gamma(hidden)) + self.mlp_beta(hidden)
