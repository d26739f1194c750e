"""Pairs with a known displacement: a photograph rendered by rule, and the photograph warped as an editor's twin is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from t2c_core.io.images import load_image

ROOT = Path(__file__).resolve().parents[2]
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


def photograph(name: str, longest: int = 512) -> np.ndarray:
    """[H, W, 3] float32 in 0..1 of a picture of the assets or of T2C_PICTURES."""
    folders = [ROOT / "assets", Path(os.environ.get("T2C_PICTURES") or ROOT / "assets")]
    file = next((folder / f"{name}.jpg" for folder in folders if (folder / f"{name}.jpg").is_file()), None)
    if file is None:
        pytest.skip("T2C_PICTURES is not set: run 'python3 scripts/test.py', which fetches the pictures")
    return load_image(file, longer_side=longest)[0].numpy()


def painterly(image: np.ndarray) -> np.ndarray:
    """Flat patches of other hues in eight tones, on a canvas with a grain."""
    flat = image
    for _ in range(3):
        flat = cv2.bilateralFilter(np.ascontiguousarray(flat), 9, 0.2, 4)
    hsv = cv2.cvtColor(flat, cv2.COLOR_RGB2HSV)
    hsv = np.stack(
        [(hsv[..., 0] + 70) % 360, np.clip(hsv[..., 1] * 1.6 + 0.1, 0, 1), np.round(hsv[..., 2] * 8) / 8], -1
    )
    grain = cv2.GaussianBlur(np.random.default_rng(0).standard_normal(image.shape[:2]).astype(np.float32), (0, 0), 2)
    return np.clip(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) + 0.05 * (grain / grain.std())[..., None], 0, 1)


def tones(image: np.ndarray) -> np.ndarray:
    """Channels exchanged, and a tone curve that rises and falls."""
    return (0.5 + 0.45 * np.sin(2.2 * np.pi * (image[..., [2, 0, 1]] - 0.3))).astype(np.float32)


def line_art(image: np.ndarray) -> np.ndarray:
    """Black lines on white where the luma's difference of Gaussians is negative."""
    luma = image @ LUMA
    difference = cv2.GaussianBlur(luma, (0, 0), 1.0) - 0.98 * cv2.GaussianBlur(luma, (0, 0), 1.8)
    return np.repeat(np.minimum(1 + np.tanh(60 * (difference - 0.005)), 1).astype(np.float32)[..., None], 3, 2)


RENDERINGS = {"painterly": painterly, "tones": tones, "line art": line_art}


@dataclass(frozen=True)
class Pair:
    """photo: [H, W, 3]; twin: the photograph warped, [h, w, 3]; displacement: [H, W, 2] px, what registration is to
    find; seen: [H, W] bool, what the twin shows."""

    photo: np.ndarray
    twin: np.ndarray
    displacement: np.ndarray
    seen: np.ndarray

    def error(self, found: np.ndarray | float) -> np.ndarray:
        """Px by which a displacement [H, W, 2] is wrong, where the twin shows anything."""
        return np.linalg.norm(self.displacement - found, axis=-1)[self.seen]


def sample(image: np.ndarray, positions: np.ndarray, mode: int = cv2.INTER_CUBIC) -> np.ndarray:
    """[h, w, C] of an image at positions [h, w, 2]."""
    x, y = (np.ascontiguousarray(positions[..., k], np.float32) for k in (0, 1))
    return cv2.remap(image, x, y, mode, borderMode=cv2.BORDER_REFLECT)


def warped_pair(photo: np.ndarray, seed: int, *, most: float = 12.0, larger: float = 1.1) -> Pair:
    """Warped by a smooth random field of up to ``most`` px, enlarged by 1.5 %, cropped to one side, and made at
    ``larger`` times the size."""
    rng = np.random.default_rng(seed)
    size = np.array(photo.shape[1::-1])
    made = np.round(size * larger).astype(int)
    ratio = (made / size).astype(np.float32)
    at = np.stack(np.meshgrid(np.arange(made[0]), np.arange(made[1])), -1).astype(np.float32)
    at = ((at + 0.5) / ratio - size / 2) / 1.015 + size / 2 - 0.5 + rng.uniform(-0.01, 0.01, 2) * size
    field = np.stack([_smooth_noise(rng, made) for _ in range(2)], -1)
    at = (at + field * (most / np.linalg.norm(field, axis=-1).max())).astype(np.float32)
    grid = np.stack(np.meshgrid(np.arange(size[0]), np.arange(size[1])), -1).astype(np.float32)
    inverse = (grid + 0.5) * ratio - 0.5
    for _ in range(30):  # where in the twin each pixel of the photograph is
        inverse = inverse + (grid - sample(at, inverse, cv2.INTER_LINEAR)) * ratio
    seen = np.asarray(np.all((inverse >= 0) & (inverse <= made - 1), axis=-1))
    return Pair(photo, sample(photo, at).clip(0, 1), (inverse + 0.5) / ratio - 0.5 - grid, seen)


def _smooth_noise(rng: np.random.Generator, size: np.ndarray) -> np.ndarray:
    knots = rng.standard_normal((4, 4)).astype(np.float32)
    return cv2.resize(knots, (int(size[0]), int(size[1])), interpolation=cv2.INTER_CUBIC)


def tensor(image: np.ndarray) -> torch.Tensor:
    """[H, W, C] as [1, H, W, C]."""
    return torch.from_numpy(np.ascontiguousarray(image, np.float32))[None]
