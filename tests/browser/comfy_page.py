"""Driving ComfyUI's page as a hand would: mouse, keyboard, and looking at what is there."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from scripts.server import PACK_NAME, ComfyServer

FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.UseNewMenu": "Top",
    "Comfy.Workflow.ShowMissingModelsWarning": False,
    "Comfy.Notification.ShowVersionUpdates": False,
    "Comfy.Graph.CanvasInfo": False,
    "Comfy.Minimap.Visible": False,
    "Comfy.OnboardingCoachmarks.Seen": ["appMode", "firstRun"],
}
READY = """() => window.app?.extensionManager
    && window.LiteGraph?.registered_node_types["SaveCinemagraph"]
    && app.canvas && app.graph"""

STAGE = """(index) => {
    const stage = document.querySelectorAll(".t2c-stage")[index];
    if (!stage) return null;
    const { x, y, width, height } = stage.getBoundingClientRect();
    return width && height ? { x, y, width, height, seen: width / stage.clientWidth } : null;
}"""
SETTLED = """([code, argument]) => new Promise((resolve, reject) => {
    const find = eval(code);
    let last = "null", same = 0, frames = 0;
    const look = () => {
        const found = find(argument), now = JSON.stringify(found);
        same = found && now === last ? same + 1 : 0;
        last = now;
        if (same === 10) resolve(found);
        else if (++frames === 600) reject(new Error(`not at rest after ${frames} frames: ${now}`));
        else requestAnimationFrame(look);
    };
    look();
})"""


@contextlib.contextmanager
def open_browser(path: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield browser
        browser.close()


class ComfyPage:
    """ComfyUI's page; ``raw`` is Playwright's. Nothing but the server is ever reached."""

    def __init__(self, browser: Any, server: ComfyServer, *, nodes2: bool, touch: bool = False) -> None:
        self.server, self.nodes2 = server, nodes2
        self.complaints: list[str] = []
        self.screenshots: Path | None = None
        self.cleared = 0
        self.context = browser.new_context(viewport={"width": 1600, "height": 1000}, has_touch=touch)
        self.raw = self.context.new_page()
        self.raw.set_default_timeout(20_000)
        self.raw.route("**/*", self._local_only)
        self.raw.on("pageerror", lambda error: self.complaints.append(f"{error} {getattr(error, 'stack', '')}"))
        self.raw.on("console", self._heard)

    def _local_only(self, route: Any) -> None:
        url = urlparse(route.request.url)
        if url.hostname == "127.0.0.1" or url.scheme in ("data", "blob"):
            route.continue_()
        else:
            route.abort()

    def _heard(self, message: Any) -> None:
        ours = f"/{PACK_NAME}/" in (message.location.get("url") or "") or "t2c" in message.text.lower()
        if ours and message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self) -> None:
        for name, value in {**SETTINGS, "Comfy.VueNodes.Enabled": self.nodes2}.items():
            self.server.client.post(f"/settings/{name}", value)
        self.raw.goto(f"{self.server.url}/")
        self.wait_until_ready()

    def reload(self) -> None:
        self.raw.reload()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        self.raw.wait_for_function(READY, timeout=120_000)
        self.raw.wait_for_selector("canvas#graph-canvas")
        self.raw.wait_for_timeout(1000)
        assert self.js("() => LiteGraph.vueNodesMode ?? false") is self.nodes2

    def close(self) -> None:
        self.context.close()

    def js(self, code: str, argument: Any = None) -> Any:
        return self.raw.evaluate(code, argument)

    def settled(self, code: str, argument: Any = None) -> Any:
        """The places a function of the page finds, once ten frames have not moved them: layouts come in steps."""
        return self.raw.evaluate(SETTLED, [code, argument])

    def wait_for_frames(self, count: int = 10) -> None:
        """Wait until the page has drawn so many frames: what was changed is laid out and seen."""
        code = """(count) => new Promise((resolve) => {
            const next = () => (count-- > 0 ? requestAnimationFrame(next) : resolve());
            next();
        })"""
        self.js(code, count)

    def wait(self, milliseconds: float) -> None:
        self.raw.wait_for_timeout(milliseconds)

    def shoot(self, name: str) -> None:
        kind = "nodes2" if self.nodes2 else "classic"
        self.raw.screenshot(path=str(self.screenshots / f"{kind}_{name}.png"))

    # ---- the graph --------------------------------------------------------------------------------------------

    def clear(self) -> None:
        self.js("() => document.querySelectorAll('dialog[open]').forEach((d) => d.close())")
        self.js("() => app.graph.clear()")
        # ComfyUI gives a new node the widget values of an old one that had its number: never use one twice.
        self.cleared += 1
        self.js("(n) => { app.graph.state.lastNodeId = 1000 * n; }", self.cleared)
        self.complaints.clear()

    def load(self, workflow: dict[str, Any], name: str = "test") -> None:
        self.js("([w, name]) => app.loadGraphData(w, true, true, name)", [workflow, name])
        self.wait_for_frames()

    def add(self, kind: str, at: Sequence[float], size: Sequence[float] | None = None) -> int:
        """Add a node by the graph's own call and bring it into sight; returns its id."""
        made = """([kind, at, size]) => {
            const node = LiteGraph.createNode(kind);
            node.pos = at;
            app.graph.add(node);
            if (size) node.setSize(size);
            return node.id;
        }"""
        return self.js(made, [kind, list(at), list(size) if size else None])

    def look_at(self, x: float, y: float, scale: float = 1.0) -> None:
        """Put the graph's point x, y to the window's top left, beside the menus."""
        code = """([x, y, scale]) => {
            app.canvas.ds.scale = scale;
            app.canvas.ds.offset = [80 / scale - x, 60 / scale - y];
            app.canvas.setDirty(true, true);
        }"""
        self.js(code, [x, y, scale])
        self.wait_for_frames()

    def look_at_node(self, node: int) -> None:
        """Put a node to the window's top left, in its own size."""
        x, y = self.js("(id) => [...app.graph.getNodeById(id).pos]", node)
        self.look_at(x - 20, y - 60)

    def resize(self, node: int, width: float, height: float) -> None:
        code = """([id, size]) => {
            app.graph.getNodeById(id).setSize(size);
            app.canvas.setDirty(true, true);
        }"""
        self.js(code, [node, [width, height]])
        self.wait_for_frames()

    def node(self, kind: str) -> int:
        """Id of the only node of a class."""
        found = self.js("(kind) => app.graph._nodes.filter((n) => n.comfyClass === kind).map((n) => n.id)", kind)
        assert len(found) == 1, (kind, found)
        return found[0]

    def widget(self, node: int, name: str) -> Any:
        return self.js(
            "([id, name]) => app.graph.getNodeById(id).widgets.find((w) => w.name === name).value", [node, name]
        )

    def set_widget(self, node: int, name: str, value: Any) -> None:
        code = """([id, name, value]) => {
            const node = app.graph.getNodeById(id);
            const widget = node.widgets.find((w) => w.name === name);
            widget.value = value;
            widget.callback?.(value);
        }"""
        self.js(code, [node, name, value])

    def link(self, start: int, output: str, end: int, name: str) -> None:
        code = """([start, output, end, name]) => {
            const a = app.graph.getNodeById(start), b = app.graph.getNodeById(end);
            a.connect(a.outputs.findIndex((o) => (o.label ?? o.name) === output || o.name === output), b,
                b.inputs.findIndex((i) => i.name === name));
        }"""
        self.js(code, [start, output, end, name])

    def linked(self, node: int, name: str) -> bool:
        code = "([id, name]) => app.graph.getNodeById(id).inputs.find((i) => i.name === name).link != null"
        return self.js(code, [node, name])

    def slot(self, node: int, name: str, *, is_input: bool) -> tuple[float, float]:
        """Where a socket is in the window."""
        code = """([id, name, isInput]) => {
            const node = app.graph.getNodeById(id);
            const slots = isInput ? node.inputs : node.outputs;
            const index = slots.findIndex((s) => s.name === name || s.label === name || s.localized_name === name);
            const key = `${id}-${isInput ? "in" : "out"}-${index}`;
            const element = document.querySelector(`[data-slot-key="${key}"]`);
            if (element) {
                const rect = element.getBoundingClientRect();
                return [rect.x + rect.width / 2, rect.y + rect.height / 2];
            }
            const [x, y] = node.getConnectionPos(isInput, index);
            const rect = app.canvas.canvas.getBoundingClientRect();
            const { scale, offset } = app.canvas.ds;
            return [rect.x + (x + offset[0]) * scale, rect.y + (y + offset[1]) * scale];
        }"""
        return tuple(self.settled(code, [node, name, is_input]))

    def connect(self, start: int, output: str, end: int, name: str) -> bool:
        """Drag a wire with the mouse; whether it holds."""
        self.drag([self.slot(start, output, is_input=False), self.slot(end, name, is_input=True)])
        self.wait(200)
        return self.linked(end, name)

    def drag(self, points: Sequence[Sequence[float]], *, button: str = "left", steps: int = 8) -> None:
        mouse = self.raw.mouse
        mouse.move(*points[0])
        mouse.down(button=button)
        for point in points[1:]:
            mouse.move(*point, steps=steps)
        mouse.up(button=button)

    def prompt(self) -> dict[str, Any]:
        return self.js("async () => (await app.graphToPrompt()).output")

    def run(self, press: Any, timeout: float = 240) -> str:
        """Call ``press`` (which queues) and wait for the run's end: 'success', or what went wrong."""
        listen = """(timeout) => { window.t2cRun = new Promise((resolve) => {
            app.api.addEventListener("execution_success", () => resolve("success"), { once: true });
            app.api.addEventListener("execution_error", (e) => resolve(e.detail.exception_message), { once: true });
            setTimeout(() => resolve("timeout"), timeout * 1000);
        }); }"""
        self.js(listen, timeout)
        press()
        return self.js("() => window.t2cRun")

    def wait_for_playing(self) -> None:
        """Wait until a video in the page plays."""
        playing = "() => [...document.querySelectorAll('video')].some((v) => v.currentTime > 0 && !v.paused)"
        self.raw.wait_for_function(playing)

    # ---- the editor -------------------------------------------------------------------------------------------

    def stage(self, index: int = 0) -> dict[str, float]:
        """Where the editor's stage lies in the window."""
        return self.settled(STAGE, index)

    def wait_for_picture(self) -> None:
        """Wait until the editor has drawn its picture."""
        drawn = """() => {
            const canvas = document.querySelector(".t2c-image"), note = document.querySelector(".t2c-note");
            if (!canvas?.width || !canvas.height || !note.hidden) return false;
            return canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data[3] === 255;
        }"""
        self.raw.wait_for_function(drawn)

    def picture_box(self, picture: Sequence[float], index: int = 0) -> tuple[float, float, float, float]:
        """Where a fitted picture of a width and height lies in the window: x, y, width, height (margin 6)."""
        box = self.stage(index)
        margin = 6 * box["seen"]
        scale = min((box["width"] - 2 * margin) / picture[0], (box["height"] - 2 * margin) / picture[1])
        width, height = picture[0] * scale, picture[1] * scale
        return box["x"] + (box["width"] - width) / 2, box["y"] + (box["height"] - height) / 2, width, height

    def on_picture(
        self, picture: Sequence[float], points: Sequence[Sequence[float]], index: int = 0
    ) -> list[tuple[float, float]]:
        """Normalised points of a picture of a width and height as places in the window."""
        x, y, width, height = self.picture_box(picture, index)
        return [(x + u * width, y + v * height) for u, v in points]

    def press(self, name: str) -> None:
        """Press a button of the editor."""
        self.raw.locator(f'[data-t2c="{name}"]').first.click()

    def key(self, key: str) -> None:
        self.raw.keyboard.press(key)

    def hints(self, node: int | None = None) -> dict[str, Any]:
        return json.loads(self.widget(self.node("MotionHints") if node is None else node, "hints"))

    def painted(self, layer: str, index: int = 0) -> int:
        """How many pixels of the window a layer of the stage (image, live, hints, overlay) covers."""
        code = """([layer, index]) => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => {
            const canvas = document.querySelectorAll(".t2c-stage")[index].querySelector(`.t2c-${layer}`);
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let count = 0;
            for (let i = 3; i < data.length; i += 4) if (data[i] > 8) count++;
            resolve(Math.round(count * (canvas.getBoundingClientRect().width / canvas.width) ** 2));
        })))"""
        return self.js(code, [layer, index])
