"""R'G'B' to Y'CbCr in float, so that 10-bit video really carries 10 bits and colours are not rounded twice.

Matrix and limited range: Recommendation ITU-R BT.709-6, sections 3 and 4.
"""

from __future__ import annotations

import re

import av
import cv2
import numpy as np
import torch
import torch.nn.functional as F

_BT709, _BT601 = (0.2126, 0.0722), (0.299, 0.114)
_TAGGED = {1: _BT709, 5: _BT601, 6: _BT601}
_FULL_RANGE = 2
STRIP_PIXELS = 2**18
_PLANAR = re.compile(r"yuv(?P<full>j)?(?P<sampling>420|422|444)p(?:(?P<depth>9|10|12|14|16)le)?")


def _to_ycc(weights: tuple[float, float]) -> np.ndarray:
    """[3, 3]: R'G'B' to Y'CbCr, Cb and Cr in -0.5..0.5, from the luma weights of red and blue."""
    kr, kb = weights
    kg = 1.0 - kr - kb
    return np.array(
        [
            (kr, kg, kb),
            (-kr / (2 * (1 - kb)), -kg / (2 * (1 - kb)), 0.5),
            (0.5, -kg / (2 * (1 - kr)), -kb / (2 * (1 - kr))),
        ]
    )


def rgb_to_planes(frame: torch.Tensor, *, depth: int = 8, subsample: bool = True) -> list[np.ndarray]:
    """[H, W, 3] float in 0..1 -> Y [H, W], Cb and Cr as uint8 (depth 8) or uint16 code values, limited range.

    With ``subsample`` the chroma planes are [ceil(H/2), ceil(W/2)], sited in the centre of each 2x2 block: where
    graphics cards and swscale put them back.
    """
    height, width = frame.shape[:2]
    dtype = np.uint8 if depth == 8 else np.uint16
    half = (-(-height // 2), -(-width // 2)) if subsample else (height, width)
    planes = [np.empty(size, dtype) for size in ((height, width), half, half)]
    # Strips of whole 2x2 blocks: what lies between a frame and its planes takes several times the frame's memory.
    rows = 2 * max(1, STRIP_PIXELS // (2 * width))
    for top in range(0, height, rows):
        codes = _strip_codes(frame[top : top + rows], depth, subsample)
        for plane, values in zip(planes, codes, strict=True):
            first = top if len(plane) == height else top // 2
            plane[first : first + len(values)] = values.cpu().numpy()
    return planes


def _strip_codes(frame: torch.Tensor, depth: int, subsample: bool) -> list[torch.Tensor]:
    """The rounded code values of some rows of a frame, in float."""
    matrix = torch.from_numpy(_to_ycc(_BT709)).to(frame)
    ycc = (frame.reshape(-1, 3) @ matrix.T).reshape(frame.shape).permute(2, 0, 1)
    luma, chroma = ycc[0], ycc[1:]
    if subsample:
        chroma = _halve(chroma)
    unit = 2 ** (depth - 8)
    codes = [luma * (219 * unit) + 16 * unit, *(chroma * (224 * unit) + 128 * unit)]
    return [c.round() for c in codes]


def _halve(chroma: torch.Tensor) -> torch.Tensor:
    """[2, H, W] -> [2, ceil(H/2), ceil(W/2)] by averaging 2x2 blocks."""
    height, width = chroma.shape[-2:]
    padded = F.pad(chroma[None], (0, width % 2, 0, height % 2), mode="replicate")
    return F.avg_pool2d(padded, 2)[0]


def planes_to_video_frame(planes: list[np.ndarray], pixel_format: str) -> av.VideoFrame:
    """Copy the planes into a new PyAV frame, honouring its line padding."""
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pixel_format)
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size // values.itemsize), values.dtype)
        rows[: values.shape[0], : values.shape[1]] = values
        plane.update(rows)
    return frame


def video_frame_to_rgb(frame: av.VideoFrame) -> np.ndarray:
    """A decoded frame as uint8 [H, W, 3].

    The matrix is the frame's own tag; untagged video counts as BT.709 from 720 lines on and as BT.601 below, as
    players do. Done here because older versions of PyAV ignore the tag.
    """
    layout = _PLANAR.fullmatch(frame.format.name)
    if layout is None:
        return frame.to_ndarray(format="rgb24")
    depth = int(layout["depth"] or 8)
    size = (frame.width, frame.height)
    luma, *chroma = (_plane(p, np.uint16 if depth > 8 else np.uint8).astype(np.float32) for p in frame.planes)
    # Samples sit in the middle of their block, as rgb_to_planes puts them; an odd size has a half-used last block.
    chroma = [_widen(c, layout["sampling"])[: size[1], : size[0]] for c in chroma]
    full = frame.color_range == _FULL_RANGE or layout["full"] is not None
    weights = _TAGGED.get(int(frame.colorspace), _BT709 if frame.height >= 720 else _BT601)
    planes = np.stack([luma, *chroma], -1) / 2.0 ** (depth - 8)
    offset = np.array((0 if full else 16, 128, 128), np.float32)
    scale = np.array((255, 255, 255) if full else (219, 224, 224), np.float32)
    rgb = cv2.transform((planes - offset) / scale, np.linalg.inv(_to_ycc(weights)).astype(np.float32))
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def _widen(chroma: np.ndarray, sampling: str) -> np.ndarray:
    """Chroma at the luma's size: 4:2:0 and 4:2:2 by bilinear interpolation."""
    across, down = {"420": (2, 2), "422": (2, 1), "444": (1, 1)}[sampling]
    if across == down == 1:
        return chroma
    return cv2.resize(chroma, None, fx=across, fy=down, interpolation=cv2.INTER_LINEAR)


def _plane(plane: av.video.plane.VideoPlane, dtype: type) -> np.ndarray:
    """[H, W] values of a plane without its line padding."""
    rows = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // np.dtype(dtype).itemsize)
    return rows[: plane.height, : plane.width]
