"""R'G'B' to Y'CbCr in float, so that 10-bit video really carries 10 bits and colours are not rounded twice.

Matrix and limited range: Recommendation ITU-R BT.709-6, sections 3 and 4.
"""

from __future__ import annotations

import av
import numpy as np
import torch
import torch.nn.functional as F

from ...color import LUMA_WEIGHTS, luma

STRIP_PIXELS = 2**18


def rgb_to_planes(frame: torch.Tensor, *, depth: int = 8, subsample: bool = True) -> list[np.ndarray]:
    """[H, W, 3] float in 0..1 -> Y [H, W], Cb and Cr as uint8 (depth 8) or uint16 code values, limited range.

    With ``subsample`` the chroma planes are [ceil(H/2), ceil(W/2)], sited in the centre of each 2x2 block: where
    graphics cards and swscale put them back. The codes are made on the frame's device; each plane is copied once.
    """
    height, width = frame.shape[:2]
    dtype = torch.uint8 if depth == 8 else torch.int16
    half = (-(-height // 2), -(-width // 2)) if subsample else (height, width)
    planes = [torch.empty(size, dtype=dtype, device=frame.device) for size in ((height, width), half, half)]
    # Strips of whole 2x2 blocks: what lies between a frame and its planes takes several times the frame's memory.
    rows = 2 * max(1, STRIP_PIXELS // (2 * width))
    for top in range(0, height, rows):
        codes = _strip_codes(frame[top : top + rows], depth, subsample)
        for plane, values in zip(planes, codes, strict=True):
            first = top if len(plane) == height else top // 2
            plane[first : first + len(values)] = values
    arrays = [plane.cpu().numpy() for plane in planes]
    return arrays if depth == 8 else [array.view(np.uint16) for array in arrays]


def _strip_codes(frame: torch.Tensor, depth: int, subsample: bool) -> list[torch.Tensor]:
    """The rounded code values of some rows of a frame, in float."""
    red, _, blue = LUMA_WEIGHTS
    y = luma(frame)
    chroma = torch.stack([(frame[..., 2] - y) / (2 * (1 - blue)), (frame[..., 0] - y) / (2 * (1 - red))])
    if subsample:
        height, width = chroma.shape[-2:]
        padded = F.pad(chroma[None], (0, width % 2, 0, height % 2), mode="replicate")
        chroma = F.avg_pool2d(padded, 2)[0]
    unit = 2 ** (depth - 8)
    codes = [y * (219 * unit) + 16 * unit, *(chroma * (224 * unit) + 128 * unit)]
    return [c.round() for c in codes]


def planes_to_video_frame(planes: list[np.ndarray], pixel_format: str) -> av.VideoFrame:
    """Copy the planes into a new PyAV frame, honouring its line padding."""
    height, width = planes[0].shape
    frame = av.VideoFrame(width, height, pixel_format)
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size // values.itemsize), values.dtype)
        rows[: values.shape[0], : values.shape[1]] = values
        plane.update(rows)  # pyright: ignore[reportArgumentType] - it takes any buffer
    return frame
