"""Regions out of scores: what counts, what gives way, and their picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from t2c_core.errors import InputError
from t2c_core.fluids import FLUID_CLASSES, family_of
from t2c_core.segment.models.base import Scores
from t2c_core.segment.models.postprocess import extract_regions, remove_specks
from t2c_core.segment.overlay import colour_of, regions_overlay
from t2c_core.segment.regions import label_map, restrict_to_mask, union
from t2c_core.types import FluidRegion, FluidRegions


def test_the_threshold_takes_more_or_less(segmenter_folder: Any) -> None:
    found = Scores(("sea",), ("sea",), torch.linspace(0, 1, 16).repeat(16, 1)[None], True)
    image = torch.zeros(1, 64, 64, 3)
    shares = [float(union(extract_regions(found, image, t)).mean()) for t in (0.3, 0.5, 0.7)]
    assert shares == pytest.approx([0.7, 0.5, 0.3], abs=0.05)


def test_classes_count_together_words_do_not() -> None:
    """0.4 river and 0.3 sea are water for certain; asked for one by one neither is."""
    maps = torch.stack([torch.full((8, 8), 0.4), torch.full((8, 8), 0.3)])
    image = torch.zeros(1, 32, 32, 3)
    found = extract_regions(Scores(("river", "sea"), ("river", "sea"), maps, True), image)
    assert found.labels == ("river",) and found.regions[0].mask.mean() == 1
    with pytest.raises(InputError, match=r"threshold: of 0.5 leaves nothing.*pond 0.40"):
        extract_regions(Scores(("river", "sea"), ("river", "sea"), maps, False, (("pond", 0.4),)), image)


def test_water_gives_way_to_what_is_more_particular() -> None:
    maps = torch.zeros(2, 8, 8)
    maps[0] = 0.9
    maps[1, :, 4:] = 0.7
    found = extract_regions(Scores(("water", "waterfall"), ("water", "fall"), maps, False), torch.zeros(1, 32, 32, 3))
    assert found.labels == ("water", "waterfall")
    assert found.regions[1].mask[:, 20:].mean() == 1 and found.regions[0].mask[:, :12].mean() == 1


def test_specks_of_one_water_in_another_are_chance() -> None:
    labels = ("sea", "river", "waterfall", "sky")
    winner = np.full((60, 100), -1)
    winner[20:, :] = 0
    winner[30:34, 10:14] = 1  # a speck
    winner[40:44, 40:44] = 2  # a small fall
    winner[:10, :], winner[2:6, 2:6] = 3, 1  # the sky, and a river of its own in it
    winner[20:40, 70:100] = 1  # a mouth
    found = remove_specks(winner, labels)
    assert (found[30:34, 10:14] == 0).all() and (found != winner).sum() == 16
    assert remove_specks(winner, ("sea", "flag", "waterfall", "sky")) is winner


def test_a_surer_detector_wins_where_shapes_overlap() -> None:
    maps = torch.full((2, 8, 8), 0.9)
    scores = Scores(("smoke", "cloud"), ("smoke", "cloud"), maps, False, (), (0.3, 0.6))
    found = extract_regions(scores, torch.zeros(1, 32, 32, 3))
    assert [(r.label, r.score) for r in found.regions] == [("cloud", 0.6)]


def test_what_is_nowhere_costs_nothing_and_changes_nothing() -> None:
    maps = torch.zeros(3, 8, 8)
    maps[2, :, 4:] = 0.9
    scores = Scores(("lake", "river", "sea"), ("lake", "river", "sea"), maps, False, (), (0.1, 0.2, 0.7))
    found = extract_regions(scores, torch.zeros(1, 32, 32, 3))
    assert [(region.label, region.score) for region in found.regions] == [("sea", 0.7)]
    with pytest.raises(InputError, match="leaves nothing"):
        extract_regions(Scores(("lake",), ("lake",), maps[:1], True), torch.zeros(1, 32, 32, 3))


# Regions and their picture


def halves() -> FluidRegions:
    left = torch.zeros(20, 40)
    left[:, :18] = 1
    right = torch.zeros(20, 40)
    right[:, 22:] = 1
    return FluidRegions((FluidRegion("sky", "sky", 0.9, left), FluidRegion("sea", "ocean", 0.6, right)))


def test_regions_fill_the_mask_that_is_used() -> None:
    mask = torch.zeros(1, 20, 40)
    mask[:, 5:15, 10:40] = 0.25
    found = restrict_to_mask(halves(), mask)
    assert found.labels == ("sky", "sea")
    assert torch.equal(union(found), mask)
    assert found.regions[0].mask[:, 20:].sum() == 0 and found.regions[1].mask[:, :20].sum() == 0
    mask[..., :22] = 0
    assert restrict_to_mask(halves(), mask).labels == ("sea",)


def test_regions_of_another_size_and_none_are_refused() -> None:
    with pytest.raises(InputError, match=r"regions: are 40x20, the image 30x20"):
        label_map(halves(), 20, 30)
    with pytest.raises(InputError, match="regions: hold nothing"):
        union(FluidRegions())
    with pytest.raises(InputError, match="of one size"):
        FluidRegions((*halves().regions, FluidRegion("x", "x", 1.0, torch.zeros(3, 3))))


def test_the_preview_tints_every_region_and_writes_on_it() -> None:
    image = torch.full((1, 200, 300, 3), 0.5)
    left, right = torch.zeros(200, 300), torch.zeros(200, 300)
    left[:, :100], right[:, 200:] = 1, 1
    regions = FluidRegions((FluidRegion("sky", "sky", 0.9, left), FluidRegion("sea", "sea", 0.6, right)))
    shown = regions_overlay(image, regions)
    assert shown.shape == image.shape and shown.min() >= 0 and shown.max() <= 1
    assert torch.allclose(shown[0, 20, 150], torch.tensor([0.3] * 3))
    for x, label in ((50, "sky"), (250, "sea")):
        tint = 0.5 * 0.55 + torch.tensor(colour_of(label)) * 0.45
        assert torch.allclose(shown[0, 20, x], tint, atol=1e-5)
        written = (shown[0, 80:120, x - 40 : x + 40] - tint).abs().amax(-1) > 0.2
        assert 0.02 < written.float().mean() < 0.6
    assert colour_of("sky") != colour_of("sea") != colour_of("something else")
    assert (
        regions_overlay(image[:, :8, :8], FluidRegions((FluidRegion("é", "é", 1.0, torch.ones(8, 8)),)))
        .isfinite()
        .all()
    )


def test_texts_of_the_preview_do_not_cover_each_other() -> None:
    """Three small regions side by side, each narrower than its text: every text is there in full."""
    masks = torch.zeros(3, 200, 300)
    for number, mask in enumerate(masks):
        mask[90:110, 120 + 20 * number : 140 + 20 * number] = 1
    regions = FluidRegions(tuple(FluidRegion("waterfall", "f", 0.5 + n / 10, mask) for n, mask in enumerate(masks)))
    frame = regions_overlay(torch.full((1, 200, 300, 3), 0.5), regions)[0]
    alone = [regions_overlay(torch.full((1, 200, 300, 3), 0.5), FluidRegions((r,)))[0] for r in regions.regions]
    dark = [int((shown.amax(-1) < 0.05).sum()) for shown in (frame, *alone)]
    assert dark[0] > 0.95 * sum(dark[1:]) > 0


@pytest.mark.parametrize("family", ["water", "sky", "smoke"])
def test_kinds_that_lie_side_by_side_differ_in_colour(family: str) -> None:
    kinds = [kind for kind in FLUID_CLASSES if family_of(kind) == family]
    colours = np.array([colour_of(kind) for kind in kinds])
    apart = np.abs(colours[:, None] - colours[None]).max(-1)[np.triu_indices(len(kinds), 1)]
    assert apart.min() > 0.08
    follow = np.abs(np.diff(colours, axis=0)).max(-1)
    assert follow.min() > 0.3
