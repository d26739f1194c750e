from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image

from t2c_core.errors import InputError
from t2c_core.loop.read import LoopFile, probe, read_frames
from t2c_core.loop.write import FORMATS, EncodeSettings, write_loop


def frames(count: int = 6) -> list[torch.Tensor]:
    ramp = torch.linspace(0, 1, 40)[None, :, None].expand(24, -1, 3)
    return [torch.roll(ramp, 4 * t, 1) for t in range(count)]


@pytest.mark.parametrize("name", FORMATS)
def test_order_and_probe(tmp_path, name):
    path = write_loop(frames(), tmp_path / f"a{FORMATS[name].suffix}", EncodeSettings(format=name, frame_rate=20))
    found = list(read_frames(path))
    for t, frame in enumerate(found):
        distances = [np.abs(frame / 255.0 - other.numpy()).mean() for other in frames()]
        assert int(np.argmin(distances)) == t
    assert probe(path) == (40, 24, 6, None if name == "png" else Fraction(20))


@pytest.mark.parametrize("name", FORMATS)
def test_loop_file_can_be_read_again(tmp_path, name):
    opened = LoopFile(write_loop(frames(), tmp_path / f"a{FORMATS[name].suffix}", EncodeSettings(format=name)))
    first, second = list(opened), list(opened)
    assert len(opened) == len(first) == 6
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_folder_is_read_in_the_order_of_names(tmp_path):
    for value in (30, 10, 20):
        Image.new("L", (5, 4), value).save(tmp_path / f"{value}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    assert [int(f[0, 0, 0]) for f in read_frames(tmp_path)] == [10, 20, 30]
    assert probe(tmp_path) == (5, 4, 3, None)


def test_a_still_image_is_one_frame(tmp_path):
    Image.new("RGB", (5, 4), (1, 2, 3)).save(tmp_path / "a.png")
    assert [f.tolist()[0][0] for f in read_frames(tmp_path / "a.png")] == [[1, 2, 3]]
    assert probe(tmp_path / "a.png") == (5, 4, 1, None)


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif", ".webp", ".png"])
@pytest.mark.parametrize("read", [probe, lambda path: list(read_frames(path))])
def test_unreadable_files(tmp_path, suffix, read):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(InputError, match="does not exist"):
        read(path)
    path.write_bytes(b"this is no picture at all" * 20)
    with pytest.raises(InputError, match="cannot be read"):
        read(path)


def test_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="no pictures"):
        list(read_frames(tmp_path))


@pytest.mark.parametrize("name", ["gif", "webp", "apng"])
def test_cut_off_files(tmp_path, name):
    path = write_loop(frames(), tmp_path / f"a{FORMATS[name].suffix}", EncodeSettings(format=name))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="cannot be read"):
        list(read_frames(path))


@pytest.mark.parametrize(
    ("height", "tag", "matrix"), [(64, None, 601), (720, None, 709), (64, 709, 709), (64, 601, 601)]
)
def test_the_matrix_of_video_is_its_tag_or_goes_by_its_size(tmp_path, height, tag, matrix):
    red = np.full((height, 64, 3), (200, 40, 40), np.uint8)
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, height, "yuv420p"
        frame = av.VideoFrame.from_ndarray(red).reformat(format="yuv420p", dst_colorspace=f"ITU{matrix}")
        frame.colorspace = stream.codec_context.colorspace = {None: 2, 709: 1, 601: 6}[tag]
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    (found,) = read_frames(tmp_path / "a.mp4")
    assert np.abs(found.astype(int) - red).max() <= 3
