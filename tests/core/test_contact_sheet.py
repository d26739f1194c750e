from __future__ import annotations

import numpy as np
import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.loop.contact_sheet import contact_sheet, evenly_spaced


def frames(count: int) -> list[np.ndarray]:
    return [np.full((40, 60, 3), 40 + 3 * t, np.uint8) for t in range(count)]


def shades(sheet: np.ndarray, columns: int, rows: int) -> list[int]:
    """The grey at the centre of every tile, row by row."""
    height, width = sheet.shape[:2]
    return [
        int(sheet[round((r + 0.5) * height / rows), round((c + 0.5) * width / columns), 0])
        for r in range(rows)
        for c in range(columns)
    ]


def test_evenly_spaced_around_the_loop():
    assert evenly_spaced(60, 12) == list(range(0, 60, 5))
    assert evenly_spaced(5, 12) == [0, 1, 2, 3, 4]
    assert evenly_spaced(7, 3) == [0, 2, 4]


@pytest.mark.parametrize("lazy", [False, True])
def test_chosen_frames_in_order(lazy):
    source = frames(60)
    sheet = contact_sheet(iter(source) if lazy else source, columns=4, count=12, width=900)
    assert sheet.dtype == np.uint8 and sheet.shape[1:] == (900, 3)
    assert shades(sheet, 4, 3) == [40 + 3 * t for t in range(0, 60, 5)]


def test_tensors_and_fewer_frames_than_asked_for():
    sheet = contact_sheet([torch.full((30, 30, 3), 0.5), torch.full((30, 30, 3), 1.0)], columns=4, width=400)
    assert {128, 255} <= set(np.unique(sheet[..., 0]))


def test_numbers_are_drawn_and_differ():
    sheet = contact_sheet([np.full((80, 80, 3), 90, np.uint8)] * 2, columns=2, count=2, width=400)
    left, right = sheet[:, :200], sheet[:, 200:]
    assert (left > 200).any() and (right > 200).any() and not np.array_equal(left, right)


def test_outline_of_the_mask():
    mask = torch.zeros(1, 40, 60)
    mask[:, 10:30, 20:40] = 1
    plain, outlined = (contact_sheet(frames(2), columns=2, width=400, mask=m) for m in (None, mask))
    changed = (plain != outlined).any(-1)
    assert changed.any() and changed.mean() < 0.2


def test_bad_input():
    with pytest.raises(InputError):
        contact_sheet([])
    with pytest.raises(InputError):
        contact_sheet(frames(3), columns=0)
    with pytest.raises(InputError):
        contact_sheet(frames(3), count=0)
    with pytest.raises(InputError):
        contact_sheet(frames(3), width=10)
    with pytest.raises(InputError):
        contact_sheet(frames(3), mask=np.zeros((4, 4)))
