"""The mask shown over its picture."""

from __future__ import annotations

import cv2
import numpy as np
import torch


def mask_overlay(image: torch.Tensor, mask: torch.Tensor, *, opacity: float = 0.45) -> torch.Tensor:
    """Tint what moves blue, darken what stays, and outline the border between them.

    image [B, H, W, 3] and mask [B, H, W] in 0..1; returns [B, H, W, 3] float32 on the CPU.
    """
    picture, m = image.float().cpu(), mask.float().cpu()[..., None]
    tint = torch.tensor([0.10, 0.55, 1.0])
    moving = picture * (1 - opacity) + tint * opacity
    shown = (picture * 0.6 * (1 - m) + moving * m).clamp(0, 1).numpy().copy()
    for frame, alpha in zip(shown, mask.float().cpu().numpy(), strict=True):
        lines, _ = cv2.findContours((alpha > 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(frame, lines, -1, (1.0, 1.0, 1.0), max(1, max(alpha.shape) // 500))
    return torch.from_numpy(shown)
