"""The loop written to a file as it is rendered: memory does not grow with its length."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import folder_paths
from comfy.cli_args import args
from comfy_api.latest import io, ui

from ..t2c_core.errors import InputError
from ..t2c_core.loop.render import LoopRenderer
from ..t2c_core.loop.write import FORMATS, write_loop
from ..t2c_core.types import WarpPlan
from . import sockets
from .blend_inputs import blend_inputs
from .networks import ready_plan
from .support import explained, progress, render_device

FORMAT_HELP = "; ".join(f"{name}: {kind.description}" for name, kind in FORMATS.items())


class SaveCinemagraph(io.ComfyNode):
    """T2C_WARP in, a file in ComfyUI's output folder out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SaveCinemagraph",
            display_name="Save Cinemagraph",
            category=sockets.CATEGORY,
            description="Renders the seamless loop and saves it, frame by frame: memory stays the same for any length. "
            "Saved under a temporary name and renamed when complete, so cancelling leaves nothing behind.",
            search_aliases=["save loop", "export gif", "export mp4", "save webp", "save video", "write cinemagraph"],
            is_output_node=True,
            inputs=[
                sockets.Warp.Input("warp", tooltip="From Eulerian Warp."),
                io.String.Input(
                    "filename_prefix",
                    default="Cinemagraph",
                    tooltip="Start of the file's name, numbered from 00001; may name sub-folders, and hold %width%, "
                    "%height%, %year%, %month%, %day%.",
                ),
                io.Combo.Input("format", options=list(FORMATS), default="mp4", tooltip=f"{FORMAT_HELP}."),
                *blend_inputs(),
                io.Float.Input(
                    "frame_rate",
                    default=30.0,
                    min=1.0,
                    max=120.0,
                    step=1.0,
                    round=0.001,
                    tooltip="Frames per second. A gif plays the nearest rate it can hold.",
                ),
                io.Int.Input(
                    "quality",
                    default=90,
                    min=1,
                    max=100,
                    tooltip="Higher is better and larger. apng and png are lossless at any quality, webp is at 100.",
                ),
                io.Int.Input(
                    "loops",
                    default=1,
                    min=1,
                    max=100,
                    tooltip="How often the loop is repeated inside a video file (mp4, webm), for players that do not "
                    "repeat. Leave it at 1 for the others: they loop by themselves for ever.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="file", tooltip="Full path of the saved file (png: of the folder).")
            ],
        )

    @classmethod
    @explained(path="filename_prefix")
    def execute(
        cls,
        warp: WarpPlan,
        filename_prefix: str,
        format: str,
        blend: str,
        anchor: float,
        frame_rate: float,
        quality: int,
        loops: int,
    ) -> io.NodeOutput:
        height, width = warp.picture.shape[1:3]
        path, subfolder = _numbered(filename_prefix, FORMATS[format].suffix, width, height)
        warp, device = ready_plan(warp)
        renderer = LoopRenderer(warp, blend, device or render_device(height, width), anchor=anchor)
        write_loop(
            renderer,
            path,
            frame_rate=frame_rate,
            format=format,
            quality=quality,
            loops=loops,
            metadata=_metadata(cls.hidden),
            on_frame=progress(len(renderer) * loops),
        )
        return io.NodeOutput(str(path), ui=_shown(path, subfolder))


def _numbered(prefix: str, suffix: str, width: int, height: int) -> tuple[Path, str]:
    """A new path in the output folder and its sub-folder, named as ComfyUI's own nodes name theirs."""
    try:
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            prefix, folder_paths.get_output_directory(), width, height
        )
    except OSError:
        raise
    except Exception as error:  # ComfyUI raises a bare Exception for a prefix that leaves its output folder
        raise InputError(
            "filename_prefix", f"'{prefix}' leads outside ComfyUI's output folder.", "Use a name such as 'loops/river'."
        ) from error
    return Path(folder) / f"{name}_{counter:05}_{suffix}", subfolder


def _metadata(hidden: Any) -> dict[str, str]:
    """The workflow and the prompt, to be kept in the file so that it can be dropped on ComfyUI."""
    if args.disable_metadata:
        return {}
    entries = {"prompt": hidden.prompt, **(hidden.extra_pnginfo or {})}
    return {name: json.dumps(value) for name, value in entries.items() if value is not None}


def _shown(path: Path, subfolder: str) -> dict[str, Any]:
    """What the page shows: the file; for a folder its first picture, and the folder itself for API clients."""
    if path.is_dir():
        first = min(item.name for item in path.iterdir())
        results = [ui.SavedResult(first, str(Path(subfolder, path.name).as_posix()), io.FolderType.output)]
        folders = [ui.SavedResult(path.name, subfolder, io.FolderType.output)]
        return {"images": results, "animated": (False,), "folders": folders}
    # The page takes every animated file that is no .webp or .png for a video, which a gif is not.
    return {
        "images": [ui.SavedResult(path.name, subfolder, io.FolderType.output)],
        "animated": (path.suffix != ".gif",),
        "folders": [],
    }
