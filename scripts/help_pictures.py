"""Makes the pictures of the help pages: every node as the page shows it after a run, and a tour of the editor.

``python -m scripts.help_pictures`` starts the ComfyUI that run.py has installed, runs the example workflows in a real
Chromium (package playwright) and writes js/docs/pictures/<node id>.webp and editor_tour.webp beside them.
``python -m scripts.help_pictures tour`` makes the tour alone.
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
TOUR_ARROWS = [
    [(0.7, 0.04), (0.7, 0.1), (0.71, 0.17)],
    [(0.78, 0.19), (0.77, 0.25), (0.73, 0.31)],
    [(0.68, 0.32), (0.6, 0.38), (0.45, 0.43), (0.24, 0.47)],
    [(0.22, 0.5), (0.28, 0.57), (0.4, 0.6)],
    [(0.6, 0.62), (0.5, 0.68), (0.46, 0.75)],
    [(0.43, 0.8), (0.46, 0.88), (0.5, 0.97)],
]
TOUR_PINS = [(0.3, 0.2), (0.55, 0.12), (0.47, 0.36), (0.92, 0.3), (0.6, 0.76), (0.1, 0.72), (0.9, 0.95), (0.9, 0.55)]
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

REGISTERED = """() => {
    const find = (kind) => app.graph._nodes.find((n) => n.comfyClass === kind);
    const node = LiteGraph.createNode("RegisterTwin");
    app.graph.add(node);
    node.setSize([300, 480]);
    find("PhotoTwin").connect(0, node, 0);
    find("LoadImage").connect(0, node, 1);
    const segmenter = find("RealImageSegmenter");
    node.connect(0, segmenter, segmenter.inputs.findIndex((i) => i.name === "image"));
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
            _tour(page)
            if "tour" not in sys.argv:
                _nodes(page)
            browser.close()


def _nodes(page: Any) -> None:
    _open(page, PLAIN)
    page.evaluate(MORE)
    _run(page)
    for kind in AFTER_PLAIN:
        _shoot(page, kind)
    _open(page, PAINTED)
    page.evaluate(REGISTERED)
    _run(page)
    for kind in ("PhotoTwin", "RegisterTwin"):
        _shoot(page, kind)
    _open(page, WORKFLOWS / "text_to_cinemagraph_paper.json")
    for kind in ("TwinPromptSampler", "LoadT2CModel"):
        _shoot(page, kind)
    page.evaluate("() => app.graph.add(LiteGraph.createNode('LoadSegmentationModel'))")
    _shoot(page, "LoadSegmentationModel")


def _tour(page: Any) -> None:
    """Draw on the example as a hand would, and take a picture of every step."""
    _open(page, PLAIN)
    page.evaluate("() => app.graph._nodes.find((n) => n.comfyClass === 'MotionHints').setSize([470, 700])")
    _look_at(page, "MotionHints")
    stage, editor = page.locator(".t2c-stage"), page.locator(".t2c-editor")
    page.locator('[data-t2c="clear"]').click()
    box = stage.bounding_box()
    width = (box["height"] - 12) * 792 / 1024
    left = box["x"] + (box["width"] - width) / 2
    taken: list[tuple[Image.Image, int]] = []

    def place(u: float, v: float) -> tuple[float, float]:
        return left + u * width, box["y"] + 6 + v * (box["height"] - 12)

    def take(milliseconds: int) -> None:
        shot = Image.open(io.BytesIO(editor.screenshot())).convert("RGB")
        taken.append((shot.resize((shot.width * 4 // 5, shot.height * 4 // 5), Image.Resampling.LANCZOS), milliseconds))

    def drag(points: list[tuple[float, float]]) -> None:
        page.mouse.move(*place(*points[0]))
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*place(*point), steps=6)
            take(90)
        page.mouse.up()

    take(600)
    for arrow in TOUR_ARROWS:
        drag(arrow)
    page.locator('[data-t2c="pin"]').click()
    for pin in TOUR_PINS:
        page.mouse.click(*place(*pin))
        take(110)
    page.locator('[data-t2c="move"]').click()
    drag([(0.2, 0.65), (0.45, 0.655), (0.7, 0.66)])
    page.locator('[data-t2c="live"]').click()
    page.locator('[data-t2c="live"]').click()
    page.get_by_text("Motion from the solver").wait_for(timeout=60_000)
    page.mouse.move(*place(-0.4, 0.5))
    for _ in range(22):
        take(90)
        page.wait_for_timeout(40)
    target = PICTURES / "editor_tour.webp"
    first, *others = [image for image, _ in taken]
    times = [time for _, time in taken]
    first.save(target, save_all=True, append_images=others, duration=times, loop=0, quality=55, method=6)
    print(f"{target.name}: {len(taken)} frames, {target.stat().st_size // 1024} KB")


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


def _look_at(page: Any, kind: str) -> str:
    """Bring the node of a class into sight, with nothing over it; returns its id."""
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
    return node


def _shoot(page: Any, kind: str) -> None:
    node = _look_at(page, kind)
    element = page.locator(f'[data-node-id="{node}"]').first
    shot = Image.open(io.BytesIO(element.screenshot())).convert("RGB")
    target = PICTURES / f"{kind}.webp"
    shot.save(target, quality=82, method=6)
    print(f"{target.name}: {shot.width}x{shot.height}, {target.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
