"""Tidying masks: distances, holes, islands and soft edges with known answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from t2c_core.segment.refine import drop_small, feather_mask, grow_mask, refine_mask


def from_centre(height: int = 81, width: int = 95, y: int = 40, x: int = 50) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.hypot(rows - y, columns - x)


def disk(radius: float, **size: int) -> np.ndarray:
    return from_centre(**size) <= radius


def tensor(*masks: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(masks).astype(np.float32))


def soft_mask(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 3), (2, 33, 65), (1, 64, 16)])
def test_nothing_asked_for_changes_nothing(shape):
    mask = soft_mask(*shape)
    out = refine_mask(mask)
    assert torch.equal(out, mask)
    assert out.data_ptr() != mask.data_ptr()


def test_half_precision_and_values_out_of_range_become_a_mask():
    out = refine_mask(torch.tensor([[[-1.0, 0.25], [0.75, 3.0]]], dtype=torch.float16))
    assert out.dtype == torch.float32
    assert out.tolist() == [[[0.0, 0.25], [0.75, 1.0]]]


@pytest.mark.parametrize("option", ["grow", "feather", "fill_holes", "min_area"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (17, 9)])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_empty_and_full_masks_stay_so(option, shape, value):
    amount = {"grow": 2, "feather": 3, "fill_holes": 0.01, "min_area": 0.01}[option]
    mask = torch.full((1, *shape), value)
    before = mask.clone()
    assert torch.equal(refine_mask(mask, **{option: amount}), before)
    assert torch.equal(mask, before)
    if option == "grow":
        assert torch.equal(refine_mask(mask, grow=-amount), before)


@pytest.mark.parametrize("pixels", [1, 2, 5, 12])
def test_a_disk_grows_by_exactly_so_many_pixels(pixels):
    out = refine_mask(tensor(disk(15)), grow=pixels)[0].numpy() > 0
    r = from_centre()
    assert out[40, 50 + 15 + pixels] and not out[40, 50 + 15 + pixels + 1]
    assert out[40 - 15 - pixels, 50] and not out[40 - 15 - pixels - 1, 50]
    # On a slant the disk's own border is up to a pixel's diagonal away from the circle.
    assert out[r <= 15 + pixels - 1].all() and not out[r > 15 + pixels].any()


@pytest.mark.parametrize("pixels", [1, 2, 5, 12])
def test_a_disk_shrinks_by_exactly_so_many_pixels(pixels):
    out = refine_mask(tensor(disk(15)), grow=-pixels)[0].numpy() > 0
    r = from_centre()
    assert out[40, 50 + 15 - pixels] and not out[40, 50 + 15 - pixels + 1]
    assert out[r <= 15 - pixels].all() and not out[r > 15 - pixels + 1].any()


def test_shrinking_beyond_the_disk_leaves_nothing():
    assert not refine_mask(tensor(disk(6)), grow=-7).any()


def test_one_pixel_grows_into_a_disk():
    out = refine_mask(tensor(disk(0)), grow=3)[0].numpy() > 0
    assert (out == disk(3)).all()


def test_the_images_border_does_not_erode():
    half = np.zeros((30, 41), bool)
    half[:, :20] = True
    out = grow_mask(half, -4)
    assert out[:, :16].all() and not out[:, 16:].any()
    soft = feather_mask(half, 5)
    assert (soft[:, :14] == 1).all()
    assert (soft == soft[:1]).all(), "no row differs, also not the first and the last"


@pytest.mark.parametrize("pixels", [1.0, 4.0, 9.5])
def test_the_feather_lies_wholly_inside(pixels):
    solid = disk(20)
    out = refine_mask(tensor(solid), feather=pixels)[0].numpy()
    r = from_centre()
    assert (out[~solid] == 0).all() and (out[solid] > 0).all()
    assert (out[r <= 20 - pixels - 1] == 1).all()
    ray = out[40, 50:]
    assert (np.diff(ray) <= 0).all() and out.max() == 1
    ring = ray[20 - int(pixels) + 1 : 21]
    assert (np.diff(ring) < 0).all()


def test_the_feather_is_as_wide_as_it_says():
    solid = np.zeros((9, 40), bool)
    solid[:, 10:] = True
    out = feather_mask(solid, 7)[4]
    assert ((out > 0) & (out < 1)).sum() == 7
    assert out[10 + 3] == pytest.approx(0.5)


def test_holes_below_the_limit_are_filled():
    solid = disk(35)
    solid[30:34, 40:44] = False  # 16 pixels
    solid[45:55, 50:60] = False  # 100 pixels
    area = solid.size
    out = refine_mask(tensor(solid), fill_holes=50 / area)[0].numpy() > 0
    assert out[30:34, 40:44].all() and not out[45:55, 50:60].any()
    assert (out == solid).sum() == area - 16
    exactly = refine_mask(tensor(solid), fill_holes=100 / area)[0].numpy() > 0
    assert not exactly[45:55, 50:60].any(), "a hole of exactly the limit is not smaller than it"
    assert (refine_mask(tensor(solid), fill_holes=101 / area)[0].numpy() > 0).sum() == disk(35).sum()


def test_islands_below_the_limit_go():
    solid = disk(12)
    solid[2:5, 2:5] = True  # 9 pixels
    solid[70:80, 80:90] = True  # 100 pixels
    out = refine_mask(tensor(solid), min_area=10 / solid.size)[0].numpy() > 0
    assert not out[2:5, 2:5].any() and out[70:80, 80:90].all() and out[disk(12)].all()
    kept = refine_mask(tensor(solid), min_area=9 / solid.size)[0].numpy() > 0
    assert (kept == solid).all()
    assert not refine_mask(tensor(solid), min_area=1.0).any()


def test_parts_that_touch_at_a_corner_are_two():
    solid = np.zeros((8, 8), bool)
    solid[:2, :2] = True
    solid[2:6, 2:6] = True
    out = drop_small(solid, 10)
    assert out.sum() == 16 and out[2:6, 2:6].all()


def test_holes_are_filled_before_islands_are_dropped_and_growing_comes_last():
    ring = disk(6) & ~disk(5)
    size = ring.size
    out = refine_mask(tensor(ring), fill_holes=(disk(5).sum() + 1) / size, min_area=disk(6).sum() / size, grow=2)
    assert (out[0].numpy() > 0)[from_centre() <= 7].all()


def test_soft_masks_are_cut_at_one_half_when_anything_is_asked_for():
    mask = torch.tensor([[[0.0, 0.49, 0.5, 0.9]]])
    assert refine_mask(mask, min_area=1e-9).tolist() == [[[0.0, 0.0, 1.0, 1.0]]]


def test_each_mask_of_a_batch_is_treated_by_itself():
    masks = tensor(disk(5), disk(20), disk(40) * 0)
    options = {"grow": -2, "feather": 3.0, "fill_holes": 0.001, "min_area": 0.02}
    together = refine_mask(masks, **options)
    assert together.shape == masks.shape and together.dtype == torch.float32
    for i in range(3):
        assert torch.equal(together[i], refine_mask(masks[i : i + 1], **options)[0])
    assert not together[0].any() and together[1].any()
