"""mp4 (H.264) and webm (VP9) through PyAV."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import av
import numpy as np
import torch
import torch.nn.functional as F

from .encoding import Encoding
from .yuv import planes_to_video_frame, rgb_to_planes

_BT709 = 1
_LIMITED = 1
_LONGEST_GOP = 300
_LARGE = 4_000_000
_THREADS_OF_LARGE = 16


@dataclass(frozen=True)
class VideoCodec:
    """encoder: FFmpeg's name; best, worst: its constant rate factor at quality 100 and 0; even: pad odd sizes (the
    codec has no others).
    """

    container: str
    encoder: str
    pixel_format: str
    depth: int
    subsample: bool
    even: bool
    best: float
    worst: float
    options: Mapping[str, str]


# The still parts of a loop must not pop when it starts again, so: no key frame in the middle (a closed group of
# pictures as long as the loop); a first picture so good (ipratio, no mbtree, weak adaptive quantisation) that later
# ones need not mend it; and no weighted prediction, because a plainly skipped block is the same block again, bit for
# bit. Measured on a stream photograph: still pixels drift half as far from frame 0 as with the preset alone.
_X264 = "open-gop=0:scenecut=0:weightp=0:weightb=0:mbtree=0:aq-strength=0.6:ipratio=2.0:chromaloc=1"
_H264 = {"preset": "medium", "x264-params": _X264}
_VP9 = {"b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1", "tile-columns": "2", "lag-in-frames": "25"}
MP4 = VideoCodec("mp4", "libx264", "yuv420p", 8, True, True, 13, 43, {**_H264, "profile": "high"})
"""H.264 4:2:0, 8 bit, 'faststart': plays in every browser and on every phone."""
MP4_HQ = VideoCodec("mp4", "libx264", "yuv444p10le", 10, False, False, 0, 25, {**_H264, "profile": "high444"})
"""H.264 4:4:4, 10 bit, near lossless: for editing (players built on FFmpeg, editors; not browsers)."""
WEBM = VideoCodec("webm", "libvpx-vp9", "yuv420p", 8, True, False, 13, 63, {**_VP9, "auto-alt-ref": "1"})
"""VP9 4:2:0, 8 bit."""
_WEBM_ALPHA = replace(WEBM, pixel_format="yuva420p", options={**WEBM.options, "auto-alt-ref": "0"})
"""The same with a plane of alpha, which hidden frames cannot have."""
_CONTAINER_OPTIONS = {"mp4": {"movflags": "+faststart+use_metadata_tags"}}


def most_threads(pixels: int) -> int:
    """x264's threads for a picture of so many pixels: each holds a frame, and many cores would fill the memory."""
    by_itself = max(1, 3 * (os.cpu_count() or 1) // 2)
    return min(by_itself, _THREADS_OF_LARGE) if pixels > _LARGE else by_itself


def write_video(frames: Iterator[torch.Tensor], target: Path, s: Encoding, *, codec: VideoCodec) -> None:
    """A video of one of the codecs, BT.709 and limited range, and tagged so."""
    if s.alpha is not None:
        codec = _WEBM_ALPHA
    muxing = _CONTAINER_OPTIONS.get(codec.container)
    with av.open(str(target), "w", format=codec.container, options=muxing) as container:
        container.metadata.update(s.metadata)
        factor = codec.worst + (codec.best - codec.worst) * s.quality / 100
        options = {"crf": f"{factor:.1f}" if codec.encoder == "libx264" else f"{round(factor)}", **codec.options}
        stream = container.add_stream(codec.encoder, rate=s.rate, options=options)
        stream.width, stream.height = (size + (size % 2 if codec.even else 0) for size in (s.width, s.height))
        stream.pix_fmt = codec.pixel_format
        if s.alpha is not None:
            stream.metadata["alpha_mode"] = "1"
        context = stream.codec_context
        if codec.encoder == "libx264" and s.height * s.width > _LARGE:
            context.thread_count = most_threads(s.height * s.width)
        context.time_base = 1 / s.rate
        context.gop_size = _LONGEST_GOP
        context.color_range = _LIMITED
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        # map keeps no frame while the next one is made.
        for index, image in enumerate(map(partial(_to_video_frame, codec=codec, alpha=s.alpha), frames)):
            image.pts, image.time_base = index, 1 / s.rate
            container.mux(stream.encode(image))
        container.mux(stream.encode(None))


def _to_video_frame(frame: torch.Tensor, codec: VideoCodec, alpha: np.ndarray | None) -> av.VideoFrame:
    height, width = frame.shape[:2]
    if codec.even and (height % 2 or width % 2):
        frame = F.pad(frame.permute(2, 0, 1)[None], (0, width % 2, 0, height % 2), mode="replicate")
        frame = frame[0].permute(1, 2, 0)
    planes = rgb_to_planes(frame, depth=codec.depth, subsample=codec.subsample)
    if alpha is not None:
        planes.append(alpha)
    image = planes_to_video_frame(planes, codec.pixel_format)
    image.colorspace, image.color_range = _BT709, _LIMITED
    return image
