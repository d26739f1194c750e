"""Images with true masks drawn by hand, and strokes as a user draws them (tests/data/masks)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch

from t2c_core.hints import parse_hints
from t2c_core.io.images import load_image, load_mask
from t2c_core.types import Arrow, MotionHints

from .quality_scenes import ROOT, files

FOLDER = ROOT / "tests" / "data" / "masks"
LONGER_SIDE = 512
SETS = {"a": "one arrow", "b": "two or three arrows, two pins", "c": "one careless arrow", "random": "one random arrow"}
RANDOM_ARROWS = 4


@dataclass(frozen=True)
class MaskScene:
    """name, kind: of the true mask's file. image: [1, H, W, 3]; truth: bool [H, W]."""

    name: str
    kind: str
    image: torch.Tensor
    truth: np.ndarray

    def hints(self, name: str) -> list[MotionHints]:
        """The strokes of one of SETS; several for 'random', none where nobody drew that set."""
        if name == "random":
            return list(random_arrows(self.truth, RANDOM_ARROWS))
        file = FOLDER / f"{self.name}.{self.kind}.hints_{name}.json"
        return [parse_hints(file.read_text(encoding="utf-8"))] if file.is_file() else []


def random_arrows(truth: np.ndarray, count: int, seed: int = 9) -> Iterator[MotionHints]:
    """Straight arrows of 0.12 to 0.3 of the longer side inside a mask, mostly near level; the same for one seed."""
    rng, (height, width) = np.random.default_rng(seed), truth.shape
    safe = cv2.erode(truth.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    inside = np.argwhere(safe)
    while count:
        y, x = inside[rng.integers(len(inside))]
        angle = rng.normal(0, 0.3) if rng.random() < 0.6 else rng.uniform(0, 2 * np.pi)
        reach = rng.uniform(0.12, 0.3) * max(truth.shape) * rng.choice((-1, 1))
        line = np.linspace((x, y), (x + reach * np.cos(angle), y + reach * np.sin(angle)), 40)
        px, py = np.rint(line).astype(int).T
        if (line >= 0).all() and px.max() < width and py.max() < height and safe[py, px].all():
            ends = ((line[[0, -1]] + 0.5) / (width, height)).tolist()
            yield MotionHints((Arrow(tuple(map(tuple, ends))),))
            count -= 1


@cache
def mask_scenes() -> tuple[MaskScene, ...]:
    """All scenes whose image is there."""
    scenes = []
    for file in sorted(FOLDER.glob("*.png")):
        name, kind, _ = file.name.split(".")
        if files(name)[0].is_file():
            image = load_image(files(name)[0], longer_side=LONGER_SIDE)
            truth = load_mask(file, *image.shape[1:3])[0].numpy() > 0.5
            scenes.append(MaskScene(name, kind, image, truth))
    return tuple(scenes)


def overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of two boolean masks."""
    return float((mask & truth).sum() / max(int((mask | truth).sum()), 1))
