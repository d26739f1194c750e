"""What is written is read back: every format, its pixels, its times and its texts."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from t2c_core.loop.read import probe, read_frames
from t2c_core.loop.write import FORMATS, EncodeSettings, as_rate, write_loop
from t2c_core.loop.writers.gif import gif_delay
from tests.core.written_loops import image, loop, psnr, settings, target, to_bytes

VIDEOS = [name for name, kind in FORMATS.items() if kind.video]
LOSSLESS = ["apng", "png"]


@pytest.mark.parametrize("name", FORMATS)
def test_exact_number_and_size_of_frames(tmp_path, name):
    frames, _ = loop()
    path = write_loop(frames, target(tmp_path, name), settings(name, frame_rate=25))
    found = list(read_frames(path))
    assert len(found) == len(frames) == probe(path).frames
    assert all(f.shape == (48, 64, 3) and f.dtype == np.uint8 for f in found)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("name", FORMATS)
def test_equal_frames_are_not_merged(tmp_path, name):
    frames, _ = loop(count=2)
    frames = [frames[0], frames[0], frames[0], frames[1], frames[1]]
    path = write_loop(frames, target(tmp_path, name), settings(name, frame_rate=20))
    found = np.stack(list(read_frames(path))).astype(int)
    assert len(found) == 5
    assert np.abs(found[1] - found[0]).max() <= 3 and np.abs(found[3] - found[2]).max() > 20
    if name != "png":
        assert probe(path).rate == 20


@pytest.mark.parametrize(
    ("name", "quality", "least"),
    [
        ("mp4", 90, 38),
        ("mp4-hq", 90, 45),
        ("mp4-hq", 100, 52),
        ("webm", 90, 36),
        ("webp", 90, 38),
        pytest.param("gif", 90, 27, marks=pytest.mark.slow),
    ],
)
def test_decoded_pixels_match_the_source(tmp_path, name, quality, least):
    frames, _ = loop(96, 128)
    path = write_loop(frames, target(tmp_path, name), EncodeSettings(format=name, quality=quality))
    found, wanted = np.stack(list(read_frames(path))), to_bytes(frames)
    assert psnr(found, wanted) > least
    assert np.abs((found.astype(float) - wanted).mean(axis=(0, 1, 2))).max() < 0.5, "a colour cast"


@pytest.mark.slow
def test_the_dither_of_gif_keeps_local_averages(tmp_path):
    frames, _ = loop(96, 128)
    found = read_frames(write_loop(frames, tmp_path / "a.gif", EncodeSettings(format="gif")))
    blurred = (np.stack([cv2.GaussianBlur(np.float32(f), (0, 0), 2.5) for f in s]) for s in (found, to_bytes(frames)))
    assert psnr(*blurred) > 38


@pytest.mark.parametrize(("name", "quality"), [("apng", 1), ("png", 1), ("webp", 100)])
def test_lossless_formats_are_bit_exact(tmp_path, name, quality):
    frames, _ = loop(33, 35)
    path = write_loop(frames, target(tmp_path, name), EncodeSettings(format=name, quality=quality))
    assert np.array_equal(np.stack(list(read_frames(path))), to_bytes(frames))


@pytest.mark.parametrize("name", ["mp4", "mp4-hq", "webm"])
def test_pure_colours_keep_their_value(tmp_path, name):
    colours = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 0, 0], [0.5, 0.5, 0.5]])
    frames = [colours.repeat_interleave(16, 0)[None].expand(32, -1, -1)] * 3
    path = write_loop(frames, target(tmp_path, name), EncodeSettings(format=name, quality=95))
    found = next(read_frames(path))[16, 8::16].astype(int)
    assert np.abs(found - (colours * 255).round().int().numpy()).max() <= 3


@pytest.mark.parametrize("name", [pytest.param("gif", marks=pytest.mark.slow), "webp", "apng"])
def test_still_pixels_never_flicker(tmp_path, name):
    frames, moves = loop(64, 64, 6)
    path = write_loop(frames, target(tmp_path, name), EncodeSettings(format=name, quality=60))
    found = np.stack(list(read_frames(path)))
    assert np.array_equal(found[:, ~moves], np.broadcast_to(found[:1, ~moves], found[:, ~moves].shape))
    assert (found[1:, moves] != found[:1, moves]).any()


@pytest.mark.parametrize("name", ["mp4", "mp4-hq"])
def test_still_parts_of_h264_hardly_drift(tmp_path, name):
    frames, moves = loop(128, 128, 24)
    path = write_loop(frames, target(tmp_path, name), settings(name))
    found = np.stack(list(read_frames(path))).astype(float)
    assert np.abs(found - found[0])[:, ~moves].mean() < 0.3


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("size", [(37, 53), (1, 1), (2, 19)])
def test_odd_sizes(tmp_path, name, size):
    frames = [torch.rand(*size, 3, generator=torch.Generator().manual_seed(t)) for t in range(3)]
    path = write_loop(frames, target(tmp_path, name), settings(name))
    expected = tuple(s + s % 2 for s in size) if name == "mp4" else size
    found = list(read_frames(path))
    assert [f.shape[:2] for f in found] == [expected] * 3
    assert probe(path)[:3] == (expected[1], expected[0], 3)


def test_padding_of_odd_mp4_repeats_the_edge(tmp_path):
    frames = [torch.from_numpy(image(37, 53))] * 2
    found = next(read_frames(write_loop(frames, tmp_path / "a.mp4", EncodeSettings(quality=100)))).astype(int)
    assert np.abs(found[:, 53] - found[:, 52]).mean() < 4 and np.abs(found[37] - found[36]).mean() < 4
    assert psnr(found[:37, :53], to_bytes(frames)[0]) > 36


@pytest.mark.parametrize("rate", [24, 30, Fraction(30000, 1001), 12.5, 60])
@pytest.mark.parametrize("name", ["mp4", "mp4-hq", "webm", "apng", "webp"])
def test_exact_rate(tmp_path, name, rate):
    frames, _ = loop(16, 16, 12)
    path = write_loop(frames, target(tmp_path, name), settings(name, frame_rate=rate))
    found = probe(path).rate
    assert found == Fraction(rate) or (name == "webp" and abs(found / Fraction(rate) - 1) < Fraction(1, 500))


@pytest.mark.parametrize("name", VIDEOS)
def test_frames_are_evenly_timed_and_the_last_lasts(tmp_path, name):
    frames, _ = loop(32, 32, 10)
    path = write_loop(frames, target(tmp_path, name), settings(name, frame_rate=25))
    with av.open(str(path)) as container:
        times = [float(f.pts * f.time_base) for f in container.decode(video=0)]
        assert container.duration == pytest.approx(400_000, abs=1500)
    assert np.allclose(times, np.arange(10) / 25, atol=1e-3)


@pytest.mark.parametrize(("rate", "delay"), [(30, 3), (25, 4), (24, 4), (60, 2), (100, 2), (10, 10), (12, 8)])
def test_gif_takes_the_nearest_playable_delay(tmp_path, rate, delay):
    assert gif_delay(Fraction(rate)) == delay
    frames, _ = loop(16, 16, 3)
    path = write_loop(frames, tmp_path / "a.gif", settings("gif", frame_rate=rate))
    assert probe(path).rate == Fraction(100, delay)


@pytest.mark.parametrize("name", ["gif", "webp", "apng"])
def test_loops_for_ever(tmp_path, name):
    frames, _ = loop()
    with Image.open(write_loop(frames, target(tmp_path, name), settings(name))) as opened:
        assert opened.info["loop"] == 0 and opened.n_frames == len(frames) and opened.is_animated


@pytest.mark.parametrize(
    ("name", "pixels", "profile"), [("mp4", "yuv420p", "High"), ("mp4-hq", "yuv444p10le", "High 4:4:4")]
)
def test_mp4_is_tagged_faststart_and_has_one_group_of_images(tmp_path, name, pixels, profile):
    frames, _ = loop(32, 32, 40)
    path = write_loop(frames, tmp_path / "a.mp4", settings(name))
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert context.pix_fmt == pixels and profile in context.profile
        assert context.color_range == 1 and context.colorspace == context.color_primaries == context.color_trc == 1
        assert [p.is_keyframe for p in container.demux(video=0) if p.size].count(True) == 1
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("name", VIDEOS)
def test_loops_repeat_a_restartable_iterable(tmp_path, name):
    frames, _ = loop(32, 32, 5)
    done: list[int] = []
    path = write_loop(frames, target(tmp_path, name), settings(name, loops=3), on_frame=done.append)
    found = np.stack(list(read_frames(path)))
    assert len(found) == 15 and done == list(range(1, 16))
    assert psnr(found[5:10], to_bytes(frames)) > 30


@pytest.mark.parametrize("name", ["mp4", "png", "apng", "mp4-hq"])
def test_metadata_is_kept(tmp_path, name):
    text = '{"nodes": "Wasser fließt"}'
    path = write_loop(loop()[0], target(tmp_path, name), settings(name), metadata={"workflow": text})
    if FORMATS[name].video:
        with av.open(str(path)) as container:
            assert container.metadata["workflow"] == text
    else:
        with Image.open(path / "frame_00000.png" if path.is_dir() else path) as opened:
            assert opened.info["workflow"] == text


def test_metadata_in_webp_webm_and_gif(tmp_path):
    frames, _ = loop()
    values = {"prompt": "{1}", "workflow": "{2}"}
    with Image.open(write_loop(frames, tmp_path / "a.webp", EncodeSettings(format="webp"), metadata=values)) as opened:
        assert opened.getexif()[0x0110] == "prompt:{1}" and opened.getexif()[0x010F] == "workflow:{2}"
    path = write_loop(frames, tmp_path / "a.webm", EncodeSettings(format="webm"), metadata=values)
    with av.open(str(path)) as container:
        assert {k.lower(): v for k, v in container.metadata.items()}["workflow"] == "{2}"
    path = write_loop(frames, tmp_path / "a.gif", settings("gif"), metadata=values)
    assert b"workflow:{2}" in path.read_bytes()


def test_half_precision_and_values_outside_are_accepted(tmp_path):
    frames = [torch.full((8, 8, 3), v, dtype=torch.float16) for v in (-0.5, 0.5, 1.5)]
    found = list(read_frames(write_loop(frames, tmp_path / "a.png", EncodeSettings(format="apng"))))
    assert [int(f[0, 0, 0]) for f in found] == [0, 128, 255]


def test_rates():
    assert as_rate(29.97) == Fraction(30000, 1001) and as_rate(23.976) == Fraction(24000, 1001)
    assert as_rate(30) == 30 and as_rate(12.5) == Fraction(25, 2)
    assert as_rate(Fraction(60000, 1001)) == Fraction(60000, 1001)


def test_higher_quality_is_better_and_larger(tmp_path):
    frames, _ = loop(64, 96)
    wanted = to_bytes(frames)
    for name in ("mp4", "mp4-hq", "webm", "webp"):
        files = [
            write_loop(frames, tmp_path / f"{q}-{name}{FORMATS[name].suffix}", EncodeSettings(format=name, quality=q))
            for q in (30, 95)
        ]
        low, high = (psnr(np.stack(list(read_frames(f))), wanted) for f in files)
        assert high > low + 1 and files[1].stat().st_size > files[0].stat().st_size
