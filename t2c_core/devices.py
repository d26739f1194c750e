"""Which device does what: one decision for every stage."""

from __future__ import annotations

import torch

SAMPLING = frozenset({"cpu", "cuda"})
"""Types of devices that frames are rendered on (ROCm calls its devices 'cuda', too)."""


def sampling_device(device: torch.device | str) -> torch.device:
    """The device that stages which sample images run on: ``device`` itself, or the CPU where that cannot do it.

    Apple's MPS has no float64, and in older torch neither ``grid_sample(padding_mode="border")`` nor its bicubic mode;
    other accelerators' operations are not known. OpenCV on the CPU is fast. Stages of convolutions alone, such as the
    flow and segmentation networks, run on any device.
    """
    device = torch.device(device)
    return device if device.type in SAMPLING else torch.device("cpu")


def on_host(tensor: torch.Tensor) -> bool:
    """Whether to branch on a tensor's values costs nothing; elsewhere the host would wait for the device."""
    return tensor.device.type == "cpu"
