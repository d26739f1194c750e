"""From the template to the playing video, with mouse and keyboard alone."""

from __future__ import annotations

from typing import Any

from tests.browser.comfy_page import ComfyPage

PICTURE = (792, 1024)
FIRST = [(0.3, 0.2), (0.32, 0.3)]
SECOND = [(0.6, 0.25), (0.5, 0.4), (0.55, 0.5)]
PIN = (0.1, 0.1)
FREEZE = [(0.1, 0.75), (0.3, 0.75)]


def close(found: Any, expected: Any, pixels: float, size: tuple[float, float]) -> None:
    """Normalised points lie within so many pixels of others, on a picture shown at ``size``."""
    for (x, y), (u, v) in zip(found, expected, strict=True):
        assert abs(x - u) * size[0] <= pixels and abs(y - v) * size[1] <= pixels, (found, expected)


def test_from_template_to_video(page: ComfyPage) -> None:
    raw = page.raw

    # The example from the template browser.
    raw.get_by_role("button", name="Templates").first.click()
    # In the dialog: tabs of workflows that are open bear the same names.
    raw.locator("[role=dialog]").get_by_text("picture_to_cinemagraph", exact=True).first.click()
    raw.wait_for_function("() => app.graph._nodes.some((n) => n.comfyClass === 'MotionHints')")
    raw.wait_for_selector(".t2c-stage")
    page.wait(1000)
    page.shoot("1_template")
    hints, predictor = page.node("MotionHints"), page.node("FlowPredictor")

    # A node from the search, put down on a free place.
    page.look_at(0, 0, 0.6)
    raw.mouse.dblclick(330, 950)
    raw.locator('input[placeholder*="Add a node"]').first.fill("Flow Preview")
    raw.get_by_text("Shows a motion field over its picture").first.wait_for()
    page.wait(300)
    page.key("Enter")
    page.wait(500)
    raw.mouse.move(300, 800, steps=4)
    raw.mouse.click(300, 800)
    page.wait(500)
    preview = page.node("FlowPreview")

    # A wire that fits holds, one of a wrong type does not.
    assert not page.connect(predictor, "flow", preview, "image")
    assert page.connect(predictor, "flow", preview, "flow")
    assert page.connect(page.node("LoadImage"), "IMAGE", preview, "image")
    page.shoot("2_connected")

    # Draw on the picture: what came with the example goes first.
    before = page.hints()
    assert len(before["arrows"]) == 13
    page.resize(hints, 560, 760)
    page.look_at_node(hints)
    page.press("clear")
    assert page.hints() == {"version": 1, "arrows": [], "pins": [], "strokes": []}
    page.press("arrow")
    page.drag(page.on_picture(PICTURE, FIRST))
    page.drag(page.on_picture(PICTURE, SECOND))
    page.press("pin")
    raw.mouse.click(*page.on_picture(PICTURE, [PIN])[0])
    page.press("freeze")
    page.drag(page.on_picture(PICTURE, FREEZE))
    page.drag(page.on_picture(PICTURE, [(0.5, 0.9), (0.9, 0.9)]))
    page.shoot("3_drawn")
    drawn = page.hints()
    assert [len(drawn[name]) for name in ("arrows", "pins", "strokes")] == [2, 1, 2]

    # One step back takes the last stroke alone.
    page.key("Control+z")
    page.wait(300)
    undone = page.hints()
    assert [len(undone[name]) for name in ("arrows", "pins", "strokes")] == [2, 1, 1]
    size = page.picture_box(PICTURE)[2:]
    close(undone["arrows"][0]["points"], FIRST, 1, size)
    close([undone["arrows"][1]["points"][i] for i in (0, -1)], [SECOND[0], SECOND[-1]], 1, size)
    close(undone["pins"], [PIN], 1, size)
    close(undone["strokes"][0]["points"], FREEZE, 1, size)
    assert undone["strokes"][0]["mode"] == "freeze"

    # Queue it, shorter than the example.
    page.set_widget(page.node("EulerianWarp"), "frames", 12)
    assert page.run(lambda: page.key("Control+Enter")) == "success"
    saved = page.js("() => app.graph._nodes.find((n) => n.comfyClass === 'SaveCinemagraph').id")
    page.js("(id) => app.canvas.centerOnNode(app.graph.getNodeById(id))", saved)
    page.wait_for_playing()
    page.wait(500)
    page.shoot("4_playing")
    playing = page.js("() => [...document.querySelectorAll('video')].map((v) => [v.videoWidth, v.videoHeight, v.loop])")
    assert [*PICTURE, True] in playing

    # Everything is where it was after the page is loaded again, in a node of another size too.
    page.wait(1500)
    page.reload()
    raw.wait_for_selector(".t2c-stage", state="attached")
    hints = page.node("MotionHints")
    page.look_at_node(hints)
    page.wait_for_picture()
    assert page.hints() == undone
    page.resize(hints, 420, 500)
    page.shoot("5_reloaded")
    small = page.picture_box(PICTURE)[2:]
    assert small[0] < 0.75 * size[0]
    # The hand finds the arrows there: dragging one's end moves it, by as much as the hand went.
    page.press("select")
    tip = undone["arrows"][0]["points"][-1]
    page.drag(page.on_picture(PICTURE, [tip, (tip[0] + 0.2, tip[1] + 0.1)]))
    moved = page.hints()["arrows"][0]["points"]
    close(moved, [undone["arrows"][0]["points"][0], (tip[0] + 0.2, tip[1] + 0.1)], 1, small)
