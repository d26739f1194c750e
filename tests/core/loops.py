"""Loops of a random texture in a soft disk, made as a node or a command makes them."""

from __future__ import annotations

import torch

from t2c_core.loop.render import LoopRenderer
from t2c_core.loop.settings import BlendSettings
from t2c_core.types import MotionField
from t2c_core.warp.plan import WarpPlan, WarpSettings

HEIGHT, WIDTH = 65, 90


def texture(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> torch.Tensor:
    """[1, H, W, 3] smooth random texture in 0..1, periodic in both directions."""
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.fft.fft2(torch.randn(3, height, width, generator=generator))
    fy, fx = torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None]
    spectrum = spectrum * torch.exp(-((fy**2 + fx**2) / 0.02))
    image = torch.fft.ifft2(spectrum).real
    return (0.5 + 0.15 * image / image.std()).clamp(0, 1).permute(1, 2, 0)[None].contiguous()


def disk(height: int = HEIGHT, width: int = WIDTH, soft: float = 4.0) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    distance = torch.hypot(y - height / 2, x - width / 2)
    return ((0.4 * min(height, width) - distance) / soft).clamp(0, 1)[None]


def uniform(vx: float, vy: float, mask: torch.Tensor) -> MotionField:
    velocity = torch.tensor([vx, vy]).reshape(1, 2, 1, 1) * (mask > 0)[:, None]
    return MotionField(velocity.float(), mask)


def plan(frames: int = 12, renderer: str = "gather", mask: torch.Tensor | None = None, **options) -> WarpPlan:
    mask = disk() if mask is None else mask
    velocity = options.pop("velocity", (0.8, 0.5))
    options.setdefault("cycles", "1")
    image = texture(*mask.shape[-2:])
    return WarpPlan(image, uniform(*velocity, mask), WarpSettings(frames, renderer=renderer, **options))


def render(plan: WarpPlan, blend: str = "contrast", anchor: float = 0.8) -> LoopRenderer:
    return LoopRenderer.from_plan(plan, BlendSettings(blend, anchor))
