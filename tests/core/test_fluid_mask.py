"""One recipe for the fluid's mask: methods, strokes, settings, and what is said when nothing is left."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.segment.fluid import segment_fluid
from t2c_core.segment.models.base import Scores, Step
from t2c_core.segment.settings import METHODS, MaskSettings
from t2c_core.settings import describe
from t2c_core.types import Arrow, Attention, MotionHints, Stroke

IMAGE = torch.zeros(1, 40, 60, 3)
IMAGE[:, :, 30:] = 0.8
RIGHT = (IMAGE[..., 0] > 0.5).float()
HARD = {"feather": 0.0, "fill_holes": 0.0, "min_area": 0.0}
ARROW = MotionHints((Arrow(((0.6, 0.5), (0.9, 0.5))),))


class HalfAndHalf:
    """A segmentation model that is sure of the left half's sky and the right half's river."""

    def scores(self, image: torch.Tensor, vocabulary: Sequence[str], step: Step) -> Scores:
        step(1, 2)
        step(2, 2)
        return Scores(("sky", "river"), ("sky", "river"), torch.stack([1 - RIGHT[0], RIGHT[0]]), True)


def attention() -> Attention:
    """Six by four tokens, the right half of which attends to 'river'."""
    right = torch.zeros(4, 6)
    right[:, 3:] = 1
    same = (right.flatten()[:, None] == right.flatten()).float()
    return Attention(same / same.sum(1, keepdim=True), (4, 6), ("river", "bank"), torch.stack([right, 1 - right]))


def given(method: str) -> dict:
    return {"hints": {"hints": ARROW}, "mask": {"mask": RIGHT}, "attention": {"attention": attention()}}.get(
        method, {"model": HalfAndHalf()}
    )


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_right_half(method: str) -> None:
    settings = MaskSettings(method, vocabulary="river", clusters=2, **HARD)
    steps: list[tuple[int, int]] = []
    fluid = segment_fluid(IMAGE, settings=settings, step=lambda *step: steps.append(step), **given(method))
    wanted = torch.ones_like(RIGHT) if method == "model" else RIGHT
    assert (fluid.mask == wanted).float().mean() > 0.95
    assert method == "hints" or fluid.regions.labels == (("sky", "river") if method == "model" else ())
    assert steps[-1] == (1, 1)


@pytest.mark.parametrize("method", METHODS)
def test_strokes_have_the_last_word(method: str) -> None:
    freeze = Stroke(((0.75, 0.2),), 0.1, "freeze")
    hints = MotionHints(ARROW.arrows, strokes=(freeze, Stroke(((0.2, 0.8),), 0.05)))
    settings = MaskSettings(method, vocabulary="river", clusters=2, fill_holes=1.0, grow=3.0)
    mask = segment_fluid(IMAGE, settings=settings, **{**given(method), "hints": hints}).mask[0]
    assert mask[8, 45] == 0, "frozen, though fill_holes and grow would cover it"
    assert mask[32, 12] > 0.5, "drawn to move"
    assert mask[32, 45] > 0.5


def test_a_mask_of_another_size_is_scaled_and_kinds_fill_the_mask() -> None:
    small = torch.nn.functional.interpolate(RIGHT[None], (20, 30), mode="area")[0]
    mask = segment_fluid(IMAGE, mask=small, settings=MaskSettings("mask", **HARD)).mask
    assert mask.shape == RIGHT.shape and (mask == RIGHT).float().mean() > 0.95
    fluid = segment_fluid(IMAGE, model=HalfAndHalf(), settings=MaskSettings("model", grow=-4.0))
    together = sum(region.mask for region in fluid.regions.regions)
    assert torch.equal(together, fluid.mask[0])


def test_attention_refines_the_other_methods() -> None:
    part = RIGHT.clone()
    part[:, :10] = 0
    settings = MaskSettings("mask", refine_with_attention=True, clusters=2, **HARD)
    mask = segment_fluid(IMAGE, mask=part, attention=attention(), settings=settings).mask
    assert (mask == RIGHT).float().mean() > 0.95


@pytest.mark.parametrize(
    ("settings", "inputs", "name", "said"),
    [
        (MaskSettings(), {}, "hints", "missing, but the method is 'hints'"),
        (MaskSettings(), {"hints": MotionHints()}, "hints", "say nothing of what moves"),
        (MaskSettings("mask"), {}, "mask", "missing, but the method is 'mask'"),
        (MaskSettings("mask"), {"mask": RIGHT * 0}, "mask", "is empty"),
        (MaskSettings("attention"), {}, "attention", "missing, but the method is 'attention'"),
        (MaskSettings("model"), {}, "model", "missing, but the method is 'model'"),
        (MaskSettings("mask", refine_with_attention=True), {"mask": RIGHT}, "attention", "refine_with_attention is on"),
        (MaskSettings("mask", grow=-100.0), {"mask": RIGHT}, "mask", "once grow"),
        (
            MaskSettings("mask"),
            {"mask": RIGHT, "hints": MotionHints(strokes=(Stroke(((0.5, 0.5),), 2.0, "freeze"),))},
            "hints",
            "freeze all that moves",
        ),
    ],
)
def test_what_is_missing_is_said(settings: MaskSettings, inputs: dict, name: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        segment_fluid(IMAGE, settings=settings, **inputs)
    assert caught.value.input == name


def test_settings_name_themselves_when_out_of_range() -> None:
    assert len(describe(MaskSettings)) == 14
    for name, value in {"method": "magic", "detail": 5.0, "clusters": 0, "clustering": "x", "threshold": 1.0}.items():
        with pytest.raises(InputError) as caught:
            MaskSettings(**{name: value})
        assert caught.value.input == name


def test_several_masks_mean_their_union_and_stay_regions() -> None:
    left, middle = torch.zeros(40, 60), torch.zeros(40, 60)
    left[:, :15], middle[:, 10:30] = 1.0, 1.0
    fluid = segment_fluid(IMAGE, mask=torch.stack([left, middle]), settings=MaskSettings("mask", **HARD))
    assert torch.equal(fluid.mask[0] > 0, torch.maximum(left, middle) > 0)
    assert [(region.label, region.name) for region in fluid.regions.regions] == [("", "mask 1"), ("", "mask 2")]
    first, second = (region.mask for region in fluid.regions.regions)
    assert torch.equal(first > 0, left > 0) and torch.equal(second > 0, (middle > 0) & (left == 0))
    assert segment_fluid(IMAGE, mask=left[None], settings=MaskSettings("mask", **HARD)).regions.regions == ()
