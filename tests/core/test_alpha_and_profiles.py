"""Alpha, colour profiles and orientation of picture files: read once, for pictures, masks and frames alike."""

from __future__ import annotations

import av
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from t2c_core.cli.main import main
from t2c_core.errors import InputError
from t2c_core.io.images import load_image, read_mask, read_picture
from t2c_core.loop.read import probe, read_frames
from t2c_core.loop.write import FORMATS, EncodeSettings, write_loop
from tests.core.written_loops import loop, to_bytes


def rgba(height: int = 20, width: int = 30) -> np.ndarray:
    """A photograph, opaque on the left, half transparent in a strip, hidden magenta on the right."""
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 4), dtype=np.uint8)
    pixels[..., 3] = 255
    pixels[:, 15:20, 3] = 128
    pixels[:, 20:] = (255, 0, 255, 0)
    return pixels


def wide_gamut() -> bytes:
    """An ICC profile with the curve of Display P3 and red and blue exchanged: what ignores it is far off."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(profile[128:132], "big")
    tags = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * count, 12)}
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    profile[red + 4 : red + 12], profile[blue + 4 : blue + 12] = (
        profile[blue + 4 : blue + 12],
        profile[red + 4 : red + 12],
    )
    return bytes(profile).replace(b"s\0R\0G\0B", b"o\0t\0h\0e").replace(b"sRGB", b"othe")


def test_alpha_is_carried_and_hidden_colours_are_gone(tmp_path):
    pixels = rgba()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image, alpha, note = read_picture(tmp_path / "a.png")
    assert alpha is not None and note == ""
    assert np.array_equal((alpha[0].numpy() * 255).round(), pixels[..., 3])
    found = (image[0].numpy() * 255).round()
    assert np.array_equal(found[:, :20], pixels[:, :20, :3])
    assert np.array_equal(found[:, 20:], np.repeat(pixels[:, 19:20, :3], 10, axis=1))
    white = load_image(tmp_path / "a.png")[0]
    assert white[:, 20:].min() == 1
    assert torch.allclose(white[:, 17], image[0, :, 17] * 128 / 255 + 127 / 255, atol=1e-6)


def test_opaque_files_and_palettes(tmp_path):
    Image.fromarray(np.full((4, 5, 4), 255, np.uint8)).save(tmp_path / "opaque.png")
    assert read_picture(tmp_path / "opaque.png").alpha is None
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 2), 1)
    palette.save(tmp_path / "p.png", transparency=0)
    alpha = read_picture(tmp_path / "p.png").alpha
    assert alpha is not None and alpha.sum() == 1 and alpha[0, 2, 1] == 1
    small = read_picture(tmp_path / "p.png", longer_side=2).alpha
    assert small is not None and small.shape == (1, 2, 2)


def test_profiles_are_converted_to_srgb_and_it_is_said(tmp_path):
    Image.new("RGB", (6, 5), (250, 20, 10)).save(tmp_path / "a.png", icc_profile=wide_gamut())
    image, _, note = read_picture(tmp_path / "a.png")
    red, _, blue = image[0, 0, 0].tolist()
    assert blue > 0.9 and red < 0.2 and "to sRGB" in note and "a.png" in note
    (frame,) = read_frames(tmp_path / "a.png")
    assert np.array_equal(frame, (image[0].numpy() * 255).round())


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "CMYK"])
@pytest.mark.parametrize("profile", ["srgb", "damaged", "of other channels"])
def test_profiles_that_change_nothing(tmp_path, mode, profile):
    data = b"no profile" * 20 if profile == "damaged" else None
    if data is None:
        space = "LAB" if profile == "of other channels" else "sRGB"
        data = ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes()
    image = Image.fromarray(rgba()[:, :10]).convert("RGB").convert(mode)
    image.save(tmp_path / "a.tiff", icc_profile=data)
    found, _, note = read_picture(tmp_path / "a.tiff")
    assert np.array_equal((found[0].numpy() * 255).round(), np.asarray(image.convert("RGB")))
    assert ("cannot be used" in note) == (profile == "damaged")


def test_frames_and_their_size_are_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(rgba()).convert("RGB").save(tmp_path / "a.jpg", exif=exif)
    (frame,) = read_frames(tmp_path)
    assert frame.shape == (30, 20, 3) and probe(tmp_path)[:2] == (20, 30)


PAINTED = np.zeros((20, 30), bool)
PAINTED[5:12, 8:20] = True


def painted(kind: str) -> np.ndarray:
    """A file with alpha that means PAINTED."""
    pixels = rgba()
    if kind == "mask editor":
        pixels[:, 20:, :3] = 90
        pixels[..., 3] = np.where(PAINTED, 0, 255)
    elif kind == "black and white":
        pixels[:] = 0
        pixels[PAINTED] = 255
        pixels[14:18, 8:20, 3] = 255
    else:
        pixels[:] = (*{"white": (255, 255, 255), "red": (230, 30, 20)}[kind], 0)
        pixels[PAINTED, 3] = 255
    return pixels


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("white", "what is painted in it moves"),
        ("red", "what is painted in it moves"),
        ("black and white", "what is white in it moves"),
        ("mask editor", "what is transparent in it moves"),
    ],
)
def test_masks_are_found_where_the_file_holds_them(tmp_path, kind, said):
    Image.fromarray(painted(kind)).save(tmp_path / "m.png")
    mask, note = read_mask(tmp_path / "m.png", 20, 30)
    assert np.array_equal(mask[0].numpy(), PAINTED)
    assert said in note and "scaled" not in note
    assert "scaled from 30x20 to 15x10" in read_mask(tmp_path / "m.png", 10, 15)[1]


def transparent(height: int = 48, width: int = 64, soft: bool = True) -> np.ndarray:
    """Alpha [H, W] whose border crosses what moves in `loop`."""
    alpha = np.full((height, width), 255, np.uint8)
    alpha[:, 40:] = 0
    if soft:
        alpha[:, 36:40] = (204, 153, 102, 51)
    return alpha


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize(("name", "quality"), [("apng", 90), ("png", 90), ("webp", 100)])
def test_lossless_formats_keep_alpha_exactly(tmp_path, name, quality, soft):
    frames, _ = loop()
    alpha = transparent(soft=soft)
    encoding = EncodeSettings(format=name, quality=quality)
    path = write_loop(
        frames, tmp_path / f"a{FORMATS[name].suffix}", encoding, alpha=torch.from_numpy(alpha).float() / 255
    )
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found = []
    for file in files:
        with Image.open(file) as image:
            for index in range(getattr(image, "n_frames", 1)):
                image.seek(index)
                found.append(np.asarray(image.convert("RGBA")))
    shown = alpha > 0
    assert len(found) == len(frames)
    for frame, wanted in zip(found, to_bytes(frames), strict=True):
        assert np.array_equal(frame[..., 3], alpha)
        assert np.array_equal(frame[shown, :3], wanted[shown])


def test_webm_keeps_alpha(tmp_path):
    frames, _ = loop()
    alpha = transparent()
    path = write_loop(frames, tmp_path / "a.webm", EncodeSettings(format="webm"), alpha=torch.from_numpy(alpha) / 255)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.metadata["ALPHA_MODE"] == "1" and b"\x53\xc0\x81\x01" in path.read_bytes()
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        decoder.extradata = stream.codec_context.extradata
        found = [frame for packet in container.demux(stream) for frame in decoder.decode(packet)]
    assert len(found) == len(frames) and {frame.format.name for frame in found} == {"yuva420p"}
    for frame in found:
        levels = np.asarray(frame.planes[3]).reshape(-1, frame.planes[3].line_size)[:48, :64]
        assert np.abs(levels.astype(int) - alpha).mean() < 4
    assert len(list(read_frames(path))) == len(frames)


@pytest.mark.parametrize("name", ["mp4", "mp4-hq", "gif"])
def test_other_formats_lie_on_white(tmp_path, name):
    frames, _ = loop()
    alpha = torch.from_numpy(transparent()) / 255
    path = write_loop(frames, tmp_path / f"a{FORMATS[name].suffix}", EncodeSettings(format=name), alpha=alpha)
    for frame in read_frames(path):
        assert frame[:, 42:].min() >= 245


def test_alpha_of_another_size_is_refused(tmp_path):
    with pytest.raises(InputError, match="alpha: is"):
        write_loop(loop()[0], tmp_path / "a.webp", EncodeSettings(format="webp"), alpha=torch.ones(3, 4))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["webp", "gif"])
def test_the_command_line_keeps_transparency_or_says_so(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(rgba(48, 64)).save("a.png")
    Image.new("L", (64, 48), 255).save("m.png")
    command = ["animate", "a.png", "--mask", "m.png", "--direction", "left to right", "--frames", "4"]
    assert main([*command, "-o", f"a.{name}"]) == 0
    assert ("keeps no transparency" in capsys.readouterr().err) == (name == "gif")
    with Image.open(f"a.{name}") as image:
        image.seek(2)
        assert image.convert("RGBA").getpixel((50, 20))[3] == (0 if name == "webp" else 255)
