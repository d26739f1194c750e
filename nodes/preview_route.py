"""The editor's question to the server: how would this move? The answer is a field at low resolution.

POST /text2cinemagraph/preview with JSON {"picture": JPEG or PNG in base64, "hints": text, "settings": {"flow": {...},
"mask": {...}}} answers {"width", "height", "scale", "velocity": int16 [2, H, W] in base64, "mask": uint8 [H, W] in
base64}; velocity * scale is in px/frame of a picture whose longer side has 512 pixels. What is wrong with a request
is said with status 400, 413 or 503 and {"error": text}. Nothing that a request names is ever opened.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import io as streams
import json
import logging
from typing import Any

import numpy as np
import torch
from aiohttp import web
from PIL import Image

from ..t2c_core.errors import InputError
from ..t2c_core.hints import parse_hints
from ..t2c_core.preview import LONGEST, preview_field, read_settings
from ..t2c_core.types import MotionField, speed_scale

ROUTE = "/text2cinemagraph/preview"
MOST_BYTES = 6_000_000
MOST_WAITING = 8
_FORMATS = ("JPEG", "PNG")


class PreviewDesk:
    """Answers one request at a time; so many may wait, more are sent away."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def answer(self, request: web.Request) -> web.Response:
        """The aiohttp handler."""
        if self._waiting >= MOST_WAITING:
            return _refused("The server is busy with other previews.", 503)
        self._waiting += 1
        try:
            text = await _body(request)
            if text is None:
                return _refused(f"A request may have {MOST_BYTES // 10**6} MB.", 413)
            async with self._turn:
                return web.json_response(await asyncio.to_thread(answer_to, text))
        except InputError as error:
            return _refused(str(error), 400)
        except Exception:  # a page must get an answer whatever happens, and the server stays up
            logging.exception("Text2Cinemagraph: the preview failed")
            return _refused("The preview failed; the server's log says why.", 500)
        finally:
            self._waiting -= 1


def _refused(reason: str, status: int) -> web.Response:
    return web.json_response({"error": reason}, status=status)


async def _body(request: web.Request) -> bytes | None:
    """The request's body, or None as soon as it is longer than allowed."""
    parts, length = [], 0
    async for part in request.content.iter_chunked(65536):
        length += len(part)
        if length > MOST_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)


def answer_to(text: bytes) -> dict[str, Any]:
    """The answer to a request's body. Raises InputError for one that cannot be answered."""
    try:
        asked = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("request", f"is no valid JSON ({error}).") from None
    if not isinstance(asked, dict) or set(asked) - {"picture", "hints", "settings"}:
        raise InputError("request", "must be an object with picture, hints and settings.")
    hints, settings = asked.get("hints"), asked.get("settings", {})
    if not isinstance(hints, str):
        raise InputError("hints", "must be a text.")
    if not isinstance(settings, dict) or not all(isinstance(part, dict) for part in settings.values()):
        raise InputError("settings", "must be an object with flow and mask.")
    chosen = {name: value for part in ("mask", "flow") for name, value in settings.get(part, {}).items()}
    # Amounts in pixels of the full picture mean nothing for a small one.
    chosen = {name: value for name, value in chosen.items() if name not in ("grow", "feather")}
    drawn, how = parse_hints(hints), read_settings(chosen)
    return _encoded(preview_field(_picture(asked.get("picture")), drawn, how))


def _picture(text: Any) -> torch.Tensor:
    if not isinstance(text, str):
        raise InputError("picture", "must be a JPEG or PNG in base64.")
    try:
        with Image.open(streams.BytesIO(base64.b64decode(text, validate=True)), formats=_FORMATS) as image:
            # The head says the size; a large one is refused before anything is decoded.
            if not 8 <= min(image.size) <= max(image.size) <= LONGEST:
                raise InputError("picture", f"is {image.size[0]}x{image.size[1]}; sides of 8..{LONGEST} are allowed.")
            pixels = np.asarray(image.convert("RGB"), np.float32) / 255.0
    except (binascii.Error, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError("picture", f"is no JPEG or PNG in base64 ({error}).") from None
    return torch.from_numpy(pixels)[None]


def _encoded(field: MotionField) -> dict[str, Any]:
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


def add_preview_route(routes: web.RouteTableDef) -> None:
    """Let a server answer previews."""
    routes.post(ROUTE)(PreviewDesk().answer)
