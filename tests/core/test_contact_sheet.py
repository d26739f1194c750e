from __future__ import annotations

import numpy as np
import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.loop.contact_sheet import WIDTH, contact_sheet


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


@pytest.mark.parametrize(("count", "chosen"), [(60, range(0, 60, 5)), (5, range(5)), (20, [0, 1, 3, 5, 6, 8, 10, 11])])
def test_evenly_spaced_frames_in_order(count, chosen):
    sheet = contact_sheet(iter(frames(count)))
    assert sheet.dtype == np.uint8 and sheet.shape[1:] == (WIDTH, 3)
    rows = -(-min(count, 12) // 4)
    assert shades(sheet, 4, rows)[: len(chosen)] == [40 + 3 * t for t in chosen]


def test_numbers_are_drawn_and_differ():
    sheet = contact_sheet([torch.full((80, 80, 3), 0.35)] * 2)
    left, right = sheet[:, :400], sheet[:, 400:800]
    assert (left > 200).any() and (right > 200).any() and not np.array_equal(left, right)


def test_no_frames():
    with pytest.raises(InputError):
        contact_sheet([])
