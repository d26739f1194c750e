"""Appearance drift and repetition: they see what seam, contrast and flow error do not."""

from __future__ import annotations

import numpy as np
import pytest

from t2c_core.appearance import appearance_descriptors
from t2c_core.metrics.appearance import AppearanceProbe
from t2c_core.metrics.measure import measure_loop


def scene(size: int = 96, seed: int = 0) -> np.ndarray:
    """Smooth noise above, fine noise below: two places that look different."""
    rng = np.random.default_rng(seed)
    values = rng.random((size, size)).astype(np.float32)
    values[: size // 2] = 0.3 + 0.02 * values[: size // 2]
    return np.repeat(values[..., None], 3, -1)


def probe(frames: list[np.ndarray]) -> AppearanceProbe:
    made = AppearanceProbe(frames[0], np.ones(frames[0].shape[:2], np.float32))
    for frame in frames:
        made.add(frame, frame[..., 0])
    return made


def test_descriptors_of_an_even_picture():
    values = appearance_descriptors(np.full((40, 50, 3), 0.2, np.float32))
    assert values.dtype == np.float32
    assert values.shape == (40, 50, 9)
    assert np.allclose(values[..., 0], 4 * 51 / 255, atol=1e-5)
    assert np.allclose(values[..., 1:], 0.5 * np.log(1e-5), atol=1e-4)


def test_a_still_loop_does_not_drift():
    made = probe([scene()] * 20)
    assert made.drift_mean() == 0 and made.drift_worst() == 0 and made.repetition() is None


def test_fresh_texture_of_the_same_look_drifts_less_than_a_scene_that_slides():
    fresh = probe([scene(seed=n) for n in range(20)])
    slides = probe([np.roll(scene(), 2 * n, 0) for n in range(20)])
    assert slides.drift_mean() > 3 * fresh.drift_mean()
    assert slides.drift_worst() > 3 * fresh.drift_worst()


@pytest.mark.parametrize(("period", "low", "high"), [(10, 0.999, 1.001), (40, -0.2, 0.2)])
def test_repetition_is_that_of_a_shorter_loop(period, low, high):
    frames = [scene(seed=n % period) for n in range(40)]
    assert low < probe(frames).repetition() < high


def test_the_report_says_it():
    frames = [scene(seed=n) for n in range(20)]
    report = measure_loop(frames)
    assert report.drift_mean == pytest.approx(probe(frames).drift_mean(), rel=1e-6)
    assert report.repetition == pytest.approx(probe(frames).repetition(), abs=1e-3)
    assert 0.9 < report.pace <= 1.0
    assert "appearance drift" in report.as_table() and report.as_dict()["pace"] == report.pace


def test_nothing_is_said_without_fluid():
    made = AppearanceProbe(scene(), np.zeros((96, 96), np.float32))
    made.add(scene(), scene()[..., 0])
    assert made.drift_mean() is None and made.drift_worst() is None and made.repetition() is None
