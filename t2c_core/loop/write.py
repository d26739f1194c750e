"""Write a loop to a file, frame by frame, in any of seven formats."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch

from ..errors import InputError
from .frames import as_float
from .writers.apng import write_apng
from .writers.gif import write_gif
from .writers.png_folder import FRAME_PATTERN, write_png_folder
from .writers.settings import Settings, Writer
from .writers.video import write_mp4, write_mp4_hq, write_webm
from .writers.webp import write_webp


@dataclass(frozen=True)
class Format:
    """suffix: of the file ('' = a folder); video: whether ``loops`` applies; description: one line for people."""

    suffix: str
    video: bool
    description: str
    write: Writer


FORMATS: dict[str, Format] = {
    "mp4": Format(".mp4", True, "H.264, plays everywhere", write_mp4),
    "mp4-hq": Format(".mp4", True, "H.264 4:4:4 10 bit, near lossless, for editing", write_mp4_hq),
    "webm": Format(".webm", True, "VP9, for web pages", write_webm),
    "gif": Format(".gif", False, "255 colours, loops everywhere", write_gif),
    "webp": Format(".webp", False, "animated WebP, loops for ever, still parts do not flicker", write_webp),
    "apng": Format(".png", False, "animated PNG, lossless, loops for ever", write_apng),
    "png": Format("", False, "folder of numbered PNG pictures, lossless", write_png_folder),
}


def write_loop(
    frames: Iterable[torch.Tensor],
    path: str | os.PathLike[str],
    *,
    frame_rate: Fraction | float | int = 30,
    format: str,
    quality: int = 90,
    loops: int = 1,
    count: int | None = None,
    metadata: dict[str, str] | None = None,
    on_frame: Callable[[int], None] | None = None,
) -> Path:
    """Write ``frames`` and return the path of the finished file (for 'png': of the folder).

    frames: yields [H, W, 3] tensors, float 0..1 (or uint8), all of one size; they are taken one at a time.
    path: used as it is; its folder is made if need be. The file appears only when it is complete: whatever stops the
        writing (an error, an interrupt raised by ``frames`` or ``on_frame``) leaves an older file there untouched and
        nothing else behind.
    frame_rate: frames per second, 0 < rate <= 1000. Exact in mp4, webm and apng; webp rounds each frame to
        milliseconds without drifting; gif plays the nearest rate that hundredths of a second allow (see gif_delay).
    format: a key of FORMATS. Colours of the videos are BT.709, limited range, and tagged so.
        mp4 stores even sizes only (4:2:0 chroma): an odd picture gets its last column or row once more.
        All other formats keep odd sizes.
    quality: 1..100. apng and png are lossless at any quality, webp is at 100.
    loops: how often the frames are repeated inside a video file; the other formats loop by themselves for ever.
        More than 1 needs ``frames`` that can be iterated again (a list, a LoopRenderer; not a generator).
    count: the number of frames that must come (default: len(frames) if it has a length); any other number is an error.
    metadata: text kept in the file, e.g. {'workflow': json}.
    on_frame: called with 1, 2, 3 ... after each frame has been encoded; may raise to stop.

    Raises InputError for anything a person can put right; OSError from the file system passes through.
    """
    kind = FORMATS.get(format)
    if kind is None:
        raise InputError("format", f"'{format}' is unknown.", f"Choose one of {', '.join(FORMATS)}.")
    rate = as_rate(frame_rate)
    if not 1 <= quality <= 100:
        raise InputError("quality", f"is {quality}; it must lie between 1 and 100.")
    _check_loops(frames, loops, kind, format)
    if count is None and hasattr(frames, "__len__"):
        count = len(frames)
    target = Path(path)
    _check_target(target, folder=not kind.suffix)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _appears_when_complete(target) as unfinished, _Source(frames, loops, count, on_frame) as source:
        settings = Settings(source.height, source.width, rate, int(quality), dict(metadata or {}))
        kind.write(source, unfinished, settings)
    return target


def as_rate(frame_rate: Fraction | float | int) -> Fraction:
    """An exact rate; 29.97, 23.976 and 59.94 mean the broadcast rates 30000/1001 and so on."""
    try:
        rate = Fraction(frame_rate).limit_denominator(100_000)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError("frame_rate", f"'{frame_rate}' is not a number.") from error
    if not 0 < rate <= 1000:
        raise InputError("frame_rate", f"is {frame_rate}; it must be above 0 and at most 1000.")
    broadcast = Fraction(round(rate) * 1000, 1001)
    return broadcast if rate.denominator > 1 and abs(rate - broadcast) < Fraction(5, 1000) else rate


def _check_loops(frames: Iterable[torch.Tensor], loops: int, kind: Format, name: str) -> None:
    if loops < 1:
        raise InputError("loops", f"is {loops}; it must be at least 1.")
    if loops > 1 and not kind.video:
        raise InputError("loops", f"is {loops}, but {name} files repeat by themselves.", "Set it to 1, or choose mp4.")
    if loops > 1 and iter(frames) is frames:
        raise InputError("loops", f"is {loops}, but these frames can be read only once.", "Pass a list or a renderer.")


def _check_target(target: Path, *, folder: bool) -> None:
    if not folder and target.is_dir():
        raise InputError("path", f"'{target}' is a folder.", "Give the name of a file.")
    if folder and target.exists() and not _is_png_folder(target):
        raise InputError("path", f"'{target}' exists and holds other things.", "Give the name of a new folder.")


def _is_png_folder(target: Path) -> bool:
    return target.is_dir() and all(FRAME_PATTERN.fullmatch(item.name) for item in target.iterdir())


@contextmanager
def _appears_when_complete(target: Path) -> Iterator[Path]:
    """A temporary name beside ``target`` that takes its place at the end, or is removed."""
    unfinished = target.with_name(f".{target.name[:100]}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield unfinished
        _put_in_place(unfinished, target)
    finally:
        _remove(unfinished)


def _put_in_place(unfinished: Path, target: Path) -> None:
    if not target.is_dir():
        unfinished.replace(target)
        return
    old = unfinished.with_suffix(".old")
    target.rename(old)
    try:
        unfinished.rename(target)
    except BaseException:
        old.rename(target)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class _Source(Iterator[torch.Tensor]):
    """The frames, checked, counted and repeated; holds at most the very first one (to learn the size)."""

    def __init__(
        self, frames: Iterable[torch.Tensor], loops: int, count: int | None, on_frame: Callable[[int], None] | None
    ) -> None:
        self._frames, self._loops, self._count, self._on_frame = frames, loops, count, on_frame
        self._steps = self._run()

    def __enter__(self) -> _Source:
        first = next(iter_once := iter(self._frames), None)
        if first is None:
            raise InputError("frames", "there are none.")
        self._open: Iterator[torch.Tensor] | None = iter_once
        self._first: torch.Tensor | None = as_float(first)
        self.height, self.width = self._first.shape[:2]
        return self

    def __exit__(self, *_: object) -> None:
        # Generators are closed at once, so that a renderer frees its memory before the error is shown.
        self._steps.close()

    def __next__(self) -> torch.Tensor:
        return next(self._steps)

    def _run(self) -> Iterator[torch.Tensor]:
        done = 0
        for repeat in range(self._loops):
            in_this_loop = 0
            for frame in self._pass(repeat):
                in_this_loop += 1
                if self._count is not None and in_this_loop > self._count:
                    raise InputError("frames", f"more than the expected {self._count} came.")
                if tuple(frame.shape) != (self.height, self.width, 3):
                    raise InputError(
                        "frames",
                        f"number {done} is {frame.shape[1]}x{frame.shape[0]}, the first {self.width}x{self.height}.",
                    )
                yield frame
                del frame
                done += 1
                if self._on_frame is not None:
                    self._on_frame(done)
            if self._count is not None and in_this_loop != self._count:
                raise InputError("frames", f"{in_this_loop} came, {self._count} were expected.")

    def _pass(self, repeat: int) -> Iterator[torch.Tensor]:
        if repeat == 0:
            first, self._first = self._first, None
            yield first
            del first
            rest, self._open = self._open, None
        else:
            rest = iter(self._frames)
        # No name here for a frame: it would keep the last one alive while the next is made.
        yield from map(as_float, rest)
