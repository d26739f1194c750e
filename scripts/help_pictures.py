"""Makes the pictures of the help pages: every node as the page shows it after a run.

``python -m scripts.help_pictures`` starts the ComfyUI that run.py has installed, runs the example workflows in a real
Chromium (package playwright) and writes js/docs/pictures/<node id>.webp.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from .browser import find_browser
from .environment import device, prepare
from .paths import EXAMPLE, PAINTED, PLAIN, REPO, WORKFLOWS
from .server import ComfyServer
from .workflow_api import load_workflow

PICTURES = REPO / "js" / "docs" / "pictures"
READY = "() => window.app?.extensionManager && window.LiteGraph?.registered_node_types['SaveCinemagraph'] && app.graph"
FRAMES = 24
AFTER_PLAIN = (
    "MotionHints",
    "RealImageSegmenter",
    "FlowPredictor",
    "EulerianWarp",
    "SaveCinemagraph",
    "LoopBlend",
    "FlowPreview",
    "FlowToImage",
    "ImageToFlow",
    "CinemagraphMetrics",
)
PREPARE = """(frames) => {
    for (const node of app.graph._nodes) {
        if (node.comfyClass === "EulerianWarp") node.widgets.find((w) => w.name === "frames").value = frames;
        if (node.comfyClass === "MotionHints") node.setSize([460, 640]);
    }
}"""
MORE = """() => {
    const find = (kind) => app.graph._nodes.find((n) => n.comfyClass === kind);
    const add = (kind, x, y, width, height) => {
        const node = LiteGraph.createNode(kind);
        node.pos = [x, y];
        app.graph.add(node);
        node.setSize([width, height]);
        return node;
    };
    const link = (a, out, b, name) => a.connect(
        a.outputs.findIndex((o) => (o.label ?? o.name) === out || o.name === out), b,
        b.inputs.findIndex((i) => i.name === name));
    const [load, flow, warp] = [find("LoadImage"), find("FlowPredictor"), find("EulerianWarp")];
    const blend = add("LoopBlend", 2800, 0, 360, 560);
    const shown = add("FlowPreview", 3300, 0, 360, 520);
    const image = add("FlowToImage", 3800, 0, 300, 120);
    const back = add("ImageToFlow", 4300, 0, 300, 120);
    const again = add("FlowPreview", 5300, 0, 360, 520);
    const metrics = add("CinemagraphMetrics", 4800, 0, 320, 160);
    link(warp, "warp", blend, "warp");
    link(load, "IMAGE", shown, "image");
    link(flow, "flow", shown, "flow");
    link(flow, "flow", image, "flow");
    for (const output of image.outputs) {
        const input = back.inputs.find((s) => s.type === output.type && s.link == null && !s.widget);
        if (input) link(image, output.name, back, input.name);
    }
    link(load, "IMAGE", again, "image");
    back.connect(0, again, again.inputs.findIndex((s) => s.name === "flow"));
    link(blend, "frames", metrics, "images");
    link(find("RealImageSegmenter"), "mask", metrics, "mask");
    link(load, "IMAGE", metrics, "source");
    link(flow, "flow", metrics, "flow");
}"""


def main() -> None:
    """Make all pictures."""
    from playwright.sync_api import sync_playwright

    browser_path = find_browser()
    if not browser_path:
        sys.exit("error: no Chromium found; install one, or name it with T2C_BROWSER.")
    environment = prepare(tests=True)
    PICTURES.mkdir(exist_ok=True)
    cpu = device(environment.python) == "cpu"
    with (
        tempfile.TemporaryDirectory() as data,
        ComfyServer(environment.comfyui, environment.python, Path(data), cpu=cpu) as server,
    ):
        for picture in EXAMPLE.parent.glob("*.jpg"):
            server.put_input(picture)
        # Files that the text workflow names, so that its nodes are not shown as lacking them; nothing reads these.
        for name in ("checkpoints/v1-5-pruned-emaonly.safetensors", "t2c/motion_direction.pth", "t2c/video.pth"):
            file = Path(data) / "models" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        for name, value in (("Comfy.TutorialCompleted", True), ("Comfy.VueNodes.Enabled", True)):
            server.client.post(f"/settings/{name}", value)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1400, "height": 1300})
            page.goto(server.url)
            page.wait_for_function(READY, timeout=120_000)
            page.wait_for_timeout(2000)
            _open(page, PLAIN)
            page.evaluate(MORE)
            _run(page)
            for kind in AFTER_PLAIN:
                _shoot(page, kind)
            _open(page, PAINTED)
            _run(page)
            _shoot(page, "PhotoTwin")
            _open(page, WORKFLOWS / "text_to_cinemagraph_paper.json")
            for kind in ("TwinPromptSampler", "LoadT2CModel"):
                _shoot(page, kind)
            browser.close()


def _open(page: Any, workflow: Path) -> None:
    graph = load_workflow(workflow)
    page.evaluate("(w) => app.loadGraphData(w, true, true, 'help')", graph)
    page.wait_for_timeout(1500)
    page.evaluate(PREPARE, FRAMES)


def _run(page: Any) -> None:
    code = """() => new Promise((resolve) => {
        app.api.addEventListener("execution_success", () => resolve(""), { once: true });
        app.api.addEventListener("execution_error", (e) => resolve(e.detail.exception_message), { once: true });
        app.queuePrompt(0, 1);
    })"""
    problem = page.evaluate(code)
    if problem:
        sys.exit(f"error: {problem}")
    page.wait_for_timeout(3000)


def _shoot(page: Any, kind: str) -> None:
    look = """(kind) => {
        const node = app.graph._nodes.find((n) => n.comfyClass === kind);
        // Far from the others, which might lie over it.
        node.pos = [40000 + 3000 * node.id, 0];
        app.canvas.ds.scale = 1;
        app.canvas.ds.offset = [120 - node.pos[0], 140 - node.pos[1]];
        app.canvas.setDirty(true, true);
        app.canvas.deselectAll?.();
        return String(node.id);
    }"""
    node = page.evaluate(look, kind)
    page.wait_for_timeout(1500)
    element = page.locator(f'[data-node-id="{node}"]').first
    shot = Image.open(io.BytesIO(element.screenshot())).convert("RGB")
    target = PICTURES / f"{kind}.webp"
    shot.save(target, quality=82, method=6)
    print(f"{target.name}: {shot.width}x{shot.height}, {target.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
