"""``python -m scripts.soak [--jobs 200]``: one server, many jobs of mixed kinds; cancels, model unloads and reloads of
the page at random.

Says how much memory the server holds as it goes on and what is left behind. Exit code 1 if memory grew by more than
5 % over the second half, a temporary file is left, a job was lost, an answered one has no file, or the page failed.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .browser import find_browser
from .environment import device, prepare
from .errors import NodeFailed, RunInterrupted, ScriptError
from .paths import EXAMPLE, REPO
from .process import guarded
from .server import ComfyServer

UNFINISHED = re.compile(r"\.[0-9a-f]{8}\.(part|lock|old)")
SIZES = ((96, 64), (128, 96), (160, 120))
FORMATS = ("mp4", "webm", "webp", "gif", "apng", "png")
LIMIT = 1.05
"""Of the memory at half time, what it may be at the end."""
WORKFLOW = REPO / "workflows" / "picture_to_cinemagraph.json"
OPENED = """() => window.app?.extensionManager && app.graph
    && window.LiteGraph?.registered_node_types["SaveCinemagraph"]"""


def graph(rng: random.Random, picture: str, number: int) -> dict[str, Any]:
    """A job in API form: a loop saved, blended for other nodes, or previewed; now and then one that fails."""
    width, height = rng.choice(SIZES)
    point = [round(rng.uniform(0.2, 0.8), 3) for _ in range(2)]
    arrow = {"points": [point, [point[0] + 0.1, point[1] + 0.05]], "speed": 2.0}
    nodes: dict[str, Any] = {}

    def add(kind: str, **inputs: Any) -> list[Any]:
        nodes[str(len(nodes) + 1)] = {"class_type": kind, "inputs": inputs}
        return [str(len(nodes)), 0]

    image = add("LoadImage", image=picture)
    size = {"width": width, "height": height, "upscale_method": "area", "crop": "disabled"}
    image = add("ImageScale", image=image, **size)
    # One in twelve says nothing of what moves.
    hints = add("MotionHints", image=image, hints="{}" if rng.random() < 1 / 12 else json.dumps({"arrows": [arrow]}))
    mask = add("RealImageSegmenter", image=image, hints=hints, **_defaults["RealImageSegmenter"])
    flow = add("FlowPredictor", image=image, mask=mask, hints=hints, **_defaults["FlowPredictor"])
    kind = rng.choice(("save", "save", "blend", "preview"))
    if kind == "preview":
        add("FlowPreview", image=image, flow=flow, **_defaults["FlowPreview"])
        return nodes
    warp = add("EulerianWarp", image=image, flow=flow, **{**_defaults["EulerianWarp"], "frames": rng.randint(4, 24)})
    if kind == "blend":
        frames = add("LoopBlend", warp=warp, **_defaults["LoopBlend"])
        add("CinemagraphMetrics", images=frames, mask=mask, **_defaults["CinemagraphMetrics"])
    else:
        chosen = {"format": rng.choice(FORMATS), "filename_prefix": f"soak/{number:04}"}
        add("SaveCinemagraph", warp=warp, **{**_defaults["SaveCinemagraph"], **chosen})
    return nodes


_defaults: dict[str, dict[str, Any]] = {}
"""Required widgets of every node of ours."""


def read_defaults(info: dict[str, Any]) -> None:
    """Fill `_defaults` from /object_info."""
    for name, node in info.items():
        required = node["input"].get("required", {})
        _defaults[name] = {key: spec[1]["default"] for key, spec in required.items() if "default" in spec[-1]}


def resident(pid: int) -> float:
    """MiB that a process holds. Raises ScriptError where /proc does not say."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError as error:
        raise ScriptError("Memory is read from /proc, which this system does not have.") from error
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def is_queued(server: ComfyServer, job: str) -> bool:
    """Whether a job waits or runs; it goes into the history a moment after it leaves the queue."""
    for _ in range(5):
        queue = server.client.get("/queue")
        if any(job in entry for entries in queue.values() for entry in entries) or server.client.history(job):
            return True
        time.sleep(0.05)
    return False


class Page:
    """ComfyUI's page with a workflow and its editor open, loaded again now and then."""

    def __init__(self, raw: Any, url: str) -> None:
        self.raw, self.loads = raw, 0
        self.errors: list[str] = []
        raw.on("pageerror", lambda error: self.errors.append(str(error)))
        raw.goto(url)
        self._show()

    def reload(self) -> None:
        """Load the page and its workflow again."""
        self.raw.reload()
        self._show()

    def _show(self) -> None:
        self.raw.wait_for_function(OPENED, timeout=120_000)
        self.raw.evaluate("(w) => app.loadGraphData(w)", json.loads(WORKFLOW.read_text(encoding="utf-8")))
        self.raw.wait_for_selector(".t2c-stage", state="attached", timeout=120_000)
        self.loads += 1


@contextmanager
def open_page(server: ComfyServer) -> Iterator[Page]:
    """The server's page in a browser. Raises ScriptError where there is none."""
    from playwright.sync_api import sync_playwright

    path = find_browser()
    if not path:
        raise ScriptError("The page is reloaded in Chromium, which is not found: install one, or set T2C_BROWSER.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield Page(browser.new_page(), server.url)
        browser.close()


def run(server: ComfyServer, page: Page, jobs: int, seed: int) -> int:
    """Queue the jobs in bursts; returns the exit code."""
    rng, client = random.Random(seed), server.client
    read_defaults({k: v for k, v in server.object_info().items() if v["category"].startswith("Text2Cinemagraph")})
    picture = server.put_input(EXAMPLE)
    ended: Counter[str] = Counter()
    memory: list[float] = []
    incomplete = number = 0
    while number < jobs:
        burst = [client.queue(graph(rng, picture, number + i)) for i in range(min(rng.randint(1, 6), jobs - number))]
        number += len(burst)
        cancelled = {job for job in burst if rng.random() < 0.2}
        for job in cancelled:
            time.sleep(rng.uniform(0, 0.8))
            client.cancel(job)
        if rng.random() < 0.2:
            page.reload()
        for job in burst:
            while client.history(job) is None and is_queued(server, job):
                time.sleep(0.1)
            if client.history(job) is None:
                # Taken out of the queue before it began: the server keeps no record of it.
                ended["removed" if job in cancelled else "lost"] += 1
                continue
            try:
                result = client.wait(job)
            except NodeFailed:
                ended["failed"] += 1
            except RunInterrupted:
                ended["cancelled"] += 1
            else:
                ended["complete"] += 1
                incomplete += any(not file.exists() for file in result.files)
        if rng.random() < 0.15:
            client.post("/free", {"unload_models": True, "free_memory": True})
        assert server.process is not None
        memory.append(resident(server.process.pid))
        print(f"{number} jobs, {memory[-1]:.0f} MiB", flush=True)
    left = [p for p in server.data.rglob("*") if UNFINISHED.search(p.name)]
    half, end = max(memory[: len(memory) // 2 + 1]), memory[-1]
    print(f"{jobs} jobs: {dict(ended)}; {incomplete} incomplete; {len(left)} temporary files left")
    print(f"page: loaded {page.loads} times, errors: {page.errors}")
    print(f"memory: {memory[0]:.0f} MiB after the first jobs, {half:.0f} at most until half time, {end:.0f} at the end")
    return int(bool(left or ended["lost"] or incomplete or page.errors or end > LIMIT * half))


def main(arguments: list[str]) -> int:
    """Start a server and run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.soak", description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    environment = prepare()
    cpu = device(environment.python) == "cpu"
    with (
        tempfile.TemporaryDirectory() as folder,
        ComfyServer(environment.comfyui, environment.python, Path(folder), cpu=cpu) as server,
        open_page(server) as page,
    ):
        return run(server, page, options.jobs, options.seed)


if __name__ == "__main__":
    sys.exit(guarded(lambda: main(sys.argv[1:])))
