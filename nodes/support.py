"""What every node needs: pictures in and out, errors in words, progress, the device to render on."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.utils
import torch
from comfy_api.latest import io
from comfy_execution.utils import get_executing_context
from server import PromptServer

from ..t2c_core.devices import sampling_device
from ..t2c_core.errors import InputError
from ..t2c_core.memory import is_out_of_memory, memory_error

EVERY = 0.25
"""Seconds between two lines about progress."""
REMEDY = "Make the picture or the batch smaller, or start ComfyUI with --lowvram."
RENDER_BYTES_PER_PIXEL = 512
"""Room made on the graphics card before rendering: the picture, the field, traces and a few frames, generously."""


def report_input_errors(**names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate a node's ``execute``: an InputError becomes an error that starts with the node's display name.

    So does a lack of memory that nothing smaller helps against; models are unloaded then, as ComfyUI itself does.
    ``names`` translates argument names of the core to the node's input names where they differ.
    """

    def decorate(execute: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(execute)
        def wrapper(cls: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                _check_sockets(cls, kwargs)
                return execute(cls, *args, **kwargs)
            except InputError as error:
                raise ValueError(error_text(cls, error, names)) from error
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                problem = memory_error("this", error, remedy=REMEDY)
            # Not while the error is handled: it holds on to what was being computed.
            comfy.model_management.unload_all_models()
            raise ValueError(error_text(cls, problem, names))

        return wrapper

    return decorate


def _check_sockets(node: Any, values: dict[str, Any]) -> None:
    """Raise InputError for a plain value where something must be connected: ComfyUI checks links only."""
    for entry in node.define_schema().inputs:
        if entry.id not in values or isinstance(entry, io.WidgetInput):
            continue
        value = values[entry.id]
        if value is None and entry.optional:
            continue
        kind = {"IMAGE": torch.Tensor, "MASK": torch.Tensor, "LATENT": dict}.get(entry.get_io_type())
        plain = value is None or isinstance(value, (str, int, float, list, dict))
        if plain if kind is None else not isinstance(value, kind):
            raise InputError(entry.id, f"is {str(value)[:40]!r}; it takes a connection.", "Connect a node's output.")


def error_text(node: Any, error: InputError, names: dict[str, str] | None = None) -> str:
    """'<display name>: <input>: <problem> <remedy>'."""
    name = (names or {}).get(error.input, error.input)
    return f"{node.define_schema().display_name}: {name}: {error.problem} {error.remedy}".rstrip()


def image_batch(image: torch.Tensor, name: str = "image") -> torch.Tensor:
    """An IMAGE as float32 [B, H, W, 3] in 0..1 on the CPU.

    Half precision is widened, grey repeated, alpha dropped. Raises InputError for other shapes, NaN and infinity.
    """
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape:
        raise InputError(name, f"needs shape [batch, height, width, 3], not {list(image.shape)}.")
    image = image[..., :3].float().cpu()
    if not torch.isfinite(image).all():
        raise InputError(name, "contains NaN or infinite values.", "Look at the node that made the picture.")
    return image.clamp(0.0, 1.0).expand(-1, -1, -1, 3).contiguous()


def single_image(image: torch.Tensor, name: str = "image") -> torch.Tensor:
    """The same for nodes that work on a single picture: [1, H, W, 3]. Raises InputError for a batch."""
    if image.ndim == 4 and image.shape[0] > 1:
        raise InputError(
            name,
            f"holds {image.shape[0]} pictures; one loop is made from one picture.",
            "Choose one with 'Get Image from Batch', or put 'Rebatch Images' (batch size 1) right after the pictures "
            "to get one loop for each.",
        )
    return image_batch(image, name)


def mask_batch(mask: torch.Tensor, name: str = "mask") -> torch.Tensor:
    """A MASK as float32 [B, H, W] in 0..1 on the CPU. Raises InputError for other shapes, NaN."""
    mask = mask[None] if mask.ndim == 2 else mask
    if mask.ndim != 3 or 0 in mask.shape:
        raise InputError(name, f"needs shape [batch, height, width], not {list(mask.shape)}.")
    mask = mask.float().cpu()
    if not torch.isfinite(mask).all():
        raise InputError(name, "contains NaN or infinite values.", "Look at the node that made the mask.")
    return mask.clamp(0.0, 1.0)


def single_mask(mask: torch.Tensor, name: str = "mask") -> torch.Tensor:
    """The same for nodes that work on a single mask: [1, H, W]. Raises InputError for a batch."""
    mask = mask_batch(mask, name)
    if mask.shape[0] > 1:
        raise InputError(name, f"holds {mask.shape[0]} masks; one is needed.", "Connect a single mask.")
    return mask


def require_same_size(mask: torch.Tensor, image: torch.Tensor, name: str = "mask") -> torch.Tensor:
    """``mask`` [1, H, W] unchanged; raises InputError unless it is as large as ``image`` [1, H, W, 3]."""
    if mask.shape[-2:] != image.shape[1:3]:
        raise InputError(
            name,
            f"is {mask.shape[-1]}x{mask.shape[-2]}, the image {image.shape[2]}x{image.shape[1]}.",
            "Make it from this image, or let 'Real Image Segmenter' (method 'mask') scale it.",
        )
    return mask


def to_output_device(tensor: torch.Tensor) -> torch.Tensor:
    """A result where ComfyUI wants results to be."""
    return tensor.to(comfy.model_management.intermediate_device())


def render_device(height: int, width: int) -> torch.device:
    """ComfyUI's device if frames can be rendered there (room is made on it first), else the CPU."""
    device = sampling_device(comfy.model_management.get_torch_device())
    if device.type != "cpu":
        comfy.model_management.free_memory(RENDER_BYTES_PER_PIXEL * height * width, device)
    return device


def say(text: str) -> None:
    """Show a line in the node that runs."""
    context = get_executing_context()
    if context is not None:
        PromptServer.instance.send_progress_text(text, context.node_id)


def counting(name: str) -> Callable[[int, int], None]:
    """A function to call with (finished steps, their number): shows 'frame 12 of 60, 4 s left' in the node."""
    started, shown = time.monotonic(), 0.0

    def count(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if done == total:
            say(f"{total} {name}{'' if total == 1 else 's'} in {now - started:.1f} s")
        elif now - shown >= EVERY and done:
            shown = now
            say(f"{name} {done} of {total}, {(now - started) / done * (total - done):.0f} s left")

    return count


def progress(total: int = 1, name: str = "") -> Callable[..., None]:
    """A function to call with (finished steps, their number if it is not ``total``): moves the node's progress bar.

    It obeys Cancel. name: what a step is ('frame'), to be counted in words too.
    """
    bar, count = comfy.utils.ProgressBar(total), counting(name)

    def step(done: int, total: int = total) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(done, total)
        if name:
            count(done, total)

    return step
