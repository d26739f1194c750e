"""What every node needs: pictures in and out, errors in words, progress, the device to render on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.utils
import torch

from ..t2c_core.errors import InputError

RENDER_BYTES_PER_PIXEL = 512
"""Room made on the graphics card before rendering: the picture, the field, traces and a few frames, generously."""


def explained(**names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a node's ``execute``: an InputError becomes an error that starts with the node's display name.

    ``names`` translates argument names of the core to the node's input names where they differ.
    """

    def decorate(execute: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(execute)
        def wrapper(cls: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return execute(cls, *args, **kwargs)
            except InputError as error:
                raise ValueError(error_text(cls, error, names)) from error

        return wrapper

    return decorate


def error_text(node: Any, error: InputError, names: dict[str, str] | None = None) -> str:
    """'<display name>: <input>: <problem> <remedy>'."""
    name = (names or {}).get(error.input, error.input)
    return f"{node.define_schema().display_name}: {name}: {error.problem} {error.remedy}".rstrip()


def pictures(image: torch.Tensor, name: str = "image") -> torch.Tensor:
    """An IMAGE as float32 [B, H, W, 3] in 0..1 on the CPU.

    Half precision is widened, grey repeated, alpha dropped. Raises InputError for other shapes, NaN and infinity.
    """
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape:
        raise InputError(name, f"needs shape [batch, height, width, 3], not {list(image.shape)}.")
    image = image[..., :3].float().cpu()
    if not torch.isfinite(image).all():
        raise InputError(name, "contains NaN or infinite values.", "Look at the node that made the picture.")
    return image.clamp(0.0, 1.0).expand(-1, -1, -1, 3).contiguous()


def one_picture(image: torch.Tensor, name: str = "image") -> torch.Tensor:
    """The same for nodes that work on a single picture: [1, H, W, 3]. Raises InputError for a batch."""
    if image.ndim == 4 and image.shape[0] > 1:
        raise InputError(
            name,
            f"holds {image.shape[0]} pictures; one loop is made from one picture.",
            "Choose one with 'Get Image from Batch', or put 'Rebatch Images' (batch size 1) right after the pictures "
            "to get one loop for each.",
        )
    return pictures(image, name)


def one_mask(mask: torch.Tensor, name: str = "mask") -> torch.Tensor:
    """A MASK as float32 [1, H, W] in 0..1 on the CPU. Raises InputError for a batch, other shapes, NaN."""
    mask = mask[None] if mask.ndim == 2 else mask
    if mask.ndim != 3 or 0 in mask.shape:
        raise InputError(name, f"needs shape [1, height, width], not {list(mask.shape)}.")
    if mask.shape[0] > 1:
        raise InputError(name, f"holds {mask.shape[0]} masks; one is needed.", "Connect a single mask.")
    mask = mask.float().cpu()
    if not torch.isfinite(mask).all():
        raise InputError(name, "contains NaN or infinite values.", "Look at the node that made the mask.")
    return mask.clamp(0.0, 1.0)


def same_size(mask: torch.Tensor, image: torch.Tensor, name: str = "mask") -> torch.Tensor:
    """``mask`` [1, H, W] unchanged; raises InputError unless it is as large as ``image`` [1, H, W, 3]."""
    if mask.shape[-2:] != image.shape[1:3]:
        raise InputError(
            name,
            f"is {mask.shape[-1]}x{mask.shape[-2]}, the image {image.shape[2]}x{image.shape[1]}.",
            "Make it from this image, or let 'Real Image Segmenter' (method 'mask') scale it.",
        )
    return mask


def scaled_to(mask: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """``mask`` [1, H, W] at the size of ``image`` [1, H, W, 3]."""
    size = tuple(image.shape[1:3])
    if tuple(mask.shape[-2:]) == size:
        return mask
    resized = torch.nn.functional.interpolate(mask[None], size, mode="bilinear", align_corners=False, antialias=True)
    return resized[0].clamp(0.0, 1.0)


def handed_on(tensor: torch.Tensor) -> torch.Tensor:
    """A result where ComfyUI wants results to be."""
    return tensor.to(comfy.model_management.intermediate_device())


def render_device(height: int, width: int) -> torch.device:
    """Where frames are rendered: a CUDA card if there is one (room is made on it first), else the CPU.

    Not on MPS and others: their torch lacks bicubic grid_sample, and OpenCV on the CPU is fast.
    """
    device = comfy.model_management.get_torch_device()
    if device.type != "cuda":
        return torch.device("cpu")
    comfy.model_management.free_memory(RENDER_BYTES_PER_PIXEL * height * width, device)
    return device


def progress(total: int) -> Callable[[int], None]:
    """A function to call with the number of finished steps: moves the node's progress bar, obeys Cancel."""
    bar = comfy.utils.ProgressBar(total)

    def step(done: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(done)

    return step
