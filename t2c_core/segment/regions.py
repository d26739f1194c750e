"""Label maps of fluid regions, and their restriction to a mask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ..errors import InputError
from ..geometry import nearest_inside
from ..types import FluidRegions


def union(regions: FluidRegions) -> torch.Tensor:
    """The mask [1, H, W] of all regions together. Raises InputError('regions') if there are none."""
    if not regions.regions:
        raise InputError("regions", "hold nothing.", "Connect those of 'Real Image Segmenter' with the method 'model'.")
    return torch.stack([region.mask for region in regions.regions]).amax(0, keepdim=True)


def label_map(regions: FluidRegions, height: int, width: int) -> np.ndarray:
    """Label map int32 [H, W]: the index of each pixel's region; outside all of the nearest one.

    Raises InputError('regions') if there are none, or if they are of another size.
    """
    size = tuple(union(regions).shape[-2:])
    if size != (height, width):
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


def restrict_to_mask(regions: FluidRegions, mask: torch.Tensor) -> FluidRegions:
    """Partition of a mask [1, H, W] in 0..1 by the label map of the regions; empty regions go.

    Their masks sum to the mask. Raises InputError('regions') as `label_map` does.
    """
    labels = torch.from_numpy(label_map(regions, *mask.shape[-2:]))
    values = mask[0].float().cpu()
    parts = [replace(region, mask=values * (labels == number)) for number, region in enumerate(regions.regions)]
    return FluidRegions(tuple(part for part in parts if (part.mask > 0).any()))
