"""What one loop is rendered from: image, motion field and settings. T2C_WARP sockets carry a WarpPlan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from ..errors import InputError
from ..settings import Settings, setting
from ..types import MotionField

RENDERERS = ("gather", "splat")
INTEGRATIONS = ("rk4", "bilinear", "nearest")
CYCLES = ("auto", *(str(number) for number in range(1, 13)))
MOST_FRAMES = 100_000
"""Almost an hour at 30 frames per second: more is a mistake."""


@dataclass(frozen=True)
class WarpSettings(Settings):
    """How the image is moved along its field. Frame N would equal frame 0 and is never produced."""

    frames: int = setting(
        60,
        "Length of the loop. 60 suits waterfalls, 120 the sea; more lets things travel farther.",
        low=2,
        high=MOST_FRAMES,
        step=1,
    )
    speed: float = setting(1.0, "Multiplies the motion, without predicting it again.", low=0.0, high=100.0, step=0.05)
    renderer: str = setting(
        "gather",
        "'gather' looks up where each pixel came from: sharp and fast. 'splat' pushes pixels forward as the paper "
        "does.",
        choices=RENDERERS,
        advanced=True,
    )
    integration: str = setting(
        "rk4",
        "How paths are followed: 'rk4' is the most exact, 'bilinear' plain steps, 'nearest' the published code's.",
        choices=INTEGRATIONS,
        advanced=True,
    )
    network_still: bool = setting(
        False,
        "With a t2c_model: show the network's picture in the still parts too, as the paper does. Off keeps the "
        "original pixels there.",
        advanced=True,
    )
    cycles: str = setting(
        "auto",
        "How often every place starts again from the picture within the loop. 'auto' follows the picture, place by "
        "place, so that falls and rocks keep their shape; 1 is the paper's single long cross-fade.",
        choices=CYCLES,
        advanced=True,
    )


VideoLoader = Callable[[int], tuple[torch.nn.Module, torch.device]]
"""Gives a `t2c_core.networks.video.Video` and the device it is on, where that many bytes are free for its work."""


@dataclass(frozen=True)
class WarpPlan:
    """Everything needed to render any frame of the loop; no frames (a few MB).

    image: [1, H, W, 3] float 0..1, what is animated. flow: its motion field at the same size. metric: softmax splatting
    metric Z [1, 1, H, W]; None gives every pixel the same weight. network: renders the frames from features instead of
    pixels. Raises InputError for shapes that do not fit.
    """

    image: torch.Tensor
    flow: MotionField
    settings: WarpSettings = WarpSettings()
    metric: torch.Tensor | None = field(default=None, compare=False)
    network: VideoLoader | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        p = self.image
        if p.ndim != 4 or p.shape[-1] != 3:
            raise InputError("image", f"needs shape [1, H, W, 3], not {list(p.shape)}.")
        if p.shape[0] != 1:
            raise InputError(
                "image",
                f"holds {p.shape[0]} pictures; one loop is made from one picture.",
                "Choose one with 'Get Image from Batch', or put 'Rebatch Images' (batch size 1) before this node "
                "to get one loop for each.",
            )
        if tuple(p.shape[1:3]) != self.flow.size:
            raise InputError(
                "flow",
                f"was made for a {self.flow.size[1]}x{self.flow.size[0]} picture, "
                f"the image is {p.shape[2]}x{p.shape[1]}.",
                "Make the flow from this image, or scale one of them to the other's size.",
            )
        z = self.metric
        if z is not None and tuple(z.shape) != (1, 1, *self.flow.size):
            raise InputError("metric", f"has shape {list(z.shape)}; needs {[1, 1, *self.flow.size]}.")
