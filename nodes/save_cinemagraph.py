"""The loop written to a file as it is rendered: memory does not grow with its length."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import folder_paths
import torch
from comfy.cli_args import args
from comfy_api.latest import io, ui

from ..t2c_core.errors import InputError
from ..t2c_core.loop.render import LoopRenderer
from ..t2c_core.loop.settings import BlendSettings
from ..t2c_core.loop.write import FORMATS, EncodeSettings, opaque_note, write_loop
from ..t2c_core.warp.plan import WarpPlan
from . import sockets
from .batch_row import append_row, manifest_row
from .schema import from_widgets, widgets
from .support import progress, render_device, report_input_errors, require_same_size, say, single_mask

DEFAULT_PREFIX = "Cinemagraph"
LONGEST_NAME = 200
"""Bytes of a file's or a folder's name; file systems allow 255."""


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
                    default=DEFAULT_PREFIX,
                    tooltip="Start of the file's name, numbered from 00001; may name sub-folders, and hold %width%, "
                    "%height%, %year%, %month%, %day%.",
                ),
                *widgets(EncodeSettings, "format"),
                *widgets(BlendSettings),
                *widgets(EncodeSettings, "frame_rate", "quality", "loops"),
                io.Mask.Input(
                    "transparency",
                    optional=True,
                    tooltip="Load Image's mask: its white parts are transparent in webp, apng, png and webm, and white "
                    "in the others.",
                ),
                io.Boolean.Input(
                    "export_job",
                    default=False,
                    optional=True,
                    advanced=True,
                    tooltip="Also adds a line to t2c_batch.jsonl beside the file: this graph's picture, hints, mask, "
                    "direction and all settings, for 't2c batch', which makes thousands of such loops.",
                ),
                # Optional: API prompts of before do not have it.
                *widgets(EncodeSettings, "seconds", seconds={"optional": True}),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[
                io.String.Output(display_name="file", tooltip="Full path of the saved file (png: of the folder).")
            ],
        )

    @classmethod
    @report_input_errors(path="filename_prefix")
    def execute(
        cls,
        warp: WarpPlan,
        filename_prefix: str,
        transparency: torch.Tensor | None = None,
        export_job: bool = False,
        **values: Any,
    ) -> io.NodeOutput:
        encoding = from_widgets(EncodeSettings, values)
        height, width = warp.image.shape[1:3]
        path, subfolder = _numbered(filename_prefix, FORMATS[encoding.format].suffix, width, height)
        # Refused, if it must be, before anything is rendered.
        row = manifest_row(cls.hidden.prompt, cls.hidden.unique_id, path.stem) if export_job else None
        alpha = _alpha(transparency, warp.image)
        renderer = LoopRenderer.from_plan(
            warp,
            from_widgets(BlendSettings, values),
            render_device(height, width),
            frames=encoding.frame_count(warp.settings.frames),
        )
        step = progress(len(renderer) * encoding.loops, "frame")
        metadata = _metadata(cls.hidden)
        write_loop(renderer, path, encoding, metadata=metadata, alpha=alpha, on_frame=step)
        if alpha is not None and not FORMATS[encoding.format].alpha:
            say(opaque_note(encoding.format))
        elif metadata and encoding.format == "gif":
            say("A gif keeps the workflow in a comment that ComfyUI's page does not read; it reads webp, apng and mp4.")
        if row:
            say(f"The job is in {append_row(path.parent, row)}")
        return io.NodeOutput(str(path), ui=_ui_results(path, subfolder))


def _alpha(transparency: torch.Tensor | None, image: torch.Tensor) -> torch.Tensor | None:
    """The loop's alpha [H, W]; None where all is opaque. Load Image's mask of an opaque file is small and black."""
    if transparency is None or not (mask := single_mask(transparency, "transparency")).any():
        return None
    return 1.0 - require_same_size(mask, image, "transparency")[0]


def _numbered(prefix: str, suffix: str, width: int, height: int) -> tuple[Path, str]:
    """A new path in the output folder and its sub-folder, named as ComfyUI's own nodes name theirs.

    What no file name may hold on Windows becomes '_'. Raises InputError for a prefix that is too long or leads outside.
    """
    output = folder_paths.get_output_directory()
    prefix = re.sub(r'[<>:"|?*\x00-\x1f\x7f]', "_", prefix.replace("\\", "/")).strip() or DEFAULT_PREFIX
    longest = max(len(part.encode()) for part in prefix.split("/"))
    if longest > LONGEST_NAME:
        problem = f"has a name of {longest} bytes; at most {LONGEST_NAME} fit beside the number and the ending."
        raise InputError("filename_prefix", problem, "Shorten it.")
    if not Path(output, Path(os.path.normpath(prefix)).parent).resolve().is_relative_to(Path(output).resolve()):
        problem = f"'{prefix}' leads outside ComfyUI's output folder."
        raise InputError("filename_prefix", problem, "Use a name such as 'loops/river'.")
    folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(prefix, output, width, height)
    return Path(folder) / f"{name}_{counter:05}_{suffix}", subfolder


def _metadata(hidden: Any) -> dict[str, str]:
    """The workflow and the prompt, to be kept in the file so that it can be dropped on ComfyUI."""
    if args.disable_metadata:
        return {}
    entries = {"prompt": hidden.prompt, **(hidden.extra_pnginfo or {})}
    return {name: json.dumps(value) for name, value in entries.items() if value is not None}


def _ui_results(path: Path, subfolder: str) -> dict[str, Any]:
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
