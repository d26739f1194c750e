"""What the nodes show after a run, where people look for it: in the node."""

from __future__ import annotations

import json

from scripts.paths import REPO
from tests.browser.comfy_page import ComfyPage

SHOWN = """(id) => {
    const node = app.graph.getNodeById(id);
    const inside = document.querySelector(`[data-node-id="${id}"]`);
    const images = inside ? [...inside.querySelectorAll("img")] : node.imgs ?? [];
    return images.map((image) => [image.naturalWidth, image.naturalHeight]);
}"""


def shown(page: ComfyPage, node: int) -> list[list[int]]:
    """Sizes of the pictures in a node, once it is in sight."""
    page.js("(id) => app.canvas.centerOnNode(app.graph.getNodeById(id))", node)
    page.wait(1500)
    return page.js(SHOWN, node)


def test_mask_field_and_loop_are_seen_in_their_nodes(page: ComfyPage) -> None:
    workflow = json.loads((REPO / "workflows" / "picture_to_cinemagraph.json").read_text(encoding="utf-8"))
    page.load(workflow)
    page.set_widget(page.node("EulerianWarp"), "frames", 6)
    page.js(
        "() => app.graph._nodes.filter((n) => n.comfyClass === 'SaveCinemagraph').forEach((n) => app.graph.remove(n))"
    )
    blend, sink = page.add("LoopBlend", (1570, 400), (340, 560)), page.add("CinemagraphMetrics", (2000, 400))
    page.link(page.node("EulerianWarp"), "warp", blend, "warp")
    page.link(blend, "frames", sink, "images")
    assert page.run(lambda: page.key("Control+Enter")) == "success"
    for kind in ("RealImageSegmenter", "FlowPredictor"):
        assert [792, 1024] in shown(page, page.node(kind)), kind
    page.js("(id) => app.canvas.centerOnNode(app.graph.getNodeById(id))", blend)
    page.raw.wait_for_function(
        "() => [...document.querySelectorAll('video')].some((v) => v.currentTime > 0 && !v.paused)"
    )
    sizes = page.js("() => [...document.querySelectorAll('video')].map((v) => [v.videoWidth, v.videoHeight, v.loop])")
    assert [396, 512, True] in sizes
    page.shoot("previews")


def test_both_twins_are_seen_in_the_sampler(page: ComfyPage) -> None:
    """A tiny network of the true topology: what it paints is noise, but both pictures are there."""
    loader = page.add("T2CTestTinyModel", (0, 0))
    sampler = page.add("TwinPromptSampler", (400, 0), (400, 1000))
    for output in ("MODEL", "CLIP", "VAE"):
        page.link(loader, output, sampler, output.lower())
    for name, value in (("prompt", "a river"), ("width", 64), ("height", 64), ("steps", 2)):
        page.set_widget(sampler, name, value)
    sink = page.add("PreviewImage", (900, 0))
    page.link(sampler, "artistic", sink, "images")
    assert page.run(lambda: page.js("() => app.queuePrompt(0, 1)")) == "success"
    # Side by side in one picture: the artistic one left, its twin right.
    assert [128, 64] in shown(page, sampler)
    page.shoot("twins")
