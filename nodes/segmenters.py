"""Segmentation models in ComfyUI's hands: their folders, loading, and running them on its device."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

import folder_paths
import torch

from ..t2c_core.errors import InputError
from ..t2c_core.segment.models.base import Scores, Step
from ..t2c_core.segment.models.folder import find_folders, no_folder
from ..t2c_core.segment.models.load import load_model
from .networks import FOLDER, WholePatcher, fingerprint, load_whole, whole_patcher

AUTO = "auto"
"""In place of a folder's name: the first there is."""
WORK_MEMORY = 2 * 2**30
"""Bytes beside the weights: networks see images of about 1000 pixels a side, whatever the size of the original."""


class ManagedSegmenter:
    """What a T2C_SEGMENTER socket carries: a segmentation model that ComfyUI moves to its device and off it again.

    Keeps its last scores, a few MB: grow, feather and threshold can be tried without running the network again.
    """

    def __init__(self, name: str, patcher: WholePatcher) -> None:
        self.name, self.patcher = name, patcher
        self._last: tuple[tuple[object, ...], Scores] | None = None

    def scores(self, image: torch.Tensor, vocabulary: Sequence[str], step: Step) -> Scores:
        """See `t2c_core.segment.models.base.SegmentationModel.scores`."""
        key = (*vocabulary, image.shape, hashlib.sha256(image.numpy().tobytes()).digest())
        if self._last is None or self._last[0] != key:
            self._last = key, load_whole(self.patcher, WORK_MEMORY).scores(image, vocabulary, step)
        return self._last[1]


def roots() -> list[Path]:
    """models/t2c/segmentation, and the same below wherever extra_model_paths.yaml puts t2c."""
    return [Path(folder) / "segmentation" for folder in folder_paths.get_folder_paths(FOLDER)]


def names() -> list[str]:
    """What can be chosen: 'auto' and every folder with a model."""
    return [AUTO, *find_folders(roots())]


def folder(name: str) -> Path:
    """The folder of a model by its name. Raises InputError that says what to put where if it is not there."""
    found = find_folders(roots())
    if name == AUTO and found:
        return next(iter(found.values()))
    if name not in found:
        # A folder that lacks its config.json is no model yet, but its loader says what is missing.
        # A workflow names it: no path that leads out, of any system.
        path = PureWindowsPath(name)
        leads_out = path.anchor or ".." in path.parts or not path.parts
        for root in roots():
            if name != AUTO and not leads_out and (root / name).is_dir():
                return root / name
        raise no_folder("" if name == AUTO else name, roots()[0])
    return found[name]


def load(name: str) -> ManagedSegmenter:
    """Load the model in a folder. Raises InputError('segmentation_model')."""
    return ManagedSegmenter(name, whole_patcher(load_model(folder(name))))


def folder_fingerprint(name: str) -> str:
    """Changes when a file of the model's folder does; '' for a model that is not there."""
    try:
        path = folder(name)
    except InputError:
        return ""
    return fingerprint(*sorted(file for file in path.rglob("*") if file.is_file()))
