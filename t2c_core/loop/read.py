"""Read the frames of a loop back from any file the writers make (and most others)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import av.filter
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError

from ..errors import InputError
from ..io.decode import WHITE, decode, opened, upright_size
from ..memory import is_out_of_memory, reading

_UNTAGGED = 2
_ANIMATIONS = {".gif", ".webp", ".png", ".apng"}
_PICTURES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}


class MediaInfo(NamedTuple):
    """width, height in px; frames: how many; rate: frames per second, None for a folder of pictures."""

    width: int
    height: int
    frames: int
    rate: Fraction | None


class LoopFile:
    """The frames of a file as something that can be iterated again and has a length."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.info = probe(self.path)

    def __len__(self) -> int:
        return self.info.frames

    def __iter__(self) -> Iterator[np.ndarray]:
        return read_frames(self.path)


def read_frames(path: str | os.PathLike[str]) -> Iterator[np.ndarray]:
    """Every frame as uint8 [H, W, 3], one at a time: a video, an animated gif, webp or png, or a folder of pictures.

    Pictures are read as `t2c_core.load_image` does: upright, sRGB, over white.

    Raises InputError('path') if it does not exist or cannot be decoded.
    """
    source = _existing(path)
    if source.is_dir():
        return (frame for image in _images(source) for frame in _animation_frames(image))
    return _animation_frames(source) if source.suffix.lower() in _ANIMATIONS else _video_frames(source)


def probe(path: str | os.PathLike[str]) -> MediaInfo:
    """Size, number of frames and frame rate, without decoding the pictures. Raises InputError('path')."""
    source = _existing(path)
    if source.is_dir():
        images = _images(source)
        return _probe_animation(images[0])._replace(frames=len(images), rate=None)
    return _probe_animation(source) if source.suffix.lower() in _ANIMATIONS else _probe_video(source)


def _existing(path: str | os.PathLike[str]) -> Path:
    source = Path(path)
    if not source.exists():
        raise InputError("path", f"'{source}' does not exist.")
    return source


@contextmanager
def _opened_video(source: Path) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    """A video and its first stream of pictures. Raises InputError for whatever FFmpeg and PyAV find damaged."""
    problem = "path", f"'{source}' cannot be read", "Is it a video or a picture, and complete?"
    with (
        reading(*problem, out_of_memory=_ran_out_of_memory),
        av.open(str(source), metadata_errors="replace") as container,
    ):
        if not container.streams.video:
            raise InputError("path", f"'{source}' contains no video.")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield container, stream


def _ran_out_of_memory(error: Exception) -> bool:
    # FFmpeg says so, too, of heads that ask for more than there can be.
    return is_out_of_memory(error) and not isinstance(error, FFmpegError)


def _video_frames(source: Path) -> Iterator[np.ndarray]:
    with _opened_video(source) as (container, stream):
        to_rgb: av.filter.Graph | None = None
        for frame in container.decode(stream):
            to_rgb = to_rgb or _rgb_graph(frame)
            to_rgb.push(frame)
            yield to_rgb.pull().to_ndarray()


def _rgb_graph(frame: av.VideoFrame) -> av.filter.Graph:
    """Converts a stream's frames to rgb24 with interpolated chroma, which PyAV's own conversion repeats.

    Video without a tag counts as BT.709 from 720 lines on and as BT.601 below, as players do.
    """
    matrix = "bt709" if frame.colorspace == _UNTAGGED and frame.height >= 720 else "auto"
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base),
        graph.add("scale", f"flags=bilinear+full_chroma_int+accurate_rnd:in_color_matrix={matrix}"),
        graph.add("format", "rgb24"),
        graph.add("buffersink"),
    ).configure()
    return graph


def _probe_video(source: Path) -> MediaInfo:
    with _opened_video(source) as (container, stream):
        count = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
        rate = stream.average_rate or stream.guessed_rate
        return MediaInfo(stream.width, stream.height, count, Fraction(rate) if rate else None)


def _animation_frames(source: Path) -> Iterator[np.ndarray]:
    with opened(source, "path") as image:
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            yield np.array(decode(image).on(WHITE))


def _probe_animation(source: Path) -> MediaInfo:
    with opened(source, "path") as image:
        count, total = getattr(image, "n_frames", 1), Fraction(0)
        whole_milliseconds = source.suffix.lower() == ".webp"
        for index in range(count):
            image.seek(index)
            if whole_milliseconds:
                image.load()  # only then does Pillow know how long the frame is shown
            total += Fraction(image.info.get("duration", 0)).limit_denominator(1000)
        return MediaInfo(*upright_size(image), count, _rate(count, total, whole_milliseconds))


def _rate(count: int, milliseconds: Fraction, rounded: bool) -> Fraction | None:
    """Frames per second; if times are rounded to milliseconds, the whole number they may stand for."""
    if milliseconds <= 0:
        return None
    whole = round(count * 1000 / milliseconds)
    if rounded and whole and abs(Fraction(count * 1000, whole) - milliseconds) <= Fraction(1, 2):
        return Fraction(whole)
    return count * 1000 / milliseconds


def _images(folder: Path) -> list[Path]:
    images = sorted(p for p in folder.iterdir() if p.suffix.lower() in _PICTURES and not p.name.startswith("."))
    if not images:
        raise InputError("path", f"the folder '{folder}' holds no pictures.")
    return images
