"""Write a loop to a file, frame by frame, in any of seven formats."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sized
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..devices import on_host
from ..errors import InputError
from ..io.files import atomic_write
from ..io.images import to_uint8
from ..settings import Settings, setting
from ..warp.plan import MOST_FRAMES
from .frames import as_float
from .writers.apng import write_apng
from .writers.encoding import Encoding, Writer
from .writers.gif import write_gif
from .writers.png_folder import FRAME_PATTERN, write_png_folder
from .writers.video import MP4, MP4_HQ, WEBM, write_video
from .writers.webp import write_webp


@dataclass(frozen=True)
class Format:
    """suffix: of the file ('' = a folder); video: whether ``loops`` applies; description: one line for people; largest:
    px on a side; alpha: whether it can be transparent.
    """

    suffix: str
    video: bool
    description: str
    write: Writer
    largest: int = 2**31 - 1
    alpha: bool = False


FORMATS: dict[str, Format] = {
    "mp4": Format(".mp4", True, "H.264, plays everywhere", partial(write_video, codec=MP4), 16384),
    "mp4-hq": Format(
        ".mp4", True, "H.264 4:4:4 10 bit, near lossless, for editing", partial(write_video, codec=MP4_HQ), 16384
    ),
    "webm": Format(".webm", True, "VP9, for web pages", partial(write_video, codec=WEBM), 65535, alpha=True),
    "gif": Format(".gif", False, "255 colours, loops everywhere", write_gif, 65535),
    "webp": Format(
        ".webp", False, "animated WebP, loops for ever, still parts do not flicker", write_webp, 16383, alpha=True
    ),
    "apng": Format(".png", False, "animated PNG, lossless, loops for ever", write_apng, alpha=True),
    "png": Format("", False, "folder of numbered PNG pictures, lossless", write_png_folder, alpha=True),
}


@dataclass(frozen=True)
class EncodeSettings(Settings):
    """How a loop is encoded. Raises InputError naming the setting."""

    format: str = setting(
        "mp4", "; ".join(f"{name}: {kind.description}" for name, kind in FORMATS.items()) + ".", choices=tuple(FORMATS)
    )
    frame_rate: float = setting(
        30.0,
        "Frames per second. A gif plays the nearest rate it can hold.",
        low=0.001,
        high=1000.0,
        step=1.0,
        round=0.001,
    )
    quality: int = setting(
        90,
        "Higher is better and larger. apng and png are lossless at any quality, webp is at 100.",
        low=1,
        high=100,
    )
    loops: int = setting(
        1,
        "How often the loop is repeated inside a video file (mp4, webm), for players that do not repeat. Leave it at 1 "
        "for the others: they loop by themselves for ever.",
        low=1,
        high=100,
    )
    seconds: float = setting(
        0.0,
        "Length of the loop in seconds at this frame rate, in place of a number of frames; 0: the number counts.",
        low=0.0,
        high=3600.0,
        step=0.1,
        advanced=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.seconds and not 2 <= self.frame_count(0) <= MOST_FRAMES:
            problem = f"is {self.seconds:g}: {self.frame_count(0)} frames at {self.frame_rate:g} per second."
            raise InputError("seconds", problem, f"A loop has 2 to {MOST_FRAMES} frames.")
        if self.loops > 1 and not FORMATS[self.format].video:
            problem = f"is {self.loops}, but {self.format} files repeat by themselves."
            raise InputError("loops", problem, "Set it to 1, or choose mp4.")

    def frame_count(self, otherwise: int) -> int:
        """The length in frames, round(seconds * frame_rate); ``otherwise`` where no seconds are given."""
        return round(self.seconds * self.frame_rate) if self.seconds else otherwise


def write_loop(
    frames: Iterable[torch.Tensor],
    path: str | os.PathLike[str],
    settings: EncodeSettings = EncodeSettings(),
    *,
    count: int | None = None,
    metadata: dict[str, str] | None = None,
    alpha: torch.Tensor | None = None,
    on_frame: Callable[[int], object] | None = None,
) -> Path:
    """Write ``frames`` and return the path of the finished file (for 'png': of the folder).

    frames: yields [H, W, 3] tensors, float 0..1 (or uint8), all of one size; they are taken one at a time. More than 1
        loop needs an iterable that can be iterated again (a list, a LoopRenderer; not a generator).
    path: used as it is; its folder is made if need be. The file appears only when it is complete: whatever stops the
        writing (an error, an interrupt raised by ``frames`` or ``on_frame``) leaves an older file there untouched and
        nothing else behind.
    settings: the frame rate is exact in mp4, webm and apng (29.97 means 30000/1001); webp rounds each frame to
        milliseconds without drifting; gif plays the nearest rate that hundredths of a second allow (see gif_delay).
        Colours of the videos are BT.709, limited range, and tagged so. mp4 and webm store even sizes only (4:2:0
        chroma): an odd image gets its last column or row once more. All other formats keep odd sizes.
    count: the number of frames that must come (default: len(frames) if it has a length); any other number is an error.
    metadata: text kept in the file, e.g. {'workflow': json}.
    alpha: [H, W] in 0..1 of every frame. Formats that cannot be transparent (FORMATS) get the frames over white.
    on_frame: called with 1, 2, 3 ... after each frame has been encoded; may raise to stop.

    Raises InputError for anything a person can put right; OSError from the file system passes through.
    """
    if settings.loops > 1 and iter(frames) is frames:
        problem = f"is {settings.loops}, but these frames can be read only once."
        raise InputError("loops", problem, "Pass a list or a renderer.")
    if count is None and isinstance(frames, Sized):
        count = len(frames)
    kind, target = FORMATS[settings.format], Path(path)
    if kind.suffix and target.is_dir():
        raise InputError("path", f"'{target}' is a folder.", "Give the name of a file.")
    replaceable = target.is_dir() and all(FRAME_PATTERN.fullmatch(item.name) for item in target.iterdir())
    if not kind.suffix and target.exists() and not replaceable:
        raise InputError("path", f"'{target}' exists and holds other things.", "Give the name of a new folder.")
    target.parent.mkdir(parents=True, exist_ok=True)
    # Generators are closed at once, so that a renderer frees its memory before an error is shown.
    with atomic_write(target) as unfinished, closing(_stream(frames, settings.loops, count, on_frame)) as stream:
        height, width = next(stream)
        if max(height, width) > kind.largest:
            problem = f"{settings.format} cannot hold a picture of {width}x{height} pixels."
            raise InputError("format", problem, f"Its limit is {kind.largest} on a side; choose png or a smaller one.")
        rate = as_rate(settings.frame_rate)
        levels = None
        if alpha is not None:
            if alpha.shape != (height, width):
                raise InputError("alpha", f"is {list(alpha.shape)}, the frames are {height}x{width} pixels.")
            if kind.alpha:
                levels = to_uint8(alpha)
            else:
                stream = _over_white(stream, alpha)
        kind.write(stream, unfinished, Encoding(height, width, rate, settings.quality, dict(metadata or {}), levels))
    return target


def opaque_note(format: str) -> str:
    """The sentence for a loop whose alpha the format cannot keep."""
    able = ", ".join(name for name, kind in FORMATS.items() if kind.alpha)
    return f"{format} keeps no transparency: the loop lies on white. {able} keep it."


def _over_white(frames: Iterable[torch.Tensor], alpha: torch.Tensor) -> Iterator[torch.Tensor]:
    for frame in frames:
        yield torch.lerp(torch.ones_like(frame), frame, alpha[..., None].to(frame))
        del frame


def format_of(path: Path) -> str:
    """The format of FORMATS that a file name's suffix stands for. Raises InputError('output')."""
    for name, kind in FORMATS.items():
        if kind.suffix and kind.suffix == path.suffix.lower():
            return name
    raise InputError("output", f"'{path.name}' has no known ending.", f"Use one of {', '.join(FORMATS)}.")


def as_rate(frame_rate: Fraction | float | int) -> Fraction:
    """The exact rate that a number stands for: 29.97, 23.976 and 59.94 mean 30000/1001 and so on."""
    rate = Fraction(frame_rate).limit_denominator(100_000)
    broadcast = Fraction(round(rate) * 1000, 1001)
    return broadcast if rate.denominator > 1 and abs(rate - broadcast) < Fraction(5, 1000) else rate


def _stream(
    frames: Iterable[torch.Tensor], loops: int, count: int | None, on_frame: Callable[[int], object] | None
) -> Generator[Any, None, None]:
    """The size (height, width), then the frames, checked, counted and repeated."""
    size, done = None, 0
    for _ in range(loops):
        in_this_loop = 0
        for frame in frames:
            # Of frames on a device only a loop's first is looked at for NaN: the others would be waited for.
            frame = as_float(frame, finite=size is None or on_host(torch.as_tensor(frame)))
            if size is None:
                size = tuple(frame.shape[:2])
                yield size
            in_this_loop += 1
            if count is not None and in_this_loop > count:
                raise InputError("frames", f"more than the expected {count} came.")
            if frame.shape[:2] != size:
                sizes = f"{frame.shape[1]}x{frame.shape[0]}, the first {size[1]}x{size[0]}"
                raise InputError("frames", f"number {done} is {sizes}.")
            yield frame
            del frame  # or it would live on while the next is made
            done += 1
            if on_frame is not None:
                on_frame(done)
        if not done:
            raise InputError("frames", "there are none.")
        if count is not None and in_this_loop != count:
            raise InputError("frames", f"{in_this_loop} came, {count} were expected.")
