"""Writing takes one frame at a time, leaves nothing unfinished behind, and refuses what it cannot write."""

from __future__ import annotations

import weakref

import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.loop.read import probe
from t2c_core.loop.write import FORMATS, EncodeSettings, write_loop
from tests.core.written_loops import loop, settings, target


class Watched:
    """Frames made on demand; remembers how many were alive at once."""

    def __init__(self, count: int) -> None:
        self.count, self.alive, self.most = count, 0, 0

    def _gone(self) -> None:
        self.alive -= 1

    def __iter__(self):
        for t in range(self.count):
            frame = torch.rand(32, 48, 3, generator=torch.Generator().manual_seed(t))
            self.alive += 1
            self.most = max(self.most, self.alive)
            weakref.finalize(frame, self._gone)
            yield frame
            del frame


@pytest.mark.parametrize("name", FORMATS)
def test_frames_are_taken_one_at_a_time(tmp_path, name):
    watched = Watched(30)
    write_loop(watched, target(tmp_path, name), settings(name))
    assert watched.most <= 2 and watched.alive == 0


@pytest.mark.parametrize("name", FORMATS)
def test_on_frame_counts_as_it_goes(tmp_path, name):
    given, seen = [], []

    def frames():
        for t in range(12):
            given.append(t)
            yield torch.full((16, 16, 3), t / 12)

    def on_frame(done: int) -> None:
        seen.append((done, len(given)))

    write_loop(frames(), target(tmp_path, name), settings(name), on_frame=on_frame)
    assert seen == [(t + 1, t + 1) for t in range(12)]


class Interrupt(BaseException):
    pass


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("where", ["frames", "on_frame"])
@pytest.mark.parametrize("older", [False, True])
def test_an_interrupt_leaves_nothing_and_keeps_the_older_file(tmp_path, name, where, older):
    frames, _ = loop(32, 32, 6)
    path = target(tmp_path, name)
    if older:
        write_loop(frames, path, settings(name))
    before = snapshot(tmp_path)

    def failing():
        yield from frames[:4]
        raise Interrupt

    def stop(done: int) -> None:
        if done == 3:
            raise Interrupt

    with pytest.raises(Interrupt):
        if where == "frames":
            write_loop(failing(), path, settings(name))
        else:
            write_loop(frames, path, settings(name), on_frame=stop)
    assert snapshot(tmp_path) == before


def snapshot(folder) -> dict[str, bytes | None]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


@pytest.mark.parametrize("name", FORMATS)
def test_a_finished_file_replaces_the_older_one(tmp_path, name):
    path = target(tmp_path, name)
    write_loop(loop(count=9)[0], path, settings(name))
    write_loop(loop(count=4)[0], path, settings(name))
    assert probe(path).frames == 4 and len(list(tmp_path.iterdir())) == 1


def test_a_folder_with_other_things_is_refused(tmp_path):
    (tmp_path / "holiday.txt").write_text("keep")
    with pytest.raises(InputError, match="other things"):
        write_loop(loop()[0], tmp_path, EncodeSettings(format="png"))
    with pytest.raises(InputError, match="is a folder"):
        write_loop(loop()[0], tmp_path)
    assert snapshot(tmp_path) == {"holiday.txt": b"keep"}


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"format": "avi"}, "format"),
        ({"quality": 0}, "quality"),
        ({"quality": 101}, "quality"),
        ({"frame_rate": 0}, "frame_rate"),
        ({"frame_rate": float("nan")}, "frame_rate"),
        ({"frame_rate": 1e6}, "frame_rate"),
        ({"loops": 0}, "loops"),
        ({"loops": 2, "format": "gif"}, "loops"),
    ],
)
def test_bad_settings(tmp_path, arguments, word):
    with pytest.raises(InputError) as caught:
        write_loop(loop()[0], tmp_path / "a.mp4", EncodeSettings(**{"format": "mp4"} | arguments))
    assert caught.value.input == word and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [3, 9])
def test_another_number_of_frames_than_promised(tmp_path, count):
    with pytest.raises(InputError) as caught:
        write_loop(loop()[0], tmp_path / "a.mp4", count=count)
    assert caught.value.input == "frames" and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [torch.zeros(8, 8, 4)],
        [torch.zeros(8, 8, 3), torch.zeros(8, 9, 3)],
        [torch.full((8, 8, 3), float("nan"))],
        [torch.zeros(1, 8, 8, 3)],
    ],
)
def test_bad_frames(tmp_path, frames):
    with pytest.raises(InputError) as caught:
        write_loop(frames, tmp_path / "a.mp4")
    assert caught.value.input == "frames" and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "width"), [("mp4", 16386), ("webm", 65536), ("webp", 16384), ("gif", 65536)])
def test_images_beyond_the_formats_limit(tmp_path, name, width):
    with pytest.raises(InputError) as caught:
        write_loop([torch.zeros(2, width, 3)] * 2, target(tmp_path, name), settings(name))
    assert caught.value.input == "format" and list(tmp_path.iterdir()) == []


def test_a_generator_cannot_be_repeated(tmp_path):
    with pytest.raises(InputError, match="only once"):
        write_loop(iter(loop()[0]), tmp_path / "a.mp4", EncodeSettings(loops=2))
