"""The mask shown over its picture."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ..prompt.kinds import KINDS, family_of
from ..types import FluidRegions

HUES = {
    "water": 0.47,
    "fountain": 0.72,
    "sky": 0.1,
    "smoke": 0.8,
    "fire": 0.0,
    "lava": 0.05,
    "rain": 0.76,
    "flag": 0.92,
    "grass": 0.3,
}
"""Of every family's first kind, 0..1."""


def mask_overlay(image: torch.Tensor, mask: torch.Tensor, *, opacity: float = 0.45) -> torch.Tensor:
    """Tint what moves blue, darken what stays, and outline the border between them.

    image [B, H, W, 3] and mask [B, H, W] in 0..1; returns [B, H, W, 3] float32 on the CPU.
    """
    picture, m = image.float().cpu(), mask.float().cpu()[..., None]
    tint = torch.tensor([0.10, 0.55, 1.0])
    moving = picture * (1 - opacity) + tint * opacity
    shown = (picture * 0.6 * (1 - m) + moving * m).clamp(0, 1).numpy().copy()
    for frame, alpha in zip(shown, mask.float().cpu().numpy(), strict=True):
        _outline(frame, alpha)
    return torch.from_numpy(shown)


def regions_overlay(image: torch.Tensor, regions: FluidRegions, *, opacity: float = 0.45) -> torch.Tensor:
    """Tint every region in a colour of its label, write label and score on it, darken what stays.

    image: [1, H, W, 3] in 0..1, the regions at its size. Returns [1, H, W, 3] float32 on the CPU.
    """
    picture = image[0, ..., :3].float().cpu()
    shown = picture * 0.6
    for region in regions.regions:
        m = region.mask.float().cpu()[..., None]
        shown = shown * (1 - m) + (picture * (1 - opacity) + torch.tensor(colour_of(region.label)) * opacity) * m
    frame = shown.clamp(0, 1).numpy().copy()
    for region in regions.regions:
        _outline(frame, region.mask.float().cpu().numpy())
    for region in regions.regions:
        _write(frame, f"{region.label} {region.score:.2f}", _middle(region.mask.float().cpu().numpy()))
    return torch.from_numpy(frame)[None]


def colour_of(label: str) -> tuple[float, float, float]:
    """A colour (r, g, b) in 0..1, the same for the same label always; kinds of a family have neighbouring hues."""
    family = family_of(label)
    hue = HUES.get(family, sum(label.encode()) * 0.381966)
    alike = [kind for kind in KINDS if family_of(kind) == family]
    hue += 0.035 * alike.index(label) if label in alike else 0.0
    return colorsys.hsv_to_rgb(hue % 1.0, 0.85, 1.0)


def _outline(frame: np.ndarray, mask: np.ndarray) -> None:
    lines, _ = cv2.findContours((mask > 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(frame, lines, -1, (1.0, 1.0, 1.0), max(1, max(mask.shape) // 500))


def _middle(mask: np.ndarray) -> tuple[int, int]:
    """(x, y) of the place deepest inside a mask [H, W], the picture's border counting as outside."""
    inside = np.pad((mask > 0.5).astype(np.uint8), 1)
    if not inside.any():
        inside = np.pad((mask >= mask.max()).astype(np.uint8), 1)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
    places = np.argwhere(depth >= 0.95 * depth.max())
    y, x = places[((places - places.mean(0)) ** 2).sum(1).argmin()]
    return int(x), int(y)


def _write(frame: np.ndarray, text: str, at: tuple[int, int]) -> None:
    """A line of text around a place, white with a dark edge, wholly inside the picture where it fits."""
    height, width = frame.shape[:2]
    size = float(np.clip(max(height, width) / 36, 10, 120))
    font, edge = ImageFont.load_default(size), max(1, round(size / 10))
    left, top, right, bottom = font.getbbox(text, stroke_width=edge)
    x = float(np.clip(at[0] - (right - left) / 2, 0, max(0, width - (right - left))))
    y = float(np.clip(at[1] - (bottom - top) / 2, 0, max(0, height - (bottom - top))))
    for colour, thick in ((0.0, edge), (1.0, 0)):
        layer = Image.new("L", (width, height))
        ImageDraw.Draw(layer).text((x - left, y - top), text, 255, font, stroke_width=thick)
        share = np.asarray(layer, np.float32)[..., None] / 255
        frame[:] = frame * (1 - share) + colour * share
