"""Motion fields from the published flow networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import KDTree

from ..errors import InputError
from ..hints import arrow_samples
from ..memory import first_that_fits, on_devices
from ..networks import motion, motion_direction
from ..types import REFERENCE_SIZE, MotionField, MotionHints, check_mask

SCALE = 64.0
"""Published: velocity in px/frame at 512 px = 64 * output of the network."""
PUBLISHED_LIMIT = 1.0
"""... clamped to this, in each axis."""
SOFT_LIMIT = 4.0
NEIGHBOURS = 16
"""Samples of arrows that are averaged at one pixel."""


def working_size(height: int, width: int, multiple: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """((h, w) at which a network of 512 px sees an image, aspect kept; the same padded to its multiple)."""
    scale = REFERENCE_SIZE / max(height, width)
    h, w = max(8, round(height * scale)), max(8, round(width * scale))
    return (h, w), (-(-h // multiple) * multiple, -(-w // multiple) * multiple)


def clamp_speed(velocity: torch.Tensor, limit: str) -> torch.Tensor:
    """Velocity [1, 2, H, W] in px/frame at 512 px, limited.

    'paper': clamped to -1..1 in each axis, as published, which also turns fast motion towards the diagonals.
    'soft': the direction stays, speeds up to about 1 stay, faster ones approach 4: s -> L tanh(s / L).
    """
    if limit == "paper":
        return velocity.clamp(-PUBLISHED_LIMIT, PUBLISHED_LIMIT)
    speed = torch.linalg.vector_norm(velocity, dim=1, keepdim=True).clamp_min(1e-9)
    return velocity * (SOFT_LIMIT * torch.tanh(speed / SOFT_LIMIT) / speed)


def hint_field(mask: torch.Tensor, hints: MotionHints, angle: float | torch.Tensor | None) -> torch.Tensor:
    """Unit directions [1, 2, H, W] inside ``mask`` [1, H, W] (0 or 1) for motion_direction, zero outside.

    Mean direction of the nearest samples of arrows, weighted by 1 / distance^4.
    Without arrows the angle (degrees, one or [1, H, W]) holds everywhere. Raises InputError('hints') without either.
    """
    height, width = mask.shape[-2:]
    if not hints.arrows:
        if angle is None:
            raise InputError("hints", "hold no arrow and no direction is given.", "Draw an arrow or give a direction.")
        radians = torch.deg2rad(torch.as_tensor(angle, dtype=torch.float32)).expand(1, height, width)
        return torch.stack([torch.cos(radians), -torch.sin(radians)], 1) * mask[:, None].float()
    positions, velocities = arrow_samples(hints, height, width, spacing=4.0)
    if not len(positions):
        raise InputError("hints", "have only arrows without a length.", "Draw them longer.")
    tangents = velocities / np.maximum(np.hypot(*velocities.T), 1e-9)[:, None]
    rows, columns = np.nonzero(mask[0].numpy() > 0)
    distance, nearest = KDTree(positions).query(np.column_stack([columns, rows]), k=min(NEIGHBOURS, len(positions)))
    distance, nearest = distance.reshape(len(rows), -1), nearest.reshape(len(rows), -1)
    mean = (tangents[nearest] / (distance[..., None] + 1.0) ** 4).sum(1)
    field = np.zeros((2, height, width), np.float32)
    field[:, rows, columns] = (mean / np.maximum(np.hypot(*mean.T), 1e-12)[:, None]).T
    return torch.from_numpy(field)[None]


@dataclass(frozen=True)
class FlowNetwork:
    """A published flow network ready to run.

    module: on ``device``. context: text features [1, 77, 768] of the prompt, for Motion.
    """

    module: torch.nn.Module
    context: torch.Tensor | None = None
    device: torch.device | str = "cpu"

    @property
    def directional(self) -> bool:
        """Whether it follows arrows or an angle, and not the text."""
        return isinstance(self.module, motion_direction.MotionDirection)


@torch.no_grad()
def network_flow(
    network: FlowNetwork,
    image: torch.Tensor,
    mask: torch.Tensor,
    *,
    hints: MotionHints | None = None,
    angle: float | torch.Tensor | None = None,
    limit: str = "paper",
    speed: float = 1.0,
) -> MotionField:
    """The motion field of ``mask`` [1, H, W] (0..1) in an image [1, H, W, 3] by one of the published flow networks.

    A Motion network needs its context, a MotionDirection network hints with arrows or an angle. The network sees the
    image at a longer side of 512 px; its velocity is limited (`clamp_speed`), scaled to the image's own size and
    multiplied by ``speed``. Raises InputError for what is missing or does not fit.
    """
    check_mask(mask, image)
    height, width = size = mask.shape[-2:]
    inner, padded = working_size(height, width, (motion_direction if network.directional else motion).MULTIPLE)
    solid = (F.interpolate(mask[None].float(), inner, mode="area") >= 0.5).float()[0]
    rgb = F.interpolate(image.movedim(-1, 1).float(), inner, mode="bilinear", antialias=True, align_corners=False)
    right, below = padded[1] - inner[1], padded[0] - inner[0]
    inputs = [F.pad(rgb * 2 - 1, (0, right, 0, below), mode="replicate"), F.pad(solid[None], (0, right, 0, below))]
    features = []
    if network.directional:
        if isinstance(angle, torch.Tensor):
            angle = F.interpolate(angle[None].float(), inner, mode="nearest-exact")[0]
        inputs.append(F.pad(hint_field(solid, hints or MotionHints(), angle), (0, right, 0, below)))
    elif network.context is None:
        raise InputError("clip", "is not connected, but this network reads the prompt.", "Connect that of SD 1.x.")
    elif tuple(network.context.shape[1:]) != (77, motion.CONTEXT):
        problem = f"makes text features of shape {list(network.context.shape[1:])}, not [77, {motion.CONTEXT}]."
        raise InputError("clip", problem, "Use CLIP ViT-L/14, the text encoder of Stable Diffusion 1.x.")
    else:
        features = [network.context]

    def run(level: tuple[torch.nn.Module, torch.device]) -> torch.Tensor:
        module, device = level
        like = torch.empty(0, dtype=next(module.parameters()).dtype, device=device)
        return module(torch.cat(inputs, 1).to(like), *(f.to(like) for f in features)).float().cpu()

    out = first_that_fits(on_devices(network.module, network.device), run, "the flow network")
    velocity = clamp_speed(SCALE * out[:, :, : inner[0], : inner[1]], limit)
    velocity = F.interpolate(velocity, size, mode="bilinear", align_corners=False)
    velocity = velocity * (max(size) / REFERENCE_SIZE * speed) * (mask > 0)[:, None]
    return MotionField(velocity, mask.float().cpu().clone())
