"""Segmentation models in ComfyUI's hands: where their folders are, how they are loaded, moved, kept and unloaded."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.model_patcher
import folder_paths
import torch
from comfy.patcher_extension import CallbacksMP

from ..t2c_core.segment.models.base import Scores
from ..t2c_core.segment.models.find import score
from ..t2c_core.segment.models.folder import find_folders, no_folder
from ..t2c_core.segment.models.load import load_model
from .networks import FOLDER

AUTO = "auto"
"""In place of a folder's name: the first there is."""
WORK_MEMORY = 2 * 2**30
"""Room made on the graphics card beside the weights: pictures of about 1000 pixels and their features."""

LINGER = 5.0
"""Seconds between ComfyUI's unloading a model and its weights leaving the memory."""

_kept: dict[tuple[str, int], Any] = {}
"""The last model's patcher, as long as ComfyUI keeps it loaded."""
_leaving: set[tuple[str, int]] = set()
"""Which of them was unloaded and has not been used since."""
_lock = threading.Lock()
_scored: dict[tuple[Any, ...], Scores] = {}
"""The last answer, a few MB: grow, feather and threshold can be tried without running the model again."""


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
        for root in roots():
            if name != AUTO and (root / name).is_dir():
                return root / name
        raise no_folder("" if name == AUTO else name, roots()[0])
    return found[name]


def look(name: str, picture: torch.Tensor, words: str, progress: Callable[[int], Callable[[int], None]]) -> Scores:
    """What a model says of a picture [1, H, W, 3] and of a list of words. Raises InputError.

    progress: makes a function to call with the finished parts, of their number.
    """
    path = folder(name)
    stamp = _stamp(path)
    key = (*stamp, words, tuple(picture.shape), hashlib.sha256(picture.numpy().tobytes()).hexdigest())
    if key in _scored:
        return _scored[key]
    _scored.clear()
    with _lock:
        _leaving.discard(stamp)
        patcher = _patcher(path, stamp)
    comfy.model_management.load_models_gpu([patcher], memory_required=WORK_MEMORY)
    step: list[Callable[[int], None]] = []

    def on_step(done: int, total: int) -> None:
        if not step:
            step.append(progress(total))
        step[0](done)

    _scored[key] = score(patcher.model, picture, words, step=on_step)
    return _scored[key]


def _stamp(path: Path) -> tuple[str, int]:
    """A folder and when anything in it was changed."""
    files = [file for file in path.rglob("*") if file.is_file()]
    return str(path), max((file.stat().st_mtime_ns for file in files), default=0)


def _drop(stamp: tuple[str, int]) -> None:
    """Let go of a model that was unloaded, unless it was asked for again."""
    with _lock:
        if stamp in _leaving:
            _leaving.discard(stamp)
            _kept.pop(stamp, None)


def _patcher(path: Path, stamp: tuple[str, int]) -> Any:
    if stamp not in _kept:
        _kept.clear()
        manage = comfy.model_management
        patcher = comfy.model_patcher.ModelPatcher(
            load_model(path), load_device=manage.get_torch_device(), offload_device=manage.unet_offload_device()
        )

        def forget(_: Any, unpatch_all: bool) -> None:
            if unpatch_all:  # else it is only moved
                # Not at once: ComfyUI is walking its list of loaded models, and a model that vanished would shorten it.
                _leaving.add(stamp)
                timer = threading.Timer(LINGER, _drop, [stamp])
                timer.daemon = True
                timer.start()

        patcher.add_callback(CallbacksMP.ON_DETACH, forget)
        _kept[stamp] = patcher
    return _kept[stamp]
