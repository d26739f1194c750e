"""mp4 (H.264) and webm (VP9) through PyAV."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import torch
import torch.nn.functional as F

from ...errors import InputError
from .settings import Settings
from .yuv import planes_to_video_frame, rgb_to_planes

_BT709 = 1
_LIMITED = 1
_LONGEST_GOP = 300
_LARGE = 4_000_000
_THREADS_OF_LARGE = 16


@dataclass(frozen=True)
class VideoCodec:
    """encoder: FFmpeg's name; options: made from the settings; even: pad odd sizes (the codec has no others).

    largest: px on a side.
    """

    container: str
    encoder: str
    pixel_format: str
    depth: int
    subsample: bool
    even: bool
    largest: int
    options: Callable[[Settings], dict[str, str]]
    container_options: tuple[tuple[str, str], ...] = ()


# The still parts of a loop must not pop when it starts again, so: no key frame in the middle (a closed group of
# pictures as long as the loop); a first picture so good (ipratio, no mbtree, weak adaptive quantisation) that later
# ones need not mend it; and no weighted prediction, because a plainly skipped block is the same block again, bit for
# bit. Measured on a stream photograph: still pixels drift half as far from frame 0 as with the preset alone.
_X264 = "open-gop=0:scenecut=0:weightp=0:weightb=0:mbtree=0:aq-strength=0.6:ipratio=2.0:chromaloc=1"


def most_threads(pixels: int) -> int:
    """x264's threads for a picture of so many pixels: each holds a frame, and many cores would fill the memory."""
    by_itself = max(1, 3 * (os.cpu_count() or 1) // 2)
    return min(by_itself, _THREADS_OF_LARGE) if pixels > _LARGE else by_itself


def _h264(s: Settings) -> dict[str, str]:
    return {
        "crf": f"{43 - 0.3 * s.quality:.1f}",
        "preset": "medium",
        "profile": "high",
        "x264-params": _X264,
    }


def _h264_hq(s: Settings) -> dict[str, str]:
    return {
        "crf": f"{0.25 * (100 - s.quality):.1f}",
        "preset": "medium",
        "profile": "high444",
        "x264-params": _X264,
    }


def _vp9(s: Settings) -> dict[str, str]:
    return {
        "crf": f"{round(63 - 0.5 * s.quality)}",
        "b": "0",
        "deadline": "good",
        "cpu-used": "4",
        "row-mt": "1",
        "tile-columns": "2",
        "lag-in-frames": "25",
        "auto-alt-ref": "1",
    }


_MP4 = (("movflags", "+faststart+use_metadata_tags"),)
MP4 = VideoCodec("mp4", "libx264", "yuv420p", 8, True, True, 16384, _h264, _MP4)
MP4_HQ = VideoCodec("mp4", "libx264", "yuv444p10le", 10, False, False, 16384, _h264_hq, _MP4)
WEBM = VideoCodec("webm", "libvpx-vp9", "yuv420p", 8, True, False, 65535, _vp9)


def write_mp4(frames: Iterator[torch.Tensor], target: Path, settings: Settings) -> None:
    """H.264 4:2:0, 8 bit, 'faststart': plays in every browser and on every phone."""
    _encode(frames, target, settings, MP4)


def write_mp4_hq(frames: Iterator[torch.Tensor], target: Path, settings: Settings) -> None:
    """H.264 4:4:4, 10 bit, near lossless: for editing (players built on FFmpeg, editors; not browsers)."""
    _encode(frames, target, settings, MP4_HQ)


def write_webm(frames: Iterator[torch.Tensor], target: Path, settings: Settings) -> None:
    """VP9 4:2:0, 8 bit."""
    _encode(frames, target, settings, WEBM)


def _encode(frames: Iterator[torch.Tensor], target: Path, s: Settings, codec: VideoCodec) -> None:
    if max(s.height, s.width) > codec.largest:
        raise InputError(
            "format",
            f"{codec.container} cannot hold a picture of {s.width}x{s.height} pixels.",
            f"Its limit is {codec.largest} on a side; choose png or a smaller picture.",
        )
    with av.open(str(target), "w", format=codec.container, options=dict(codec.container_options)) as container:
        container.metadata.update(s.metadata)
        stream = container.add_stream(codec.encoder, rate=s.rate, options=codec.options(s))
        stream.width, stream.height = (s.width, s.height) if not codec.even else (_even(s.width), _even(s.height))
        stream.pix_fmt = codec.pixel_format
        context = stream.codec_context
        if codec.encoder == "libx264" and s.height * s.width > _LARGE:
            context.thread_count = most_threads(s.height * s.width)
        context.time_base = 1 / s.rate
        context.gop_size = _LONGEST_GOP
        context.color_range = _LIMITED
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        # map keeps no frame while the next one is made.
        for index, picture in enumerate(map(partial(_to_video_frame, codec=codec), frames)):
            picture.pts, picture.time_base = index, 1 / s.rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def _even(size: int) -> int:
    return size + size % 2


def _to_video_frame(frame: torch.Tensor, codec: VideoCodec) -> av.VideoFrame:
    if codec.even:
        height, width = frame.shape[:2]
        if height % 2 or width % 2:
            frame = F.pad(frame.permute(2, 0, 1)[None], (0, width % 2, 0, height % 2), mode="replicate")
            frame = frame[0].permute(1, 2, 0)
    picture = planes_to_video_frame(
        rgb_to_planes(frame, depth=codec.depth, subsample=codec.subsample), codec.pixel_format
    )
    picture.colorspace, picture.color_range = _BT709, _LIMITED
    return picture
