"""The measures beside a real clip, where the answer is known exactly, and on the real clip itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from benchmarks import animations, loops, realism
from benchmarks.comparison import REAL, compare
from benchmarks.documents import replaced
from benchmarks.ground_truth_report import BEGIN, END, figure, markdown, plot_spectra, write
from benchmarks.real_clip import as_uint8, clip_path, flows, grey, load_clip, mean_field, moving_mask
from t2c_core.errors import InputError
from t2c_core.types import MotionField

EVERYWHERE = np.ones((96, 128), bool)
INNER = np.zeros((96, 128), bool)
INNER[16:-16, 16:-16] = True


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


def texture(seed: int = 0, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(size=size).astype(np.float32), (0, 0), 2)
    return 128 + 40 * noise / noise.std()


def translated(frames: int, velocity: tuple[float, float]) -> np.ndarray:
    """uint8 [T, 96, 128]: a texture that moves by ``velocity`` (x, y) px a frame, cut out of a larger one."""
    whole = texture(size=(256, 256))
    x, y = np.meshgrid(np.arange(128, dtype=np.float32) + 64, np.arange(96, dtype=np.float32) + 64)
    moved = [
        cv2.remap(whole, x - np.float32(t * velocity[0]), y - np.float32(t * velocity[1]), cv2.INTER_CUBIC)
        for t in range(frames)
    ]
    return np.stack(moved).clip(0, 255).round().astype(np.uint8)


def colour(luma: np.ndarray) -> np.ndarray:
    return np.repeat(luma[..., None], 3, axis=-1)


@pytest.mark.parametrize("velocity", [(0.25, 0.0), (-0.5, 0.25), (0.0, -1.0)])
def test_a_known_translation_gives_its_flow(velocity: tuple[float, float]) -> None:
    clip = translated(12, velocity)
    field = mean_field(colour(clip), stride=4)
    inside = torch.from_numpy(INNER)
    for k in (0, 1):
        assert float(field.velocity[0, k][inside].median()) == pytest.approx(velocity[k], abs=0.03)
    found = realism.motion(clip, INNER)
    assert float(np.median(found.speeds)) == pytest.approx(np.hypot(*velocity), abs=0.03)
    assert found.directions.sum() == pytest.approx(1)
    sector = int((np.arctan2(velocity[1], velocity[0]) + np.pi) / (2 * np.pi) * realism.SECTORS) % realism.SECTORS
    near = [(sector + k) % realism.SECTORS for k in (-1, 0, 1)]
    assert found.directions[near].sum() > 0.9


def test_fidelity_is_measured_against_the_field() -> None:
    clip = translated(12, (0.5, 0.0))
    velocity = torch.zeros(1, 2, 96, 128)
    velocity[:, 0] = 0.5
    mask = torch.ones(1, 96, 128)
    right = realism.fidelity(clip, MotionField(velocity, mask))
    assert right.endpoint < 0.03 and right.angle < 3
    across = realism.fidelity(clip, MotionField(velocity.flip(1), mask))
    assert across.endpoint == pytest.approx(0.5 * 2**0.5, abs=0.05)
    assert across.angle == pytest.approx(90, abs=3)


def test_motion_distances_of_known_motions() -> None:
    slow, fast, back = (realism.motion(translated(12, v), INNER) for v in ((0.25, 0), (0.75, 0), (-0.25, 0)))
    same = realism.motion_distance(slow, slow, INNER)
    assert (same.speed, same.direction, same.endpoint) == (0, 0, 0)
    faster = realism.motion_distance(fast, slow, INNER)
    assert faster.speed == pytest.approx(0.5, abs=0.05) and faster.endpoint == pytest.approx(0.5, abs=0.05)
    assert faster.direction < 0.2
    velocity = torch.zeros(1, 2, 96, 128)
    velocity[:, 0] = 0.25
    field = MotionField(velocity, torch.from_numpy(INNER).float()[None])
    assert [realism.pace(m.mean, field) for m in (slow, fast, back)] == pytest.approx([1, 3, -1], abs=0.1)
    reversed_ = realism.motion_distance(back, slow, INNER)
    assert reversed_.direction > 0.9 and reversed_.speed < 0.05
    assert reversed_.endpoint == pytest.approx(0.5, abs=0.05)


def test_a_still_image_moves_in_no_right_direction() -> None:
    still = realism.motion(np.repeat(translated(1, (0, 0)), 12, axis=0), INNER)
    assert realism.motion_distance(still, realism.motion(translated(12, (0.5, 0)), INNER), INNER).direction == 1


def test_identical_clips_are_no_distance_apart() -> None:
    luma = translated(16, (0.5, 0.25))
    frames = colour(luma)
    assert realism.psnr(frames, frames, EVERYWHERE) == float("inf")
    assert realism.ssim(luma[:2], luma[:2], EVERYWHERE) == pytest.approx(1)
    assert realism.detail(luma, luma, EVERYWHERE) == pytest.approx(1, abs=0.05)
    own = realism.spectra(luma, EVERYWHERE)
    distance = realism.spectral_distance(own, own)
    assert (distance.mean, distance.level) == (0, 0)
    assert distance.bands == {"fine": 0, "middle": 0, "coarse": 0}


def test_flip_of_identical_and_of_different_images() -> None:
    pytest.importorskip("flip_evaluator")
    frames = colour(translated(2, (4, 0)))
    assert realism.flip(frames, frames, EVERYWHERE) == 0
    assert realism.flip(frames[:1], frames[1:], EVERYWHERE) > 0.05


def test_psnr_of_a_known_error_counts_only_inside() -> None:
    real = np.full((2, 96, 128, 3), 100, np.uint8)
    off = real.copy()
    off[:, 16:-16, 16:-16] += 10
    off[:, 0] = 255
    assert realism.psnr(off, real, INNER) == pytest.approx(20 * np.log10(25.5), abs=1e-4)


@pytest.mark.parametrize("count", [60, 61, 144])
def test_white_noise_has_a_flat_spectrum_that_sums_to_its_variance(count: int) -> None:
    power = realism.temporal_spectrum(np.random.default_rng(1).normal(0, 3, (count, 6000)).astype(np.float32))
    assert len(power) == count // 2 + 1
    assert power.sum() == pytest.approx(9, rel=0.03)
    middle = power[3:-2]
    assert middle == pytest.approx(np.full(len(middle), 2 * 9 / count), rel=0.08)


def test_a_sinus_has_its_power_at_its_frequency() -> None:
    count, cycles, height = 64, 8, 5.0
    phase = np.random.default_rng(2).uniform(0, 2 * np.pi, 500)
    t = np.arange(count)[:, None]
    power = realism.temporal_spectrum(100 + height * np.cos(2 * np.pi * cycles * t / count + phase))
    assert power.sum() == pytest.approx(height**2 / 2, rel=1e-6)
    assert power[cycles - 1 : cycles + 2].sum() == pytest.approx(height**2 / 2, rel=1e-6)
    assert np.argmax(power) == cycles


def test_octaves_use_every_bin_but_the_mean_once() -> None:
    assert realism.octaves(np.arange(9.0)).tolist() == [1, 2.5, 5.5, 8]
    assert realism.octaves(np.arange(8.0)).tolist() == [1, 2.5, 5.5]


def test_a_quarter_of_the_power_is_six_decibels_less() -> None:
    real = {name: np.full(31, 1e4) for name in realism.BANDS}
    test = {name: np.full(31, 2.5e3) for name in realism.BANDS}
    distance = realism.spectral_distance(test, real)
    assert distance.mean == pytest.approx(6.02, abs=0.01)
    assert distance.level == pytest.approx(-6.02, abs=0.01)
    with pytest.raises(InputError, match="frames"):
        realism.decibels(np.ones(31), np.ones(30))


def test_the_bands_lie_where_they_say() -> None:
    x = np.arange(256)
    energies = []
    for wavelength in (4, 20, 90):
        wave = np.tile(128 + 100 * np.cos(2 * np.pi * x / wavelength), (128, 1)).astype(np.uint8)[None]
        energies.append([float(realism.band(wave, name)[0, 32:-32, 32:-32].var()) for name in realism.BANDS])
    assert np.argmax(energies, axis=1).tolist() == [0, 1, 2]


def test_only_what_changes_is_moving() -> None:
    clip = np.repeat(translated(1, (0, 0)), 12, axis=0)
    clip[:, :, 64:] = translated(12, (0.75, 0))[:, :, 64:]
    mask = moving_mask(clip)
    assert mask[:, 80:].mean() > 0.98
    assert mask[:, :48].max() == 0


def test_ping_pong_comes_back_and_frozen_stays() -> None:
    luma = translated(1, (0, 0))
    image = torch.from_numpy(colour(luma)).float() / 255
    velocity = torch.zeros(1, 2, 96, 128)
    velocity[:, 0] = 0.5
    field = MotionField(velocity, torch.ones(1, 96, 128))
    loop = animations.ping_pong(image, field, 16)
    assert (loop[0] == colour(luma)[0]).all()
    assert all((loop[t] == loop[16 - t]).all() for t in range(1, 8))
    # After 8 frames at half a pixel: exactly 4 px to the right.
    assert np.abs(loop[8][:, 8:].astype(int) - loop[0][:, 4:-4].astype(int)).max() <= 1
    assert (animations.frozen(image, 3) == colour(luma)).all()


def test_a_cross_fade_freezes_what_is_larger_than_the_way_it_goes() -> None:
    """Why loops of a slow field have too little power in the coarse band: 4 px of a wave of 64 px cancel."""
    wave = 0.5 + 0.4 * torch.cos(2 * torch.pi * torch.arange(128) / 64).repeat(96, 1)
    velocity = torch.zeros(1, 2, 96, 128)
    velocity[:, 0] = 0.25
    field = MotionField(velocity, torch.ones(1, 96, 128))
    image = wave[None, ..., None].repeat(1, 1, 1, 3)
    looped = as_uint8(loops.render(image, field, 16, blend="linear"))[:, INNER].astype(int)
    carried = animations.ping_pong(image, field, 32)[16][INNER].astype(int)
    assert np.abs(carried - looped[0]).max() > 30
    assert np.abs(looped - looped[0]).max() < 4


def test_other_takes_share_no_frame_with_the_judged_ones() -> None:
    clip = np.arange(140, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    assert animations.second_clip(clip, 60)[0, 0, 0, 0] == 80
    assert animations.second_clip(clip, 71) is None
    looped = animations.second_clip_looped(clip, 60)[:, 0, 0, 0]
    assert looped[0] == 80 and looped[30] == (110 + 50) / 2
    assert animations.second_clip_looped(clip, 61) is None
    assert sorted(animations.phase_shifted(clip, 60)[:, 0, 0, 0]) == list(range(60))


def test_options_are_those_of_the_plan_and_the_renderer() -> None:
    assert loops.parse_options("anchor=0.4 renderer=splat") == {"anchor": 0.4, "renderer": "splat"}
    for wrong in ("picture=1", "anchor", "sharpness=2", "anchor=much", "frames=9"):
        with pytest.raises(InputError, match="options"):
            loops.parse_options(wrong)


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    assert replaced(f"a\n{BEGIN}\nold\n{END}\nb", "new", BEGIN, END) == f"a\n{BEGIN}\n\nnew\n\n{END}\nb"
    with pytest.raises(InputError, match="document"):
        replaced("no markers", "new", BEGIN, END)


def test_frames_are_rounded_as_a_file_would() -> None:
    assert as_uint8([torch.tensor([[[0.0, 0.5, 1.2]]])]).tolist() == [[[[0, 128, 255]]]]


@pytest.fixture(scope="module")
def ocean() -> np.ndarray:
    path = clip_path()
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("the real clip is missing: python3 -m scripts.videos")
        pytest.skip("the real clip is not there: run 'python3 -m scripts.videos', which fetches it")
    return load_clip(path, 96, 192)[::3]


@pytest.mark.slow
def test_the_real_clip(ocean: np.ndarray, tmp_path: Path) -> None:
    """Ours moves more like the waves than a still picture and keeps more detail than the published cross-fade."""
    field = mean_field(ocean, stride=4)
    # Twice as fast: so short a loop would otherwise cancel most of the motion.
    variants = {name: {**loops.LOOPS[name], "speed": 2.0} for name in (loops.DEFAULT, loops.PLAIN)}
    result = compare(ocean, field, 16, variants)
    rows = {row.name: row for row in result.rows}
    ours, plain, frozen = (rows[name] for name in (loops.DEFAULT, loops.PLAIN, "frozen frame"))
    another = rows["another take of the real clip"]
    assert another.spectrum.mean < ours.spectrum.mean < frozen.spectrum.mean
    assert ours.motion.endpoint < frozen.motion.endpoint and ours.motion.speed < frozen.motion.speed
    assert ours.pace > 0.5 and frozen.pace == pytest.approx(0, abs=0.01)
    assert ours.detail > plain.detail
    # What pixel measures cannot see: a real take scores below a still picture.
    assert another.psnr < frozen.psnr

    document = tmp_path / "truth.md"
    document.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    write(document, "About.", [result])
    assert markdown(result) in document.read_text(encoding="utf-8")
    assert (tmp_path / "truth_spectra.png").stat().st_size > 1000
    figure(tmp_path / "figure.webp", result)
    assert cv2.imread(str(tmp_path / "figure.webp")).shape[1] == 4 * 96
    assert REAL in result.clips and plot_spectra({REAL: result.spectra}).width > 0


def test_flow_needs_more_frames_than_its_stride() -> None:
    with pytest.raises(InputError, match="stride"):
        flows(translated(4, (0, 0)), 4)


def test_grey_is_luma() -> None:
    assert grey(np.array([[[[255, 0, 0], [0, 255, 0]]]], np.uint8)).tolist() == [[[76, 150]]]


def test_a_clip_that_is_too_short_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(InputError, match="1 frames; 2"):
        load_clip(tmp_path, 2, 8)
