"""Things in the fluid that stand out from it by their colour stay still; what is common in it moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from t2c_core.segment.fluid import segment_fluid
from t2c_core.segment.outliers import colour_outliers
from t2c_core.segment.settings import MaskSettings
from t2c_core.types import Arrow, MotionHints, Stroke

H, W = 200, 300
FLUID = np.ones((H, W), bool)


def water(seed: int = 0) -> np.ndarray:
    """[H, W, 3]: greyish blue with noise, brighter to the right, a tenth of it in specks of white foam."""
    rng = np.random.default_rng(seed)
    rgb = np.array([0.25, 0.35, 0.45]) + 0.02 * rng.standard_normal((H, W, 1)) + np.linspace(0, 0.15, W)[None, :, None]
    foam = rng.random((H // 4, W // 4)).repeat(4, 0).repeat(4, 1) < 0.1
    rgb[foam] = 0.92
    return rgb.clip(0, 1).astype(np.float32)


@pytest.mark.parametrize("colour", [(0.8, 0.1, 0.1), (0.08, 0.05, 0.03), (1.0, 0.95, 0.4)], ids=["leaf", "post", "sun"])
def test_a_thing_of_another_colour_is_found_and_foam_is_not(colour: tuple[float, ...]) -> None:
    rgb = water()
    rgb[80:100, 150:156] = colour
    found = colour_outliers(rgb, FLUID)
    assert found[80:100, 150:156].all()
    found[70:110, 140:166] = False
    assert found.mean() < 0.002
    assert colour_outliers(water(), FLUID).mean() < 0.002


def test_only_the_fluid_is_judged() -> None:
    rgb = water()
    rgb[:80] = (0.8, 0.1, 0.1)
    fluid = FLUID.copy()
    fluid[:80] = False
    assert not colour_outliers(rgb, fluid)[84:].any()
    assert not colour_outliers(rgb, np.zeros_like(fluid)).any()


@pytest.mark.slow
def test_the_mask_leaves_it_out_but_for_move_strokes_and_when_asked() -> None:
    rgb = water()
    rgb[95:105, 150:160] = (0.8, 0.1, 0.1)
    image = torch.from_numpy(rgb)[None]
    hints = MotionHints((Arrow(((0.1, 0.3), (0.9, 0.3))), Arrow(((0.1, 0.7), (0.9, 0.7)))))
    mask = segment_fluid(image, hints=hints).mask[0]
    assert mask.mean() > 0.9 and not mask[95:105, 150:160].any()
    kept = segment_fluid(image, hints=hints, settings=MaskSettings(freeze_outliers=False)).mask[0]
    assert kept[95:105, 150:160].min() > 0.9
    across = MotionHints((*hints.arrows, Arrow(((0.3, 0.5), (0.7, 0.5)))))
    assert segment_fluid(image, hints=across).mask[0, 95:105, 150:160].min() > 0.9
    stroke = MotionHints(hints.arrows, strokes=(Stroke(((155 / W, 0.5),), 0.05),))
    assert segment_fluid(image, hints=stroke).mask[0, 95:105, 150:160].min() > 0.9
    given = segment_fluid(image, mask=torch.ones(1, H, W), settings=MaskSettings("mask")).mask
    assert given[0, 95:105, 150:160].min() == 1, "a given mask is taken as it is"
