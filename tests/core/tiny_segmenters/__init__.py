"""Folders of segmentation models: networks of transformers' own configs at tiny widths that really see a made scene.

What they compute is solved for from the scene's truth (solving.py); nothing of what is tested is used.
"""

from .classes import eomt, mask2former, maskformer, oneformer, segformer, upernet
from .made_scene import ASKED, COLOURS, FALL, LABELS, MEAN, ROCK, SEA, SIDE, SKY, STD, WORDS, scene, truth
from .words import clipseg, grounding, sam3

BACKENDS = {
    "segformer": segformer,
    "upernet": upernet,
    "mask2former": mask2former,
    "maskformer": maskformer,
    "oneformer": oneformer,
    "eomt": eomt,
    "clipseg": clipseg,
    "grounding_sam": lambda folder: grounding(folder, "sam"),
    "grounding_sam2": lambda folder: grounding(folder, "sam2"),
    "sam3": sam3,
}
NEEDS = {"eomt": "EomtConfig", "grounding_sam2": "Sam2Config", "sam3": "Sam3Config"}
"""Classes that only newer versions of transformers have."""
CLASSES = ("segformer", "upernet", "mask2former", "maskformer", "oneformer", "eomt")
"""Backends whose networks know classes; the others read words."""

__all__ = [
    "ASKED", "BACKENDS", "CLASSES", "COLOURS", "FALL", "LABELS", "MEAN", "NEEDS", "ROCK", "SEA", "SIDE", "SKY", "STD",
    "WORDS", "clipseg", "grounding", "scene", "segformer", "truth",
]  # fmt: skip
