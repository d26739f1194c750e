"""A preview's request and its answer: JSON in, a low-resolution motion field out.

Request: {"picture": JPEG or PNG in base64, "hints": text, "settings": {"flow": {...}, "mask": {...}}, "scale": number,
"mask": JPEG or PNG}. scale: pixels of the picture per pixel of the full image, for grow and feather (left out without
it). mask: given instead of found from the hints, white moves; optional.
Answer: {"width", "height", "scale", "velocity": int16 [2, H, W] in base64, "mask": uint8 [H, W] in base64};
velocity * scale is in px/frame of an image whose longer side has 512 pixels. Nothing that a request names is opened.
"""

from __future__ import annotations

import base64
import io as streams
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..t2c_core.errors import InputError
from ..t2c_core.hints import parse_hints
from ..t2c_core.io.decode import decoding
from ..t2c_core.preview import LONGEST, preview_field, read_settings
from ..t2c_core.types import MotionField, speed_scale

FORMATS = ("JPEG", "PNG")
MIN_SIDE = 8


def answer_preview(body: bytes, check: Callable[[], None]) -> dict[str, Any]:
    """The answer to a request's body.

    check: called between the steps of the computation; what it raises ends it.
    Raises InputError for a request that cannot be answered.
    """
    try:
        query = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError("request", f"is no valid JSON ({error}).") from None
    if not isinstance(query, dict) or set(query) - {"picture", "hints", "settings", "scale", "mask"}:
        raise InputError("request", "must be an object with picture, hints and settings.")
    hints, settings, scale = query.get("hints"), query.get("settings", {}), query.get("scale", 0.0)
    if not isinstance(hints, str):
        raise InputError("hints", "must be a text.")
    if not isinstance(settings, dict) or not all(isinstance(group, dict) for group in settings.values()):
        raise InputError("settings", "must be an object with flow and mask.")
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0.0 <= scale <= 1.0:
        raise InputError("scale", "must be a number between 0 and 1.")
    inputs = {name: value for group in ("mask", "flow") for name, value in settings.get(group, {}).items()}
    motion_hints, preview_settings = parse_hints(hints), read_settings(inputs)
    image = _decode_image(query.get("picture"))
    mask = _decode_image(query["mask"], "mask")[..., 0] if query.get("mask") else None
    check()
    field = preview_field(image, motion_hints, preview_settings, mask=mask, scale=scale, check=check)
    return _encode_field(field)


def _decode_image(text: Any, input: str = "picture") -> torch.Tensor:
    if not isinstance(text, str):
        raise InputError(input, "must be a JPEG or PNG in base64.")
    with decoding(input, problem="is no JPEG or PNG in base64"):
        image = Image.open(streams.BytesIO(base64.b64decode(text, validate=True)), formats=FORMATS)
    with image:
        # The head says the size; a large one is refused before anything is decoded.
        width, height = image.size
        if not MIN_SIDE <= min(width, height) <= max(width, height) <= LONGEST:
            raise InputError(input, f"is {width}x{height}; sides of {MIN_SIDE}..{LONGEST} are allowed.")
        with decoding(input, problem="is a damaged JPEG or PNG"):
            pixels = np.asarray(image.convert("RGB"), np.float32) / 255.0
    return torch.from_numpy(pixels)[None]


def _encode_field(field: MotionField) -> dict[str, Any]:
    height, width = field.size
    velocity = field.velocity[0].numpy() / speed_scale(height, width)
    scale = max(float(np.abs(velocity).max()), 1e-6) / 32767
    return {
        "width": width,
        "height": height,
        "scale": scale,
        "velocity": base64.b64encode(np.rint(velocity / scale).astype("<i2").tobytes()).decode(),
        "mask": base64.b64encode((field.mask[0].numpy() * 255).round().astype(np.uint8).tobytes()).decode(),
    }
