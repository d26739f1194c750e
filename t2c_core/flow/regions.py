"""Which direction each part of the fluid takes where a prompt names several."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from ..prompt.directions import Direction
from ..types import Attention

SKY = frozenset(
    ["cloud", "clouds", "sky", "skies", "smoke", "steam", "vapor", "vapour", "fog", "mist", "haze", "aurora", "rain"]
)
"""What is found above other things where nothing says where it is."""


def region_angles(
    mask: torch.Tensor, directions: Sequence[Direction], attention: Attention | None = None
) -> float | torch.Tensor | None:
    """The angle in degrees for all of ``mask`` [1, H, W], or angles [1, H, W] float32 where directions differ by place.

    With attention every place takes the direction whose subject's heat is strongest there, each heat map first scaled
    to the same maximum. Without it the mask's connected parts are told apart by height: sky things go to the upper
    ones, others to the lower ones; where that does not tell, the first direction holds. None without any direction.
    """
    if not directions:
        return None
    angles = {direction.angle for direction in directions}
    if len(angles) == 1:
        return directions[0].angle
    by_heat = _by_heat(mask, directions, attention) if attention is not None else None
    return by_heat if by_heat is not None else _by_height(mask, directions)


def _by_heat(mask: torch.Tensor, directions: Sequence[Direction], attention: Attention) -> torch.Tensor | None:
    """None if fewer than two of the directions' subjects have a heat map."""
    known = [d for d in directions if d.subject in attention.words and attention.heat is not None]
    if len(known) < 2:
        return None
    heat = torch.stack([attention.heat[attention.words.index(d.subject)].float() for d in known])
    heat = heat / heat.amax((1, 2), keepdim=True).clamp_min(1e-12)
    winner = F.interpolate(heat[None], mask.shape[-2:], mode="bilinear", align_corners=False).argmax(1)
    return torch.tensor([d.angle for d in known], dtype=torch.float32)[winner]


def _by_height(mask: torch.Tensor, directions: Sequence[Direction]) -> float | torch.Tensor:
    sky = [d for d in directions if d.subject in SKY]
    ground = [d for d in directions if d.subject not in SKY]
    solid = (mask[0] >= 0.5).cpu().numpy().astype(np.uint8)
    count, labels, stats, centres = cv2.connectedComponentsWithStats(solid, connectivity=8)
    if not sky or not ground or count < 3:
        return directions[0].angle
    # Specks must not say where the middle is.
    large = [i for i in range(1, count) if stats[i, cv2.CC_STAT_AREA] >= 0.02 * solid.sum()]
    heights = centres[large, 1]
    if len(large) < 2:
        return directions[0].angle
    middle = (heights.min() + heights.max()) / 2
    table = np.where(centres[:, 1] < middle, sky[0].angle, ground[0].angle).astype(np.float32)
    table[0] = ground[0].angle
    return torch.from_numpy(table[labels])[None]
