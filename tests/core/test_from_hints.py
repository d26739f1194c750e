"""What moves: masks found from hints, brush strokes, cut-outs and the overlay."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.hints import parse_hints, rasterise_strokes, to_pixels
from t2c_core.io.images import load_image, load_mask
from t2c_core.segment.from_hints import mask_from_hints
from t2c_core.segment.overlay import mask_overlay
from t2c_core.segment.strokes import PIN_RADIUS, add_move_strokes, apply_freeze_strokes, mask_from_strokes
from t2c_core.types import Arrow, MotionHints, Stroke

ASSETS = Path(__file__).resolve().parents[2] / "assets"
HINTS = MotionHints((Arrow(((0.15, 0.7), (0.5, 0.8), (0.85, 0.7))),), ((0.2, 0.2), (0.8, 0.15)))


def water_and_bank(height: int, width: int) -> tuple[torch.Tensor, np.ndarray]:
    """A blue, noisy, striped river below a wavy border, smooth brown earth above; and the true mask."""
    rng = np.random.default_rng(4)
    y, x = np.mgrid[:height, :width].astype(float)
    truth = y > height * (0.5 + 0.08 * np.sin(2 * np.pi * x / width))
    stripes = 0.12 * np.sin(y * 1.1) + 0.1 * rng.standard_normal((height, width))
    water = np.stack([0.2 + stripes, 0.4 + stripes, 0.7 + stripes], -1)
    earth = np.stack([0.45 + 0.1 * x / width, 0.32 + 0.05 * y / height, 0.2 + 0 * x], -1)
    earth = earth + 0.01 * rng.standard_normal(earth.shape)
    image = np.where(truth[..., None], water, earth).clip(0, 1)
    return torch.from_numpy(image).float()[None], truth


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


def found(image: torch.Tensor, hints: MotionHints, **options: float) -> np.ndarray:
    mask = mask_from_hints(image, hints, **options)
    assert mask.shape == image.shape[:3] and mask.dtype == torch.float32
    assert set(mask.unique().tolist()) <= {0.0, 1.0}
    return mask[0].numpy() > 0


# --- mask_from_hints --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("height", "width"),
    [
        (288, 288),
        (401, 231),
        (180, 401),
    ],
)
def test_one_arrow_and_two_pins_find_the_water(height, width):
    image, truth = water_and_bank(height, width)
    assert overlap(found(image, HINTS), truth) >= 0.9


RIVER = MotionHints(
    tuple(Arrow(((0.08, y), (0.36, y + 0.02), (0.64, y - 0.02), (0.92, y))) for y in (0.68, 0.8, 0.92)), HINTS.pins
)


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(288, 288), (401, 231), (180, 401), (96, 128)])
def test_three_arrows_and_two_pins_find_the_water(height, width):
    image, truth = water_and_bank(height, width)
    assert overlap(found(image, RIVER), truth) >= 0.9


def test_an_arrow_alone_finds_the_water():
    image, truth = water_and_bank(96, 128)
    assert overlap(found(image, MotionHints(HINTS.arrows)), truth) >= 0.8


@pytest.mark.slow
def test_half_precision_and_repetition_give_the_same_mask():
    image, _ = water_and_bank(70, 91)
    image = image.half()
    first = found(image, HINTS)
    assert (found(image, HINTS) == first).all()
    assert (found(image.float(), HINTS) == first).all()


@pytest.mark.slow
def test_strokes_have_the_last_word():
    image, truth = water_and_bank(96, 128)
    strokes = (Stroke(((0.3, 0.1), (0.6, 0.1)), 0.03), Stroke(((0.4, 0.9), (0.7, 0.9)), 0.03, "freeze"))
    hints = MotionHints(HINTS.arrows, HINTS.pins, strokes)
    mask = found(image, hints)
    drawn = rasterise_strokes(hints, 96, 128)
    assert mask[drawn == 1].all() and not truth[drawn == 1].any()
    assert not mask[drawn == 2].any() and truth[drawn == 2].all()


def test_feathered_freeze_strokes_fade_a_refined_mask_and_pins_are_left_to_the_flow():
    mask = torch.ones(1, 100, 100)
    hints = MotionHints(pins=((0.1, 0.1),), strokes=(Stroke(((0.5, 0.5),), 0.3, "freeze", 0.5),))
    faded = apply_freeze_strokes(mask, hints, pins=False)[0].numpy()
    away = np.hypot(*np.meshgrid(np.arange(100) - 49.5, np.arange(100) - 49.5))
    assert np.abs(faded - (1 - np.clip((30 - away) / 15, 0, 1))).max() < 1e-5
    assert apply_freeze_strokes(mask, hints)[0, 10, 10] == 0


@pytest.mark.slow
def test_only_parts_with_a_mark_survive():
    image, truth = water_and_bank(240, 320)
    image[:, :, 140:180] = torch.tensor([0.5, 0.34, 0.2])  # a dam cuts the river in two
    left = MotionHints(tuple(Arrow(((0.05, y), (0.38, y))) for y in (0.68, 0.8, 0.92)), ((0.2, 0.2), (0.5, 0.8)))
    mask = found(image, left)
    assert mask[:, 180:].sum() == 0
    assert overlap(mask[:, :140], truth[:, :140]) > 0.85
    both = MotionHints((*left.arrows, *(Arrow(((0.62, y), (0.95, y))) for y in (0.68, 0.8, 0.92))), left.pins)
    assert overlap(found(image, both)[:, 180:], truth[:, 180:]) > 0.85


@pytest.mark.slow
@pytest.mark.parametrize(("detail", "least"), [(0.25, 0.5), (2.0, 0.9)])
def test_detail_may_be_coarse_or_fine(detail, least):
    image, truth = water_and_bank(300, 400)
    mask = found(image, RIVER, detail=detail)
    assert overlap(mask, truth) >= least
    assert not (mask & ~truth).sum() > 0.025 * truth.sum()


@pytest.mark.parametrize("detail", [0.25, 4.0])
def test_the_limits_of_detail_are_allowed(detail):
    assert found(water_and_bank(24, 30)[0], HINTS, detail=detail).any()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 5), (9, 7), (3, 90)])
def test_tiny_images(height, width):
    image = torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(1))
    mask = found(image, MotionHints((Arrow(((0.1, 0.5), (0.9, 0.5))),)))
    assert mask[height // 2, width // 2]


def test_an_image_of_one_colour_is_no_mistake():
    assert found(torch.zeros(1, 40, 50, 3), HINTS).any()


@pytest.mark.parametrize(
    ("hints", "says"),
    [
        (MotionHints(), "say nothing of what moves"),
        (MotionHints(pins=((0.5, 0.5),)), "say nothing of what moves"),
        (MotionHints(strokes=(Stroke(((0.5, 0.5),), 0.1, "freeze"),)), "say nothing of what moves"),
        (MotionHints((Arrow(((1.2, 1.2), (1.4, 1.4))),)), "outside the image"),
        (
            MotionHints(HINTS.arrows, (), (Stroke(((0.0, 0.7), (1.0, 0.7)), 0.5, "freeze"),)),
            "under freeze strokes",
        ),
    ],
)
def test_what_says_nothing_is_refused(hints, says):
    with pytest.raises(InputError) as caught:
        mask_from_hints(water_and_bank(40, 50)[0], hints)
    assert caught.value.input == "hints"
    assert says in caught.value.problem


@cache
def stream() -> tuple[np.ndarray, MotionHints]:
    hints = parse_hints((ASSETS / "stream.hints.json").read_text(encoding="utf-8"))
    return found(load_image(ASSETS / "stream.jpg", longer_side=640), hints), hints


@pytest.mark.slow
def test_the_example_stream_covers_what_it_should():
    mask, _ = stream()
    drawn = load_mask(Path(__file__).parents[1] / "data" / "masks" / "stream.water.png", *mask.shape)
    truth = drawn[0].numpy() > 0.5
    assert overlap(mask, truth) > 0.75


@pytest.mark.slow
def test_the_example_stream_holds_every_arrow_and_no_pin():
    mask, hints = stream()
    for arrow in hints.arrows:
        for x, y in np.rint(to_pixels(arrow.points, *mask.shape)).astype(int):
            assert mask[y, x], arrow
    for pin in hints.pins:
        x, y = np.rint(to_pixels((pin,), *mask.shape)).astype(int)[0]
        assert not mask[y, x], pin


# --- strokes ----------------------------------------------------------------------------------------------------------


def test_strokes_alone_are_a_mask():
    move, freeze = Stroke(((0.1, 0.5), (0.9, 0.5)), 0.1), Stroke(((0.5, 0.1), (0.5, 0.9)), 0.05, "freeze")
    mask = mask_from_strokes(MotionHints(strokes=(move, freeze)), 41, 61)
    assert mask.shape == (1, 41, 61) and mask.dtype == torch.float32
    assert mask[0, 20, 15] == 1 and mask[0, 20, 45] == 1 and mask[0, 20, 30] == 0 and mask[0, 5, 15] == 0
    assert mask_from_strokes(MotionHints(strokes=(freeze, move)), 41, 61)[0, 20, 30] == 1


def test_without_move_strokes_nothing_moves():
    assert not mask_from_strokes(HINTS, 7, 5).any()
    assert not mask_from_strokes(MotionHints(strokes=(Stroke(((0.5, 0.5),), 0.5, "freeze"),)), 7, 5).any()


# --- cutting out ------------------------------------------------------------------------------------------------------


def test_freeze_strokes_and_pins_are_cut_out_of_a_given_mask():
    mask = torch.full((1, 100, 120), 0.75, dtype=torch.float16)
    before = mask.clone()
    hints = MotionHints(
        pins=((0.25, 0.25),),
        strokes=(Stroke(((0.5, 0.0), (0.5, 1.0)), 0.05, "freeze"), Stroke(((0.5, 0.5),), 0.03, "move")),
    )
    out = apply_freeze_strokes(mask, hints)
    assert out.dtype == torch.float32 and torch.equal(mask, before)
    assert set(out.unique().tolist()) == {0.0, 0.75}
    assert out[0, 24, 29] == 0 and out[0, 24, 29 + round(PIN_RADIUS * 120) + 2] == 0.75
    assert out[0, 10, 59] == 0 and out[0, 50, 59] == 0.75, "a later move stroke protects"


def test_cutting_adds_nothing_and_no_hints_change_nothing():
    mask = torch.rand(1, 9, 13, generator=torch.Generator().manual_seed(1))
    assert torch.equal(apply_freeze_strokes(mask, MotionHints()), mask)
    move = MotionHints(HINTS.arrows, (), (Stroke(((0.5, 0.5),), 0.3),))
    assert torch.equal(apply_freeze_strokes(mask, move), mask)


def test_move_strokes_are_added_to_a_mask_that_was_found():
    mask = torch.zeros(1, 100, 120, dtype=torch.float16)
    mask[:, :, 100:] = 0.75
    strokes = (Stroke(((0.5, 0.0), (0.5, 1.0)), 0.05), Stroke(((0.5, 0.5),), 0.03, "freeze"))
    out = add_move_strokes(mask, MotionHints(HINTS.arrows, (), strokes))
    assert out.dtype == torch.float32 and mask[0, 10, 59] == 0
    assert out[0, 10, 59] == 1 and out[0, 10, 110] == 0.75 and out[0, 10, 10] == 0
    assert out[0, 50, 59] == 0, "a later freeze stroke takes it back"
    assert torch.equal(add_move_strokes(mask, MotionHints(HINTS.arrows)), mask.float())


# --- the overlay ------------------------------------------------------------------------------------------------------


def test_the_overlay_tints_what_moves_and_darkens_what_stays():
    image, mask = torch.full((2, 21, 31, 3), 0.5), torch.zeros(2, 21, 31)
    mask[0, :, 15:] = 1
    out = mask_overlay(image, mask, opacity=0.4)
    assert out.shape == image.shape and out.dtype == torch.float32
    assert torch.allclose(out[0, 10, 3], torch.full((3,), 0.3), atol=1e-6)
    assert torch.allclose(out[0, 10, 22], 0.6 * 0.5 + 0.4 * torch.tensor([0.10, 0.55, 1.0]), atol=1e-6)
    assert (out[0, 10, 15] == 1).all(), "the border is white"
    assert torch.allclose(out[1], torch.tensor(0.3)), "the other picture has no mask"
    assert (image == 0.5).all()


def test_the_overlay_stays_within_range_for_soft_masks_in_half_precision():
    generator = torch.Generator().manual_seed(1)
    out = mask_overlay(
        torch.rand(1, 5, 3, 3, generator=generator).half(), torch.rand(1, 5, 3, generator=generator).half()
    )
    assert 0 <= out.min() <= out.max() <= 1
