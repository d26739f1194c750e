"""From mask to field: a prompt means the same by every route, with regions and without; no global state is touched."""

from __future__ import annotations

import importlib
import random
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from t2c_core import job
from t2c_core.cli import animate, generate
from t2c_core.cli.main import main
from t2c_core.flow.convert import field_to_image, image_to_field
from t2c_core.flow.predict import flow_regions, predict_flow, suggest_frame_count
from t2c_core.flow.regions import angle_map
from t2c_core.flow.settings import FlowSettings
from t2c_core.flow.visualise import flow_preview
from t2c_core.fluids import FLUIDS, fluid_class, motion_prior
from t2c_core.io.images import save_image
from t2c_core.preview import PreviewSettings, preview_field
from t2c_core.prompt.lexicon import MOVING_WORDS
from t2c_core.prompt.parse import parse_prompt, resolve_directions
from t2c_core.segment.fluid import segment_fluid
from t2c_core.segment.from_hints import mask_from_hints
from t2c_core.segment.settings import MaskSettings
from t2c_core.types import Arrow, Attention, FluidRegion, FluidRegions, MotionHints, Stroke

H, W = 48, 64
PROMPTS = (
    "rapids",
    "falling ash",
    "ash",
    "a calm sea",
    "a loop of 90 frames, clouds drifting slowly to the left",
    "clouds over a river, smoke rising",
    "(a river:1.2) <lora:fire_style:1> flowing to the left",
)


@pytest.fixture
def image() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return (torch.rand(1, H, W, 3, generator=generator) * 255).round() / 255


@pytest.fixture
def mask() -> torch.Tensor:
    made = torch.zeros(1, H, W)
    made[:, :16], made[:, 30:, 8:40] = 1, 1
    return made


# --- one meaning ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", sorted(MOVING_WORDS))
def test_a_word_goes_the_same_way_with_regions_and_without(word, mask):
    prompt, settings = parse_prompt(word), FlowSettings()
    name = fluid_class(word)
    with_regions = flow_regions(mask, prompt, settings, regions=FluidRegions((FluidRegion(name, name, 1.0, mask[0]),)))
    (without,) = flow_regions(mask, prompt, settings)
    prior = FLUIDS[name].prior
    angles = [torch.as_tensor(angle_map(regions)).expand_as(mask)[mask > 0] for regions in (with_regions, [without])]
    assert torch.equal(*angles)
    assert prior.angle is None or (angles[0] == prior.angle).all()
    assert suggest_frame_count(word) == prior.frames


@pytest.mark.parametrize("word", ["ash", "wildfire", "rapids", "downpour", "drizzle", "blizzard", "bubbles", "magma"])
def test_words_follow_the_table(word):
    """These had a direction of their own where no regions were connected."""
    (direction,) = parse_prompt(word).defaults
    assert direction.angle == motion_prior(word).angle
    assert direction.angle == {"ash": 90, "wildfire": 90, "bubbles": 90, "rapids": None, "magma": None}.get(word, 270)


def test_syntax_of_prompts_says_nothing():
    parsed = parse_prompt("<lora:fire_style:1> (a lake:1.2)\nclouds")
    assert parsed.fluids == ("lake", "clouds")
    assert parse_prompt("(waves rolling to the left:1.3)").directions[0].angle == 180


def test_speeds_in_words_hold_with_regions_and_without(image, mask):
    regions = FluidRegions((FluidRegion("river", "river", 1.0, mask[0]),))
    said, plain = "a rushing river flowing to the left", "a river flowing to the left"
    settings = FlowSettings(follow_streaks=0.0)
    for known in (None, regions):
        fast, usual = (predict_flow(image, mask, prompt=p, regions=known, settings=settings) for p in (said, plain))
        assert torch.allclose(fast.velocity, 2 * usual.velocity, atol=1e-4)


def test_arrows_and_angles_come_before_usual_directions(image, mask):
    drawn = MotionHints((Arrow(((0.2, 0.1), (0.8, 0.1)), 1.0),))
    assert resolve_directions("from prompt", parse_prompt("a waterfall"), has_arrows=True) == ()
    assert resolve_directions("custom angle", parse_prompt("a waterfall flowing up"), 30.0)[0].angle == 30
    (region,) = flow_regions(mask, parse_prompt("a waterfall"), FlowSettings(), hints=drawn)
    assert region.angle is None


@pytest.fixture
def routes(image, mask, tmp_path, monkeypatch):
    """Runs a command line; returns the plan it would render."""
    save_image(image[0], tmp_path / "image.png")
    save_image(mask[0, ..., None].expand(-1, -1, 3), tmp_path / "mask.png")
    attention = Attention(torch.eye(4), (2, 2))
    twins = SimpleNamespace(artistic=image, realistic=image, attention=attention)
    plans = []
    for module in (animate, generate):
        monkeypatch.setattr(module, "save_loop", lambda loop, *others: plans.append(loop.plan) or 0)
    monkeypatch.setattr(job, "make_twins", lambda *args, **options: twins)

    def run(*arguments: str):
        if arguments[0] == "generate":
            arguments += ("--mask", run.mask)
        assert main([*arguments, "-o", str(tmp_path / "loop.mp4"), "--feather", "0"]) == 0
        return plans.pop()

    run.image, run.mask = str(tmp_path / "image.png"), str(tmp_path / "mask.png")
    return run


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_prompt_means_the_same_by_every_route(prompt, routes, image):
    plan = routes("generate", prompt, "--checkpoint", "none")
    expected = predict_flow(image, plan.flow.mask, prompt=prompt)
    assert torch.equal(plan.flow.velocity, expected.velocity)
    assert plan.settings.frames == suggest_frame_count(prompt)
    moved = routes("animate", routes.image, "--mask", routes.mask, "--direction", prompt)
    assert torch.equal(moved.flow.velocity, predict_flow(moved.image, moved.flow.mask, prompt=prompt).velocity)
    assert moved.settings.frames == suggest_frame_count(prompt)
    settings = PreviewSettings(MaskSettings(feather=0.0), prompt=prompt)
    preview = preview_field(image, MotionHints(), settings, mask=plan.flow.mask)
    assert torch.equal(preview.velocity, predict_flow(image, preview.mask, prompt=prompt).velocity)


def test_frames_asked_for_and_usual_frames_hold_on_the_command_line(routes):
    assert routes("generate", "a sea, a loop of 90 frames", "--checkpoint", "none").settings.frames == 90
    assert routes("generate", "a stormy sea", "--checkpoint", "none").settings.frames == 120
    assert routes("generate", "a stormy sea", "--checkpoint", "none", "--frames", "50").settings.frames == 50
    still = ("animate", routes.image, "--mask", routes.mask, "--direction")
    assert routes(*still, "waves rolling left").settings.frames == 120
    assert routes(*still, "90").settings.frames == 60
    assert routes(*still, "a lake").settings.frames == 120, "no direction stated: that of a lake"


# --- global state -----------------------------------------------------------------------------------------------------


def generators() -> tuple:
    kind, keys, *rest = np.random.get_state()
    return kind, keys.tobytes(), *rest, random.getstate(), torch.get_rng_state().numpy().tobytes()


@pytest.mark.slow
def test_no_global_generator_is_touched(image):
    # Where rich is installed, scikit-learn imports it, and it draws a number: not by us, and once.
    importlib.import_module("sklearn.cluster")
    large = torch.ones(1, 160, 160)
    before = generators()
    picture = torch.nn.functional.interpolate(image.movedim(-1, 1), (160, 160)).movedim(1, -1)
    predict_flow(picture, large, hints=MotionHints((Arrow(((0.2, 0.5), (0.8, 0.5))),)), prompt="a river, clouds")
    field = predict_flow(picture, large, prompt="a river")
    image_to_field(field_to_image(field, 4.0), 4.0)
    flow_preview(picture, field)
    mask_from_hints(picture, MotionHints(strokes=(Stroke(((0.3, 0.5), (0.6, 0.5)), 0.1),)))
    assert generators() == before


@pytest.mark.slow
def test_other_threads_draw_the_numbers_they_would_draw_alone(image):
    """A solve saved, seeded and restored NumPy's generator: what others drew in between was drawn twice, or lost."""
    large = torch.ones(1, 160, 160)
    picture = torch.nn.functional.interpolate(image.movedim(-1, 1), (160, 160)).movedim(1, -1)
    np.random.seed(5)
    alone = np.random.random_sample(20_000)
    np.random.seed(5)
    done = threading.Event()

    def solve() -> None:
        for _ in range(2):
            predict_flow(picture, large, prompt="clouds drifting left")
        done.set()

    worker = threading.Thread(target=solve)
    worker.start()
    drawn = []
    while len(drawn) < len(alone):
        drawn.append(np.random.random_sample())
        if len(drawn) % 2000 == 0:
            done.wait(0.2)
    worker.join()
    assert np.array_equal(drawn, alone)


def test_regions_without_a_name_move_apart_where_the_prompt_says():
    """Two masks side by side, as of a segmentation node: what holds for the whole mask holds for each of them."""
    image, masks = torch.rand(1, 48, 96, 3, generator=torch.Generator().manual_seed(0)), torch.zeros(2, 48, 96)
    masks[0, :, :48], masks[1, :, 48:] = 1.0, 1.0
    fluid = segment_fluid(image, mask=masks, settings=MaskSettings("mask", feather=0.0))
    for prompt, angle in (
        ("a waterfall falling down", 270),
        ("downwards direction", 270),
        ("clouds drifting left", 180),
    ):
        split = flow_regions(fluid.mask, parse_prompt(prompt), FlowSettings(), regions=fluid.regions)
        assert [region.angle for region in split] == [angle, angle]
        assert torch.equal(split[0].mask[0] > 0, masks[0] > 0) and torch.equal(split[1].mask[0] > 0, masks[1] > 0)
    arrows = MotionHints((Arrow(((0.1, 0.5), (0.3, 0.5))),))
    field = predict_flow(image, fluid.mask, hints=arrows, regions=fluid.regions)
    assert (field.velocity[0, 0, :, 60:80] > 0).all(), "one arrow leads both, as it leads their union"
    assert suggest_frame_count("clouds", fluid.regions, fluid.mask) == 120
