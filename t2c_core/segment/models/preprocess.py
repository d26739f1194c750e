"""Image preprocessing for a network, from its preprocessor_config.json.

The settings' meaning is that of transformers' image processors. Theirs need torchvision in part, work on 8 bit, and
those of OneFormer ask the network for lists of classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from ...errors import InputError
from .labels import INPUT

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
USUAL_SQUARE, USUAL_EDGES = {"height": 512, "width": 512}, {"shortest": 800, "longest": 1333}
"""What transformers takes where a file says nothing of sizes: SegFormer's, and Mask2Former's and its kin."""
MOST_PIXELS = 4096 * 4096


@dataclass(frozen=True)
class ImagePreprocessor:
    """Resizing, padding and normalisation of images.

    height, width: the network's size; or shortest (longer side at most longest), which keeps the image's shape; or
    longest alone. multiple: sides are rounded up to a multiple of it. pad_to: zeros at the right and below up to this
    square. mean, std: per channel, of values 0..scale. bgr: blue first. mode: of the scaling.
    """

    height: int | None = None
    width: int | None = None
    shortest: int | None = None
    longest: int | None = None
    multiple: int = 1
    pad_to: int | None = None
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    scale: float = 1.0
    bgr: bool = False
    mode: str = "bilinear"

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) an image of this size is scaled to."""
        if self.height and self.width:
            sides = (self.height, self.width)
        else:
            factor = 1.0
            if self.shortest:
                factor = self.shortest / min(height, width)
            if self.longest and (not self.shortest or factor * max(height, width) > self.longest):
                factor = self.longest / max(height, width)
            sides = (max(1, round(height * factor)), max(1, round(width * factor)))
        rows, columns = (math.ceil(side / self.multiple) * self.multiple for side in sides)
        return rows, columns


def parse_preprocessor(settings: Mapping[str, Any], *, square: bool, **fixed: Any) -> ImagePreprocessor:
    """The preparation a preprocessor_config.json asks for.

    square: whether a single number means both sides (else the shorter one). fixed: fields the family of networks sets
    whatever the file says. Raises InputError for sizes and statistics that cannot be.
    """
    multiple = settings.get("size_divisor") or settings.get("size_divisibility") or settings.get("ensure_multiple_of")
    found: dict[str, Any] = {"multiple": int(multiple or 1)}
    size = settings.get("crop_size") if settings.get("do_center_crop") else settings.get("size")
    if settings.get("do_resize", True) and size:
        if isinstance(size, (int, float)):
            found |= {"height": int(size), "width": int(size)} if square else {"shortest": int(size)}
            found["longest"] = settings.get("max_size")
        else:
            names = {"height": "height", "width": "width", "shortest_edge": "shortest", "longest_edge": "longest"}
            found |= {ours: int(size[theirs]) for theirs, ours in names.items() if size.get(theirs)}
            if "shortest" in found and not found.get("longest"):
                found["longest"] = settings.get("max_size")
    elif settings.get("do_resize", True) and not fixed.keys() & {"longest", "shortest", "height", "width"}:
        found |= USUAL_SQUARE if square else USUAL_EDGES
    normalised = settings.get("do_normalize")
    # MobileViT's settings do not speak of it at all, and it is not done.
    if "image_mean" in settings if normalised is None else normalised:
        found |= {ours: tuple(settings[name]) for ours, name in (("mean", "image_mean"), ("std", "image_std"))
                  if settings.get(name)}  # fmt: skip
    else:
        found |= {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    # Of values 0..255, as the files mean it; ours are 0..1.
    found["scale"] = 255.0 * (
        float(settings.get("rescale_factor") or 1 / 255) if settings.get("do_rescale", True) else 1
    )
    found["mode"] = "bicubic" if settings.get("resample") == 3 else "bilinear"
    found["bgr"] = bool(settings.get("do_flip_channel_order"))
    parsed = ImagePreprocessor(**{**found, **fixed})
    statistics = [*parsed.mean, *parsed.std]
    if len(statistics) != 6 or not all(map(math.isfinite, statistics)) or min(parsed.std) <= 0:
        raise InputError(INPUT, "has no usable image_mean and image_std in preprocessor_config.json.")
    sides = (parsed.height, parsed.width, parsed.shortest, parsed.longest)
    if any(side is not None and not 1 <= side <= 8192 for side in sides):
        raise InputError(INPUT, f"asks for images of {size} in preprocessor_config.json.")
    return parsed


def preprocess(
    image: torch.Tensor, preprocessor: ImagePreprocessor, device: torch.device
) -> tuple[torch.Tensor, tuple[int, int]]:
    """(values [1, 3, h, w] on ``device``, (height, width) of the part that is image and not padding).

    image: [1, H, W, 3] in 0..1.
    """
    inner = preprocessor.size(*image.shape[1:3])
    if inner[0] * inner[1] > MOST_PIXELS:
        raise InputError("image", f"would be shown to the model with {inner[1]}x{inner[0]} pixels.", "Crop it.")
    # On the CPU: not every device can scale down without aliasing.
    values = image[..., :3].movedim(-1, 1).float().cpu()
    values = F.interpolate(values, inner, mode=preprocessor.mode, align_corners=False, antialias=True).clamp(0, 1)
    values = values.flip(1) if preprocessor.bgr else values
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (preprocessor.mean, preprocessor.std))
    values = (values * preprocessor.scale - mean) / std
    if preprocessor.pad_to:
        values = F.pad(values, (0, preprocessor.pad_to - inner[1], 0, preprocessor.pad_to - inner[0]))
    return values.to(device), inner


def remove_padding(maps: torch.Tensor, preprocessor: ImagePreprocessor, inner: tuple[int, int]) -> torch.Tensor:
    """The part of ``maps`` [N, h, w] that shows the image, if it was padded, sampled where it is: [N, h', w'].

    On the CPU then.
    """
    if not preprocessor.pad_to:
        return maps
    shares = [side / preprocessor.pad_to for side in inner]
    size = [max(1, round(side * share)) for side, share in zip(maps.shape[-2:], shares, strict=True)]
    move = torch.tensor([[[shares[1], 0.0, shares[1] - 1.0], [0.0, shares[0], shares[0] - 1.0]]])
    grid = F.affine_grid(move, [1, len(maps), *size], align_corners=False)
    return F.grid_sample(maps[None].float().cpu(), grid, padding_mode="border", align_corners=False)[0]
