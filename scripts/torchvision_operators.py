"""Copied into our own environment, and imported at the start of every Python in it.

PyPI's torchvision for Linux is built for CUDA. Beside a torch without CUDA its compiled operators cannot be loaded, and
its import stops because it describes two operators that then do not exist. ComfyUI needs its Python parts only, so
the two are declared, without an implementation, just before torchvision is imported for the first time.
"""

from __future__ import annotations

import sys

_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


class OperatorsFirst:
    """An importer that finds nothing: being asked for torchvision is its cue to declare the operators."""

    library = None  # a torch.library.Library withdraws what it declared when it is collected

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> None:
        if name != "torchvision":
            return
        sys.meta_path.remove(cls)
        import torch

        if torch.version.cuda is None:
            cls.library = torch.library.Library("torchvision", "DEF")
            cls.library.define("nms" + _SIGNATURE)
            cls.library.define("qnms" + _SIGNATURE)


sys.meta_path.insert(0, OperatorsFirst)
