"""Small loops to be written."""

from __future__ import annotations

import numpy as np
import torch

from t2c_core.loop.write import FORMATS, EncodeSettings


def image(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth colours with fine texture, float32 [H, W, 3] in 0..1."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    base = np.stack([0.5 + 0.35 * np.sin(9 * x + 4 * y), 0.45 + 0.35 * np.cos(7 * y - 3 * x), 0.3 + 0.4 * x], -1)
    return (base + rng.normal(0, 0.03, (height, width, 1))).clip(0, 1).astype(np.float32)


def loop(height: int = 48, width: int = 64, count: int = 7) -> tuple[list[torch.Tensor], np.ndarray]:
    """A still picture whose middle third rolls sideways by whole pixels; and the mask of what moves."""
    still = image(height, width)
    moves = np.zeros((height, width), bool)
    moves[height // 3 : 2 * height // 3, width // 4 : 3 * width // 4] = True
    frames = []
    for t in range(count):
        frame = still.copy()
        frame[moves] = np.roll(still, 3 * t, axis=1)[moves]
        frames.append(torch.from_numpy(frame))
    return frames, moves


def to_bytes(frames: list[torch.Tensor]) -> np.ndarray:
    return (torch.stack(frames) * 255).round().byte().numpy()


def settings(name: str, **more) -> EncodeSettings:
    """Of a GIF few colours: finding them takes most of its time."""
    return EncodeSettings(format=name, **({"quality": 5} if name == "gif" else {}), **more)


def psnr(found: np.ndarray, wanted: np.ndarray) -> float:
    error = np.mean((found.astype(np.float64) - wanted) ** 2)
    return float("inf") if error == 0 else 10 * np.log10(255**2 / error)


def target(folder, name: str):
    return folder / f"loop{FORMATS[name].suffix}"
