"""The second half of run.py, in the environment that has all requirements: start ComfyUI, run the workflow, collect.

Called as ``run.py --job COMFYUI_FOLDER user|own [options of run.py]``.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .client import Graph, Progress
from .command import parse
from .environment import device
from .errors import ScriptError, ServerFailed
from .paths import DATA, EXAMPLE, LOGS, RUN
from .process import Terminated, locked
from .server import PACK_NAME, ComfyServer, checkpoint_folder, user_models
from .workflow_api import load_workflow, to_api

SERVER_LOG = LOGS / "comfyui.log"


def main(arguments: list[str]) -> int:
    comfyui, owner = Path(arguments[0]), arguments[1]
    options = parse(arguments[2:])
    DATA.mkdir(parents=True, exist_ok=True)
    with locked(RUN / "data.lock", "Another run of this command is going on (perhaps with --ui); end it first."):
        python = Path(sys.executable)
        computes_on = "cpu" if options.cpu else device(python)
        print(f"Starting ComfyUI ({comfyui}) on {computes_on} ...", flush=True)
        server = ComfyServer(
            comfyui,
            python,
            DATA,
            port=options.port,
            log=SERVER_LOG,
            cpu=computes_on == "cpu",
            arguments=[
                *(user_models(DATA, comfyui) if owner == "user" else ()),
                *(checkpoint_folder(DATA, options.checkpoint) if options.checkpoint else ()),
            ],
        )
        with contextlib.ExitStack() as stack:
            if options.verbose:
                stack.enter_context(_shown(SERVER_LOG))
            return (_open_page if options.ui else _make_loop)(server, options)


def _make_loop(server: ComfyServer, options: Any) -> int:
    """Run the example workflow once and put what it wrote into the output folder."""
    began = time.monotonic()
    options.output.mkdir(parents=True, exist_ok=True)
    # Beside its destination, so that finished files are only renamed, and a failure leaves nothing.
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=options.output) as folder:
        server.output = server.client.output = Path(folder).resolve()
        with server:
            _check_pack(server)
            graph = to_api(load_workflow(options.workflow), server.object_info())
            fill_in(graph, _values(server, options))
            with _progress_line() as show:
                result = server.run(graph, on_progress=show)
        videos = [file for file in result.files if file.suffix in (".mp4", ".webm")]
        if not videos:
            raise ScriptError(f"The workflow wrote no video. ComfyUI's log: {SERVER_LOG}")
        sheet = Path(folder) / "contact_sheet.jpg"
        _contact_sheet(videos[0], sheet)
        kept = keep([*result.files, sheet], options.output, _stem(options))
    print(f"Done in {time.monotonic() - began:.0f} s:")
    for file in kept:
        print(f"  {file} ({file.stat().st_size / 1e6:.1f} MB)")
    return 0


def _check_pack(server: ComfyServer) -> None:
    error = server.pack_error()
    if error:
        raise ServerFailed(error)


def _values(server: ComfyServer, options: Any) -> dict[tuple[str, str], Any]:
    """(class of node, widget) -> what the options put there."""
    values: dict[tuple[str, str], Any] = {
        ("MotionHints", "hints"): options.hints and options.hints.read_text(encoding="utf-8"),
        ("EulerianWarp", "frames"): options.frames,
        ("PhotoTwin", "style"): options.style,
        ("PrimitiveStringMultiline", "value"): options.prompt,
        ("TwinPromptSampler", "steps"): options.steps,
        ("TwinPromptSampler", "seed"): options.seed,
        ("CheckpointLoaderSimple", "ckpt_name"): options.checkpoint and options.checkpoint.name,
    }
    if options.prompt is None:
        values["LoadImage", "image"] = server.put_input((options.picture or EXAMPLE).resolve())
    return {where: value for where, value in values.items() if value is not None}


def _stem(options: Any) -> str:
    """What the files are called after: the picture, or the first words of the prompt."""
    if options.prompt is None:
        return (options.picture or EXAMPLE).stem
    return "_".join(re.findall(r"[a-z0-9]+", options.prompt.lower())[:6]) or "prompt"


def fill_in(graph: Graph, values: Mapping[tuple[str, str], Any]) -> None:
    """Put values into (class of node, widget) of the workflow. Raises ScriptError if it has no such node."""
    for (class_type, name), value in values.items():
        nodes = [node for node in graph.values() if node["class_type"] == class_type]
        if not nodes:
            raise ScriptError(f"The workflow has no {class_type} node whose {name} could be set.")
        for node in nodes:
            node["inputs"][name] = value


def keep(files: Sequence[Path], output: Path, stem: str) -> list[Path]:
    """Move files to ``output`` as stem_001.mp4, stem_001_contact_sheet.jpg ...; the number is the first unused one."""
    number = 1
    while any(output.glob(f"{stem}_{number:03}[._]*")):
        number += 1
    kept: list[Path] = []
    for file in files:
        name = f"{stem}_{number:03}" + ("_contact_sheet" if file.stem == "contact_sheet" else "")
        target = output / f"{name}{file.suffix}"
        copy = 2
        while target in kept:
            target = output / f"{name}_{copy}{file.suffix}"
            copy += 1
        shutil.move(file, target)
        kept.append(target)
    return kept


def _contact_sheet(video: Path, target: Path) -> None:
    from PIL import Image

    from t2c_core.loop.contact_sheet import contact_sheet
    from t2c_core.loop.read import read_frames

    Image.fromarray(contact_sheet(read_frames(video))).save(target, quality=92)


def _open_page(server: ComfyServer, options: Any) -> int:
    """Leave ComfyUI running with the workflow open in a browser, until a signal ends us; Ctrl+C is success."""
    options.output.mkdir(parents=True, exist_ok=True)
    server.output = server.client.output = options.output.resolve()
    with server:
        _check_pack(server)
        for picture in EXAMPLE.parent.glob("*.jpg"):
            server.put_input(picture)
        page = f"{server.url}/?template={options.workflow.stem}&source={PACK_NAME}"
        print(f"ComfyUI is open with the workflow: {page}")
        print(f"(There it is also: Templates > Extensions > {PACK_NAME} > {options.workflow.stem}.)")
        try:
            print(f"Press Run in the page. Files go to {server.output}. Ctrl+C here stops ComfyUI.", flush=True)
            if (
                os.name != "posix"
                or sys.platform == "darwin"
                or os.environ.get("DISPLAY")
                or "WAYLAND_DISPLAY" in os.environ
            ):
                webbrowser.open(page)
            while server.death() is None:
                time.sleep(0.5)
        except KeyboardInterrupt as stop:
            if isinstance(stop, Terminated):
                raise
            print("\nStopping ComfyUI.")
            return 0
        raise ServerFailed(server.death() or "ComfyUI has stopped.")


@contextlib.contextmanager
def _progress_line() -> Iterator[Callable[[Progress], None]]:
    """A function that shows progress: one line that is rewritten in a terminal, a few lines otherwise."""
    live = sys.stdout.isatty()
    last: dict[str, Any] = {"node": None, "tenth": -1}

    def show(progress: Progress) -> None:
        fraction = progress.value / progress.total if progress.total else 0.0
        fresh = progress.node_id != last["node"]
        if live:
            bar = "#" * round(30 * fraction)
            text = f"  {progress.class_type:<22.22} [{bar:<30}] {progress.value:g}/{progress.total:g}"
            sys.stdout.write(("\n" if fresh and last["node"] else "\r") + text + " " * 8)
        elif fresh or int(fraction * 4) != last["tenth"]:
            steps = f" {progress.value:g}/{progress.total:g}" if not fresh else ""
            sys.stdout.write(f"  {progress.class_type}{steps}\n")
        last.update(node=progress.node_id, tenth=int(fraction * 4))
        sys.stdout.flush()

    try:
        yield show
    finally:
        if live and last["node"]:
            sys.stdout.write("\n")


@contextlib.contextmanager
def _shown(log: Path) -> Iterator[None]:
    """Copy what is appended to a log to the terminal meanwhile."""
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    ended = threading.Event()

    def follow() -> None:
        with log.open(encoding="utf-8", errors="replace") as file:
            while True:
                finished = ended.is_set()
                sys.stdout.write(file.read())
                sys.stdout.flush()
                if finished:
                    return
                ended.wait(0.2)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(2)
