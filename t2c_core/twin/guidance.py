"""How the predictions of several prompts become one (classifier-free guidance, Ho & Salimans 2022)."""

from __future__ import annotations

from collections.abc import Callable

import torch

Guide = Callable[[torch.Tensor, torch.Tensor, float, torch.Tensor, torch.Tensor], torch.Tensor]
"""(uncond, cond, scale, x, sigma) -> guided x0. ComfyUI's adapter puts its own here, which obeys the user's patches."""


def guide(uncond: torch.Tensor, cond: torch.Tensor, scale: float, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """uncond + scale * (cond - uncond); x and sigma, what was denoised, are not needed."""
    return uncond + scale * (cond - uncond)


def guidance_base(negative: torch.Tensor, uncond: torch.Tensor, share: float) -> torch.Tensor:
    """What the twin is guided away from: share * uncond + (1 - share) * negative."""
    return share * uncond + (1.0 - share) * negative
