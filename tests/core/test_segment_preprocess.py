"""How pictures are prepared for segmentation models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.segment.models.preprocess import parse_preprocessor, preprocess, remove_padding
from tests.core import tiny_segmenters as tiny

# How pictures are prepared

PROCESSORS = [
    ("SegformerImageProcessor", {"size": {"height": 48, "width": 80}}, True),
    ("Mask2FormerImageProcessor", {"size": {"shortest_edge": 60, "longest_edge": 120}, "size_divisor": 32}, False),
    ("OneFormerImageProcessor", {"size": {"shortest_edge": 60, "longest_edge": 70}}, False),
    ("GroundingDinoImageProcessor", {"size": {"shortest_edge": 60, "longest_edge": 200}}, False),
    ("ViTImageProcessor", {"size": {"height": 64, "width": 64}, "resample": 3}, True),
    ("BeitImageProcessor", {"size": {"height": 64, "width": 64}, "resample": 2, "do_center_crop": False}, True),
]


@pytest.mark.parametrize(("name", "given", "square"), PROCESSORS, ids=[p[0] for p in PROCESSORS])
def test_images_are_prepared_as_transformers_does(name: str, given: dict[str, Any], square: bool) -> None:
    import transformers

    kind = getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)
    extra = {"class_info_file": None, "num_text": None, "repo_path": None} if name.startswith("OneFormer") else {}
    try:
        processor = kind(**given, image_mean=tiny.MEAN, image_std=tiny.STD, **extra)
    except (ImportError, OSError, AttributeError, TypeError, ValueError) as error:
        pytest.skip(f"cannot be made here: {error}")
    pixels = np.random.default_rng(0).integers(0, 256, (100, 130, 3), np.uint8)
    how = {"task_inputs": ["semantic"]} if name.startswith("OneFormer") else {}
    wanted = processor(images=[pixels], return_tensors="pt", **how)["pixel_values"]
    settings = {**given, "image_mean": tiny.MEAN, "image_std": tiny.STD}
    image = torch.from_numpy(pixels.astype(np.float32) / 255)[None]
    found, inner = preprocess(image, parse_preprocessor(settings, square=square), torch.device("cpu"))
    assert found.shape[-2:] == inner == wanted.shape[-2:]
    # Theirs rounds to 8 bit in between.
    assert (found - wanted).abs().mean() < 0.02 and (found - wanted).abs().max() < 0.1


def test_numbers_flips_and_unscaled_values() -> None:
    red = torch.zeros(1, 10, 20, 3)
    red[..., 0] = 1.0
    plain = {"do_normalize": False, "size": 8}
    found, _ = preprocess(red, parse_preprocessor(plain, square=True), torch.device("cpu"))
    assert found.shape == (1, 3, 8, 8) and found[0, :, 4, 4].tolist() == pytest.approx([1, 0, 0])
    found, _ = preprocess(
        red, parse_preprocessor({**plain, "do_flip_channel_order": True}, square=False), torch.device("cpu")
    )
    assert found.shape == (1, 3, 8, 16) and found[0, :, 4, 4].tolist() == pytest.approx([0, 0, 1])
    found, _ = preprocess(red, parse_preprocessor({**plain, "do_rescale": False}, square=True), torch.device("cpu"))
    assert found.max() == pytest.approx(255)


def test_values_are_normalised_where_the_settings_say_so() -> None:
    def seen(**settings: Any) -> float:
        how = parse_preprocessor({"size": 8, **settings}, square=True)
        return float(preprocess(torch.full((1, 8, 8, 3), 0.5), how, torch.device("cpu"))[0][0, 0, 0, 0])

    assert seen() == pytest.approx(0.5), "MobileViT's"
    assert seen(image_mean=[0.25] * 3, image_std=[0.125] * 3) == pytest.approx(2.0)
    assert seen(image_mean=[0.25] * 3, image_std=[0.5] * 3, do_normalize=False) == pytest.approx(0.5)
    assert seen(do_normalize=True) == pytest.approx((0.5 - 0.485) / 0.229)


def test_sizes_that_older_files_say_elsewhere_or_not_at_all() -> None:
    def size(settings: dict[str, Any], square: bool = False) -> tuple[int, int]:
        return parse_preprocessor(settings, square=square).size(1000, 4000)

    assert size({"size": 512, "max_size": 1024}) == size({"size": {"shortest_edge": 512}, "max_size": 1024})
    assert size({"size": {"shortest_edge": 512}, "max_size": 1024}) == (256, 1024)
    assert size({"size": {"shortest_edge": 512, "longest_edge": 2048}, "max_size": 9}) == (512, 2048)
    assert size({}) == (333, 1333) and size({}, square=True) == (512, 512), "never the whole of a large picture"
    assert size({"do_resize": False}) == (1000, 4000)
    how = parse_preprocessor({"rescale_factor": 1 / 127.5, "size": 8, "do_normalize": False}, square=True)
    assert preprocess(torch.ones(1, 8, 8, 3), how, torch.device("cpu"))[0].mean() == pytest.approx(2.0)


def test_padding_is_taken_off_where_it_is() -> None:
    how = parse_preprocessor({}, square=True, longest=64, pad_to=64)
    values, inner = preprocess(torch.rand(1, 30, 80, 3), how, torch.device("cpu"))
    assert inner == (24, 64) and values.shape == (1, 3, 64, 64) and (values[:, :, 24:] == 0).all()
    y = torch.arange(16.0)[:, None].expand(16, 16)[None]
    part = remove_padding(y, how, inner)
    assert part.shape == (1, 6, 16)
    assert part[0, :, 0].tolist() == pytest.approx(list(range(6)), abs=1e-4)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"image_mean": [0.5] * 3, "image_std": [0.0, 1, 1]}, "image_mean and image_std"),
        ({"image_mean": [float("nan")] * 3}, "image_mean and image_std"),
        ({"size": {"height": 100_000, "width": 5}}, "asks for images of"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_preprocessor(settings, square=True)
