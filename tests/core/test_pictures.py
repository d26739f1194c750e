"""Pictures from and to files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from t2c_core.errors import InputError
from t2c_core.io.images import load_image, load_mask, save_image


def levels(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 13), (31, 6)])
def test_eight_bits_go_there_and_back_without_loss(tmp_path, height, width):
    pixels = levels(height, width, 3)
    path = save_image(torch.from_numpy(pixels).float() / 255, tmp_path / "a.png")
    again = load_image(path)
    assert path == tmp_path / "a.png"
    assert again.shape == (1, height, width, 3) and again.dtype == torch.float32
    assert np.array_equal((again[0].numpy() * 255).round(), pixels)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_mask_is_written_in_grey_and_values_are_rounded_and_limited(tmp_path):
    save_image(torch.tensor([[-1.0, 0.5, 0.999, 7.0]]), tmp_path / "m.png")
    with Image.open(tmp_path / "m.png") as image:
        assert image.mode == "L"
        assert np.asarray(image).tolist() == [[0, 128, 255, 255]]


def test_half_precision_can_be_written(tmp_path):
    save_image(torch.full((3, 4, 3), 0.25, dtype=torch.float16), tmp_path / "h.png")
    assert load_image(tmp_path / "h.png").unique().item() == pytest.approx(64 / 255)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    target = save_image(torch.ones(2, 2, 3), tmp_path / "a.png")
    before = target.read_bytes()
    with pytest.raises(Exception, match=r".+"):
        save_image(torch.ones(2, 2, 7), target)
    with pytest.raises(ValueError, match="unknown file extension"):
        save_image(torch.ones(2, 2, 3), tmp_path / "a.nosuchkind")
    assert target.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_kind_of_image_becomes_rgb(tmp_path, mode):
    Image.fromarray(levels(6, 9, 3)).convert(mode).save(tmp_path / "x.tiff")
    image = load_image(tmp_path / "x.tiff")
    assert image.shape == (1, 6, 9, 3)
    assert 0 <= image.min() <= image.max() <= 1


def test_a_turned_photograph_stands_upright(tmp_path):
    image = Image.new("RGB", (20, 10))
    image.paste((255, 0, 0), (0, 0, 10, 10))  # the left half is red
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying, to be turned clockwise: left becomes top
    image.save(tmp_path / "turned.png", exif=exif)
    pixels = load_image(tmp_path / "turned.png")[0]
    assert pixels.shape == (20, 10, 3)
    assert pixels[:10, :, 0].min() == 1 and pixels[10:].max() == 0


@pytest.mark.parametrize(
    ("longer", "shape"), [(None, (30, 60)), (30, (15, 30)), (60, (30, 60)), (600, (30, 60)), (1, (1, 1))]
)
def test_images_are_made_smaller_never_larger(tmp_path, longer, shape):
    path = save_image(torch.full((30, 60, 3), 0.4), tmp_path / "a.png")
    image = load_image(path, longer_side=longer)
    assert tuple(image.shape[1:3]) == shape
    assert torch.allclose(image, torch.tensor(0.4), atol=1e-6)


@pytest.mark.parametrize("load", [load_image, lambda path: load_mask(path, 4, 4)], ids=["picture", "mask"])
@pytest.mark.parametrize("kind", ["missing", "text", "empty", "cut", "folder"])
def test_what_is_no_image_is_refused_by_name(tmp_path, load, kind, request):
    path = tmp_path / "some.png"
    if kind == "text":
        path.write_text("not a picture")
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "cut":
        save_image(torch.from_numpy(levels(40, 40, 3)).float() / 255, path)
        path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(InputError, match=r"some\.png") as caught:
        load(path)
    assert caught.value.input == request.node.callspec.id.split("-")[-1]


def test_a_mask_comes_at_the_size_asked_for(tmp_path):
    mask = torch.zeros(10, 20)
    mask[:, 10:] = 1
    path = save_image(mask, tmp_path / "m.png")
    same = load_mask(path, 10, 20)
    assert same.dtype == torch.float32 and torch.equal(same, mask[None])
    scaled = load_mask(path, 33, 41)
    assert scaled.shape == (1, 33, 41)
    assert 0 <= scaled.min() <= scaled.max() <= 1
    assert scaled[:, :, :18].max() == 0 and scaled[:, :, 23:].min() == 1


def test_a_small_file_that_claims_a_huge_picture_is_refused_unless_it_is_made_smaller(tmp_path):
    """130 megapixels of one colour took 3.7 GB."""
    file = tmp_path / "huge.gif"
    Image.new("P", (20, 10)).save(file)
    content = bytearray(file.read_bytes())
    content[6:10] = (13000).to_bytes(2, "little") + (10000).to_bytes(2, "little")
    file.write_bytes(content)
    with pytest.warns(Image.DecompressionBombWarning), pytest.raises(InputError, match="13000x10000; at most 67 mega"):
        load_image(file)
    with pytest.warns(Image.DecompressionBombWarning):
        assert load_image(file, longer_side=130).shape == (1, 100, 130, 3)
