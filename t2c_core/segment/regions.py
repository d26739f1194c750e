"""Regions of kinds, brought in line with the mask that is used in the end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ..errors import InputError
from ..nearest import nearest_inside
from ..types import FluidRegions


def union(regions: FluidRegions) -> torch.Tensor:
    """The mask [1, H, W] of all regions together. Raises InputError('regions') if there are none."""
    if not regions.regions:
        raise InputError("regions", "hold nothing.", "Connect those of 'Real Image Segmenter' with the method 'model'.")
    return torch.stack([region.mask for region in regions.regions]).amax(0, keepdim=True)


def owners(regions: FluidRegions, height: int, width: int) -> np.ndarray:
    """int32 [H, W]: the number of the region each pixel belongs to; pixels in none belong to the nearest one.

    Raises InputError('regions') if there are none, or if they are of another size.
    """
    if union(regions).shape[-2:] != (height, width):
        size = regions.size
        raise InputError(
            "regions",
            f"are {size[1]}x{size[0]}, the image {width}x{height}.",
            "Make them from this image, at the size it has here.",
        )
    masks = torch.stack([region.mask for region in regions.regions]).float().cpu().numpy()
    found, inside = masks.argmax(0).astype(np.int32), masks.max(0) >= min(0.5, float(masks.max()))
    if inside.all() or not inside.any():
        return found
    return found.reshape(-1)[nearest_inside(inside)]


def within(regions: FluidRegions, mask: torch.Tensor) -> FluidRegions:
    """The regions divided anew over a mask [1, H, W] in 0..1 that grew, shrank or became soft since they were found.

    Every place of the mask belongs to the region it lay in, or else to the nearest; regions with nothing left go.
    Together they are the mask. Raises InputError('regions') as `owners` does.
    """
    of = torch.from_numpy(owners(regions, *mask.shape[-2:]))
    values = mask[0].float().cpu()
    parts = [replace(region, mask=values * (of == number)) for number, region in enumerate(regions.regions)]
    return FluidRegions(tuple(part for part in parts if (part.mask > 0).any()))
