"""Text2Cinemagraph (arXiv 2307.03190) as a library: image in, seamless cinemagraph out. Never imports ComfyUI.

The stages, each with its settings: :func:`generate_twins` (prompt to a pair of images), :func:`segment_fluid` (image to
mask), :func:`predict_flow` (mask to motion field), :class:`LoopRenderer` (field to frames), :func:`write_loop` (frames
to a file), :func:`measure_loop` (frames to a report). Images are float32 [1, H, W, 3] in 0..1, masks [1, H, W],
velocities [1, 2, H, W] in px/frame. A value that cannot be used raises :class:`InputError`, which names it.

>>> import tempfile, torch
>>> from pathlib import Path
>>> from t2c_core import Arrow, LoopFile, LoopRenderer, LoopSettings, MaskSettings, MotionHints
>>> from t2c_core import measure_loop, predict_flow, segment_fluid, write_loop
>>> image = torch.rand(1, 48, 64, 3, generator=torch.Generator().manual_seed(0))
>>> drawn = torch.zeros(1, 48, 64)
>>> drawn[:, 16:] = 1.0  # the sky above stays
>>> hints = MotionHints(arrows=(Arrow(((0.1, 0.7), (0.9, 0.7)), speed=4.0),))
>>> fluid = segment_fluid(image, hints=hints, mask=drawn, settings=MaskSettings(method="mask", feather=2.0))
>>> flow = predict_flow(image, fluid.mask, hints=hints)
>>> bool(flow.velocity[0, 0, 33, 32] > 0.4), bool(flow.velocity[0, :, :16].any())
(True, False)
>>> loop = LoopRenderer(image, flow, LoopSettings(frames=4))
>>> with tempfile.TemporaryDirectory() as folder:
...     LoopFile(write_loop(loop, Path(folder) / "loop.mp4")).info.frames
4
>>> report = measure_loop(loop, fluid.mask, flow)
>>> report.frames, report.static_error_max
(4, 0.0)

Importing a name imports what it needs; ``import t2c_core`` alone imports nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .pipeline import *  # noqa: F403

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """A name of the pipeline. Submodules are left to the import system, which asks here first."""
    private = name.startswith("__") and name != "__all__"
    if not private and importlib.util.find_spec(f"{__name__}.{name}") is None:
        pipeline = importlib.import_module(".pipeline", __name__)
        names = sorted(key for key, value in vars(pipeline).items() if key[0] != "_" and not inspect.ismodule(value))
        if name == "__all__" or name in names:
            return names if name == "__all__" else getattr(pipeline, name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})
