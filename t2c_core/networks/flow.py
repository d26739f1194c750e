"""Motion fields from the published flow networks."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree

from ..errors import InputError
from ..hints import arrow_samples
from ..prompt.directions import direction_vector
from ..types import REFERENCE_SIZE, MotionField, MotionHints
from . import motion, motion_direction

SCALE = 64.0
"""Published: velocity in px/frame at 512 px = 64 * output of the network."""
PUBLISHED_LIMIT = 1.0
"""... clamped to this, in each axis."""
SOFT_LIMIT = 4.0
LIMITS: tuple[str, ...] = ("paper", "soft")
NEIGHBOURS = 16
"""Pieces of arrows that have a say in one place."""


def working_size(height: int, width: int, multiple: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """((h, w) at which a network of 512 px sees a picture, aspect kept; the same padded to its multiple)."""
    scale = REFERENCE_SIZE / max(height, width)
    h, w = max(8, round(height * scale)), max(8, round(width * scale))
    return (h, w), (-(-h // multiple) * multiple, -(-w // multiple) * multiple)


def limited(velocity: torch.Tensor, limit: str) -> torch.Tensor:
    """velocity [1, 2, H, W] in px/frame at 512 px, kept small.

    'paper': clamped to -1..1 in each axis, as published, which also turns fast motion towards the diagonals.
    'soft': the direction stays, speeds up to about 1 stay, faster ones approach 4: s -> L tanh(s / L).
    Raises InputError for another name.
    """
    if limit == "paper":
        return velocity.clamp(-PUBLISHED_LIMIT, PUBLISHED_LIMIT)
    if limit != "soft":
        raise InputError("limit", f"is '{limit}'; choose one of {', '.join(LIMITS)}.")
    speed = torch.linalg.vector_norm(velocity, dim=1, keepdim=True).clamp_min(1e-9)
    return velocity * (SOFT_LIMIT * torch.tanh(speed / SOFT_LIMIT) / speed)


def hint_field(mask: torch.Tensor, hints: MotionHints, angle: float | torch.Tensor | None) -> torch.Tensor:
    """Unit directions [1, 2, H, W] inside ``mask`` [1, H, W] (0 or 1) for motion_direction, zero outside.

    Each place takes the mean direction of the nearest pieces of arrows, weighted by 1 / distance^4.
    Without arrows the angle (degrees, one or [1, H, W]) holds everywhere. Raises InputError('hints') without either.
    """
    height, width = mask.shape[-2:]
    if not hints.arrows:
        if angle is None:
            raise InputError("hints", "hold no arrow and no direction is given.", "Draw an arrow or give a direction.")
        if isinstance(angle, torch.Tensor):
            radians = torch.deg2rad(angle.float())
            field = torch.stack([torch.cos(radians), -torch.sin(radians)], 1)
        else:
            field = torch.tensor(direction_vector(angle)).reshape(1, 2, 1, 1).expand(1, 2, height, width)
        return (field * mask[:, None]).float()
    positions, velocities = arrow_samples(hints, height, width, spacing=4.0)
    if not len(positions):
        raise InputError("hints", "have only arrows without a length.", "Draw them longer.")
    tangents = velocities / np.maximum(np.hypot(*velocities.T), 1e-9)[:, None]
    rows, columns = np.nonzero(mask[0].numpy() > 0)
    distance, nearest = cKDTree(positions).query(np.column_stack([columns, rows]), k=min(NEIGHBOURS, len(positions)))
    distance, nearest = distance.reshape(len(rows), -1), nearest.reshape(len(rows), -1)
    mean = (tangents[nearest] / (distance[..., None] + 1.0) ** 4).sum(1)
    field = np.zeros((2, height, width), np.float32)
    field[:, rows, columns] = (mean / np.maximum(np.hypot(*mean.T), 1e-12)[:, None]).T
    return torch.from_numpy(field)[None]


@torch.no_grad()
def predict_flow(
    network: torch.nn.Module,
    picture: torch.Tensor,
    mask: torch.Tensor,
    *,
    context: torch.Tensor | None = None,
    hints: MotionHints | None = None,
    angle: float | torch.Tensor | None = None,
    limit: str = "paper",
    speed: float = 1.0,
    device: torch.device | str = "cpu",
) -> MotionField:
    """The motion field of ``mask`` [1, H, W] (0..1) in a picture [1, H, W, 3] by one of the published flow networks.

    A Motion network needs ``context`` [1, 77, 768], a MotionDirection network hints with arrows or an angle. The
    network sees the picture at a longer side of 512 px; its velocity is limited (`limited`), scaled to the picture's
    own size and multiplied by ``speed``. device: where the network is. Raises InputError for what is missing or does
    not fit.
    """
    if not math.isfinite(speed) or speed < 0:
        raise InputError("speed", f"is {speed}; it must be a finite number, 0 or more.")
    size = tuple(mask.shape[-2:])
    if tuple(picture.shape[1:3]) != size:
        raise InputError("mask", f"is {size[1]}x{size[0]}, the image {picture.shape[2]}x{picture.shape[1]}.")
    if not (mask > 0).any():
        raise InputError("mask", "is empty: nothing would move.", "Draw or paint what moves.")
    directional = isinstance(network, motion_direction.MotionDirection)
    module = motion_direction if directional else motion
    inner, padded = working_size(*size, module.MULTIPLE)
    like = torch.empty(0, dtype=next(network.parameters()).dtype, device=device)
    solid = (F.interpolate(mask[None].float(), inner, mode="area") >= 0.5).float()[0]
    rgb = F.interpolate(picture.movedim(-1, 1).float(), inner, mode="bilinear", antialias=True, align_corners=False)
    parts = [rgb * 2 - 1, solid[None]]
    if directional:
        small = angle
        if isinstance(angle, torch.Tensor):
            small = F.interpolate(angle[None].float(), inner, mode="nearest-exact")[0]
        parts.append(hint_field(solid, hints or MotionHints(), small))
    given = torch.cat(parts, 1)
    right, below = padded[1] - inner[1], padded[0] - inner[0]
    given = torch.cat(
        [F.pad(given[:, :3], (0, right, 0, below), mode="replicate"), F.pad(given[:, 3:], (0, right, 0, below))], 1
    ).to(like)
    if directional:
        out = network(given)
    else:
        if context is None:
            raise InputError("clip", "is not connected, but this network reads the prompt.", "Connect that of SD 1.x.")
        if tuple(context.shape[1:]) != (77, motion.CONTEXT):
            raise InputError(
                "clip",
                f"makes text features of shape {list(context.shape[1:])}, not [77, {motion.CONTEXT}].",
                "Use CLIP ViT-L/14, the text encoder of Stable Diffusion 1.x.",
            )
        out = network(given, context.to(like))
    velocity = limited(SCALE * out.float().cpu()[:, :, : inner[0], : inner[1]], limit)
    velocity = F.interpolate(velocity, size, mode="bilinear", align_corners=False)
    velocity = velocity * (max(size) / REFERENCE_SIZE * speed) * (mask > 0)[:, None]
    return MotionField(velocity, mask.float().cpu().clone())
