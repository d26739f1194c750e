"""Masks from strokes against true masks drawn by hand.

    python -m benchmarks.masks [--write docs/masks.md] [--sheet FILE]

Intersection over union of what each method makes of one arrow, of a small set of arrows and pins, of a careless arrow
and of random arrows. The shipped classifiers were trained on none of these images. Times are processor seconds on one
thread. ``--sheet`` writes an image of all masks.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from t2c_core.io.images import save_image
from t2c_core.segment.from_hints import mask_from_hints
from t2c_core.segment.interactive.classifier import load_classifier
from t2c_core.segment.overlay import mask_overlay
from t2c_core.types import MotionHints

from .documents import rewrite
from .mask_scenes import RANDOM_ARROWS, SETS, MaskScene, mask_scenes, overlap
from .random_walker_mask import random_walker_mask

Method = Callable[[torch.Tensor, MotionHints], torch.Tensor]
MARKERS = ("<!-- masks: begin -->", "<!-- masks: end -->")
TIMED_SIDES = (512, 2048)
THUMBNAIL = 240


def methods() -> dict[str, Method]:
    """Name -> method; without the extra 'masks' there is no 'network'."""
    network, table = load_classifier(), load_classifier(network=False)
    found: dict[str, Method] = {"random walker": random_walker_mask}
    if network.weights is not None:
        found["network"] = partial(mask_from_hints, classifier=network)
    return found | {"table": partial(mask_from_hints, classifier=table)}


def judge(scene: MaskScene, method: Method, strokes: str) -> dict[str, float] | None:
    """Mean IoU over a scene's strokes of one set, area that leaks and that is missed (of the image); None without."""
    figures = []
    for hints in scene.hints(strokes):
        mask = method(scene.image, hints)[0].numpy() > 0.5
        leak, miss = float((mask & ~scene.truth).mean()), float((scene.truth & ~mask).mean())
        figures.append((overlap(mask, scene.truth), leak, miss))
    return dict(zip(("iou", "leak", "miss"), np.mean(figures, 0).tolist(), strict=True)) if figures else None


def processor_seconds(method: Method, scene: MaskScene, side: int) -> float:
    """Processor time of one mask with the longer side ``side``."""
    scale = side / max(scene.image.shape[1:3])
    image = F.interpolate(scene.image.movedim(-1, 1), scale_factor=scale, mode="bilinear").movedim(1, -1)
    begin = time.process_time()
    method(image, scene.hints("b")[0])
    return time.process_time() - begin


def report(names: list[str], figures: dict[tuple[str, str, str], dict[str, float] | None], seconds: str) -> str:
    """The document's tables. figures: by scene, method and set of strokes."""
    scenes = list(dict.fromkeys(scene for scene, _, _ in figures))
    heads = [f"{strokes}: {name}" for strokes in SETS for name in names]
    lines = [f"| image, kind | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for scene in scenes:
        cells = [figures[scene, name, strokes] for strokes in SETS for name in names]
        texts = [f"{cell['iou']:.2f}" if cell else "" for cell in cells]
        lines.append(f"| {scene} | {' | '.join(texts)} |")
    columns = [[c for s in scenes if (c := figures[s, name, strokes])] for strokes in SETS for name in names]
    for label, key, reduce in (("mean", "iou", np.mean), ("least", "iou", np.min)):
        lines.append(f"| **{label}** | {' | '.join(f'{reduce([c[key] for c in column]):.2f}' for column in columns)} |")
    for label in ("leak", "miss"):
        cells = [f"{100 * np.mean([c[label] for c in column]):.1f} %" for column in columns]
        lines.append(f"| {label}, mean | {' | '.join(cells)} |")
    legend = "; ".join(f"**{name}**: {text}" for name, text in SETS.items())
    return f"{legend} (mean of {RANDOM_ARROWS}). IoU.\n\n" + "\n".join(lines) + f"\n\n{seconds}"


def sheet(scenes: tuple[MaskScene, ...], found: dict[str, Method], strokes: str) -> torch.Tensor:
    """Overlays [H, W, 3]: one row a scene; the true mask, then each method's."""
    rows = []
    for scene in scenes:
        hints = scene.hints(strokes)[0]
        masks = [torch.from_numpy(scene.truth.astype(np.float32))[None]]
        masks += [method(scene.image, hints) for method in found.values()]
        row = [mask_overlay(scene.image, mask)[0].numpy() for mask in masks]
        height, width = row[0].shape[:2]
        scale = THUMBNAIL / max(height, width)
        size = round(width * scale), round(height * scale)
        tiles = [cv2.resize(tile, size, interpolation=cv2.INTER_AREA) for tile in row]
        rest = ((0, THUMBNAIL - size[1]), (0, THUMBNAIL - size[0]), (0, 0))
        rows.append(np.concatenate([np.pad(tile, rest) for tile in tiles], 1))
    return torch.from_numpy(np.concatenate(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the tables between its markers")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write an image of the masks of set b")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found, scenes = methods(), mask_scenes()
    figures = {}
    for scene in scenes:
        for name, method in found.items():
            for strokes in SETS:
                figures[f"{scene.name}, {scene.kind}", name, strokes] = judge(scene, method, strokes)
        print(scene.name, scene.kind, flush=True)
    times = []
    for name, method in found.items():
        taken = [f"{processor_seconds(method, scenes[0], side):.2f}" for side in TIMED_SIDES]
        times.append(f"{name} {' / '.join(taken)} s")
    sides = " / ".join(map(str, TIMED_SIDES))
    text = report(list(found), figures, f"Processor time on one thread, longer side {sides} px: {'; '.join(times)}.")
    print(text)
    if arguments.write:
        rewrite(arguments.write, text, *MARKERS, make=True)
    if arguments.sheet:
        save_image(sheet(scenes, found, "b"), arguments.sheet)


if __name__ == "__main__":
    main()
