"""Overlays of masks and labelled regions."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ..fluids import FLUID_CLASSES, family_of
from ..geometry import bounding_box, fit_longest_side
from ..types import FluidRegions
from .upsample import to_rgb

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
    pixels, m = image.float().cpu(), mask.float().cpu()[..., None]
    tint = torch.tensor([0.10, 0.55, 1.0])
    moving = pixels * (1 - opacity) + tint * opacity
    shown = (pixels * 0.6 * (1 - m) + moving * m).clamp(0, 1).numpy().copy()
    for frame, alpha in zip(shown, mask.float().cpu().numpy(), strict=True):
        _outline(frame, alpha)
    return torch.from_numpy(shown)


def regions_overlay(image: torch.Tensor, regions: FluidRegions, *, opacity: float = 0.45) -> torch.Tensor:
    """Tint every region in a colour of its label, write label and score on it, darken what stays.

    image: [1, H, W, 3] in 0..1, the regions at its size. Returns [1, H, W, 3] float32 on the CPU. Texts do not cover
    each other as long as there is room.
    """
    pixels = to_rgb(image)
    frame = pixels * np.float32(0.6)
    masks = [region.mask.float().cpu().numpy() for region in regions.regions]
    for region, mask in zip(regions.regions, masks, strict=True):
        box = bounding_box(mask > 0)
        m, tint = (
            mask[box][..., None],
            np.array(colour_of(region.label or region.name), np.float32) * np.float32(opacity),
        )
        frame[box] += m * (pixels[box] * np.float32(1 - opacity) + tint - frame[box])
    for mask in masks:
        _outline(frame, mask)
    taken: list[tuple[float, float, float, float]] = []
    # Small regions first: their texts have the fewest places to go.
    for region, mask in sorted(zip(regions.regions, masks, strict=True), key=lambda pair: pair[1].sum()):
        taken.append(
            _write(frame, f"{region.label} {region.score:.2f}" if region.label else region.name, _middle(mask), taken)
        )
    return torch.from_numpy(frame.clip(0, 1))[None]


def colour_of(label: str) -> tuple[float, float, float]:
    """The colour, red, green, blue in 0..1, of a kind or of any other word.

    The kinds of a family have neighbouring hues, one bright, the next dark, so that a river shows against the sea.
    """
    family = family_of(label)
    hue = HUES.get(family, sum(label.encode()) * 0.381966)
    alike = [kind for kind in FLUID_CLASSES if family_of(kind) == family]
    number = alike.index(label) if label in alike else 0
    return colorsys.hsv_to_rgb((hue + 0.045 * number) % 1.0, 0.85, 0.55 if number % 2 else 1.0)


def _outline(frame: np.ndarray, mask: np.ndarray) -> None:
    lines, _ = cv2.findContours((mask > 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(frame, lines, -1, (1.0, 1.0, 1.0), max(1, max(mask.shape) // 500))


def _middle(mask: np.ndarray) -> tuple[int, int]:
    """(x, y) of the place deepest inside a mask [H, W], the image's border counting as outside."""
    solid = mask > 0.5 if (mask > 0.5).any() else mask >= mask.max()
    size = fit_longest_side(mask.shape[0], mask.shape[1], 512)
    scale = max(size) / max(mask.shape)
    small = cv2.resize(solid.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    inside = np.pad((small > min(0.5, 0.99 * small.max())).astype(np.uint8), 1)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1]
    places = np.argwhere(depth >= 0.95 * depth.max())
    y, x = places[((places - places.mean(0)) ** 2).sum(1).argmin()]
    return round((x + 0.5) / scale - 0.5), round((y + 0.5) / scale - 0.5)


def _write(
    frame: np.ndarray, text: str, at: tuple[int, int], taken: Sequence[tuple[float, float, float, float]]
) -> tuple[float, float, float, float]:
    """A line of text around a place, white with a dark edge, wholly inside the image where it fits.

    taken: boxes (left, top, right, bottom) it keeps clear of where it can. Returns its own.
    """
    height, width = frame.shape[:2]
    size = float(np.clip(max(height, width) / 36, 10, 120))
    font, edge = ImageFont.load_default(size), max(1, round(size / 10))
    left, top, right, bottom = font.getbbox(text, stroke_width=edge)
    x, y = _free_place((right - left, bottom - top), at, (height, width), taken)
    # Only where the text is: a layer of the whole of a large image would take seconds.
    y0, x0 = int(y), int(x)
    part = frame[y0 : y0 + int(bottom - top) + 2, x0 : x0 + int(right - left) + 2]
    for colour, thick in ((0.0, edge), (1.0, 0)):
        layer = Image.new("L", part.shape[1::-1])
        ImageDraw.Draw(layer).text((x - x0 - left, y - y0 - top), text, 255, font, stroke_width=thick)
        share = np.asarray(layer, np.float32)[..., None] / 255
        part[:] = part * (1 - share) + colour * share
    return x, y, x + right - left, y + bottom - top


def _free_place(
    size: tuple[float, float],
    at: tuple[int, int],
    within: tuple[int, int],
    taken: Sequence[tuple[float, float, float, float]],
) -> tuple[float, float]:
    """(left, top) of a box (width, height) around a place, moved up or down by lines until it covers none."""
    wide, high = size
    x = float(np.clip(at[0] - wide / 2, 0, max(0, within[1] - wide)))
    middle = float(np.clip(at[1] - high / 2, 0, max(0, within[0] - high)))
    for line in (0, 1, -1, 2, -2, 3, -3, 4, -4):
        y = middle + line * high
        if (line and not 0 <= y <= within[0] - high) or any(
            x < right and x + wide > left and y < bottom and y + high > top for left, top, right, bottom in taken
        ):
            continue
        return x, y
    return x, middle
