"""Read the frames of a loop back from any file the writers make (and most others)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from PIL import Image

from ..errors import InputError
from .writers.yuv import video_frame_to_rgb

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

    Raises InputError('path') if it does not exist or cannot be decoded.
    """
    source = _existing(path)
    if source.is_dir():
        return _folder_frames(source)
    return _animation_frames(source) if source.suffix.lower() in _ANIMATIONS else _video_frames(source)


def probe(path: str | os.PathLike[str]) -> MediaInfo:
    """Size, number of frames and frame rate, without decoding the pictures. Raises InputError('path')."""
    source = _existing(path)
    if source.is_dir():
        pictures = _pictures(source)
        with _open_picture(pictures[0]) as first:
            return MediaInfo(first.width, first.height, len(pictures), None)
    return _probe_animation(source) if source.suffix.lower() in _ANIMATIONS else _probe_video(source)


def _existing(path: str | os.PathLike[str]) -> Path:
    source = Path(path)
    if not source.exists():
        raise InputError("path", f"'{source}' does not exist.")
    return source


def _unreadable(source: Path, error: Exception) -> InputError:
    return InputError("path", f"'{source}' cannot be read ({error}).", "Is it a video or a picture, and complete?")


def _video_frames(source: Path) -> Iterator[np.ndarray]:
    try:
        with av.open(str(source)) as container:
            for frame in container.decode(_video_stream(container, source)):
                yield video_frame_to_rgb(frame)
    except av.FFmpegError as error:
        raise _unreadable(source, error) from error


def _probe_video(source: Path) -> MediaInfo:
    try:
        with av.open(str(source)) as container:
            stream = _video_stream(container, source)
            count = stream.frames or sum(1 for packet in container.demux(stream) if packet.size)
            rate = stream.average_rate or stream.guessed_rate
            return MediaInfo(stream.width, stream.height, count, Fraction(rate) if rate else None)
    except av.FFmpegError as error:
        raise _unreadable(source, error) from error


def _video_stream(container: av.container.InputContainer, source: Path) -> av.VideoStream:
    if not container.streams.video:
        raise InputError("path", f"'{source}' contains no video.")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    return stream


@contextmanager
def _decoding(source: Path) -> Iterator[None]:
    """Pillow reports damaged files in many ways; here they become one."""
    try:
        yield
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(source, error) from error


def _open_picture(source: Path) -> Image.Image:
    with _decoding(source):
        return Image.open(source)


def _animation_frames(source: Path) -> Iterator[np.ndarray]:
    with _open_picture(source) as picture:
        for index in range(_count(picture, source)):
            yield _pixels(picture, source, index)


def _count(picture: Image.Image, source: Path) -> int:
    with _decoding(source):
        return getattr(picture, "n_frames", 1)


def _pixels(picture: Image.Image, source: Path, index: int = 0) -> np.ndarray:
    with _decoding(source):
        picture.seek(index)
        return np.array(picture.convert("RGB"))


def _probe_animation(source: Path) -> MediaInfo:
    with _open_picture(source) as picture:
        count = _count(picture, source)
        whole_milliseconds = source.suffix.lower() == ".webp"
        total = Fraction(0)
        for index in range(count):
            with _decoding(source):
                picture.seek(index)
                if whole_milliseconds:
                    picture.load()  # only then does Pillow know how long the frame is shown
            total += Fraction(picture.info.get("duration", 0)).limit_denominator(1000)
        return MediaInfo(picture.width, picture.height, count, _rate(count, total, whole_milliseconds))


def _rate(count: int, milliseconds: Fraction, rounded: bool) -> Fraction | None:
    """Frames per second; if times are rounded to milliseconds, the whole number they may stand for."""
    if milliseconds <= 0:
        return None
    whole = round(count * 1000 / milliseconds)
    if rounded and whole and abs(Fraction(count * 1000, whole) - milliseconds) <= Fraction(1, 2):
        return Fraction(whole)
    return count * 1000 / milliseconds


def _pictures(folder: Path) -> list[Path]:
    pictures = sorted(p for p in folder.iterdir() if p.suffix.lower() in _PICTURES and not p.name.startswith("."))
    if not pictures:
        raise InputError("path", f"the folder '{folder}' holds no pictures.")
    return pictures


def _folder_frames(folder: Path) -> Iterator[np.ndarray]:
    for picture in _pictures(folder):
        with _open_picture(picture) as opened:
            yield _pixels(opened, picture)
