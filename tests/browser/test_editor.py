"""The editor of Motion Hints: every tool, the history, and coordinates that stay where the hand put them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from t2c_core.hints import parse_hints
from tests.browser.comfy_page import ComfyPage
from tests.browser.editor_page import PICTURE, counts, near, put


def test_arrows_by_dragging_clicking_and_going_on(page: ComfyPage, node: int) -> None:
    page.drag(put(page, (0.2, 0.2), (0.6, 0.25)))
    assert near(page.hints()["arrows"][0]["points"], [(0.2, 0.2), (0.6, 0.25)], page)
    # Click by click, Enter ends it.
    clicks = [(0.2, 0.5), (0.4, 0.55), (0.5, 0.7)]
    for at in put(page, *clicks):
        page.raw.mouse.click(*at)
        page.wait(350)  # slower than a double click
    page.key("Enter")
    assert near(page.hints()["arrows"][1]["points"], clicks, page)
    # From an arrow's tip it goes on.
    page.drag(put(page, (0.6, 0.25), (0.8, 0.4)))
    arrows = page.hints()["arrows"]
    assert len(arrows) == 2 and near(arrows[0]["points"], [(0.2, 0.2), (0.6, 0.25), (0.8, 0.4)], page)


def test_a_curved_drag_keeps_its_bend_in_few_points(page: ComfyPage, node: int) -> None:
    bend = [(0.2, 0.3), (0.4, 0.3), (0.55, 0.35), (0.6, 0.5), (0.6, 0.7)]
    page.drag(put(page, *bend))
    points = page.hints()["arrows"][0]["points"]
    assert len(points) == 5 and near(points, bend, page, 2.5)


def test_speed_is_each_arrows_own(page: ComfyPage, node: int) -> None:
    page.drag(put(page, (0.2, 0.2), (0.6, 0.2)))
    number = page.raw.locator('[data-t2c="speed-number"]')
    number.fill("2.5")
    number.press("Enter")
    page.raw.mouse.click(*put(page, (0.9, 0.9))[0])
    page.key("Escape")
    page.drag(put(page, (0.2, 0.4), (0.6, 0.4)))
    page.key(",")
    speeds = [arrow["speed"] for arrow in page.hints()["arrows"]]
    assert speeds[0] == 2.5 and speeds[1] == pytest.approx(2.5 / 1.1, abs=1e-4)


def test_select_move_and_delete(page: ComfyPage, node: int) -> None:
    page.drag(put(page, (0.2, 0.2), (0.6, 0.2)))
    page.key("p")
    page.raw.mouse.click(*put(page, (0.5, 0.5))[0])
    page.key("m")
    page.drag(put(page, (0.2, 0.8), (0.6, 0.8)))
    assert counts(page) == [1, 1, 1]
    page.key("v")
    page.drag(put(page, (0.4, 0.2), (0.5, 0.3)))  # the whole arrow by its line
    assert near(page.hints()["arrows"][0]["points"], [(0.3, 0.3), (0.7, 0.3)], page)
    page.drag(put(page, (0.7, 0.3), (0.8, 0.4)))  # one point
    assert near(page.hints()["arrows"][0]["points"], [(0.3, 0.3), (0.8, 0.4)], page)
    page.drag(put(page, (0.5, 0.5), (0.6, 0.55)))  # the pin
    assert near(page.hints()["pins"], [(0.6, 0.55)], page)
    page.drag(put(page, (0.4, 0.8), (0.4, 0.9)))  # the stroke
    assert near(page.hints()["strokes"][0]["points"], [(0.2, 0.9), (0.6, 0.9)], page)
    # A double click puts a point into the line, Delete takes it out again.
    middle = put(page, (0.55, 0.35))[0]
    page.raw.mouse.dblclick(*middle)
    assert len(page.hints()["arrows"][0]["points"]) == 3
    page.raw.mouse.click(*middle)
    page.key("Delete")
    assert near(page.hints()["arrows"][0]["points"], [(0.3, 0.3), (0.8, 0.4)], page)
    # Shift adds to what is chosen.
    page.raw.mouse.click(*put(page, (0.6, 0.55))[0])
    page.raw.keyboard.down("Shift")
    page.raw.mouse.click(*put(page, (0.4, 0.9))[0])
    page.raw.keyboard.up("Shift")
    page.key("Delete")
    assert counts(page) == [1, 0, 0]


def test_brush_size_feather_and_eraser(page: ComfyPage, node: int) -> None:
    page.press("freeze")
    for name, value in (("radius-number", "5"), ("feather-number", "50")):
        page.raw.locator(f'[data-t2c="{name}"]').fill(value)
        page.raw.locator(f'[data-t2c="{name}"]').press("Enter")
    page.drag(put(page, (0.2, 0.5), (0.8, 0.5)))
    stroke = page.hints()["strokes"][0]
    assert (stroke["mode"], stroke["radius"], stroke["feather"]) == ("freeze", 0.05, 0.5)
    painted = page.painted("hints")
    _, _, width, height = page.picture_box(PICTURE)
    radius = 0.05 * height
    whole = 2 * radius * 0.6 * width + 3.14 * radius**2
    assert painted == pytest.approx(whole, rel=0.15)
    # The eraser, hard, rubs out half of it.
    page.key("e")
    page.raw.locator('[data-t2c="feather-number"]').fill("0")
    page.raw.locator('[data-t2c="feather-number"]').press("Enter")
    page.drag(put(page, (0.5, 0.5), (0.9, 0.5)))
    assert [s["mode"] for s in page.hints()["strokes"]] == ["freeze", "erase"]
    assert page.painted("hints") == pytest.approx(painted / 2, rel=0.15)
    # An arrow it touches goes, one it does not touch stays.
    page.key("a")
    page.drag(put(page, (0.1, 0.1), (0.4, 0.1)))
    page.drag(put(page, (0.6, 0.1), (0.9, 0.1)))
    page.key("e")
    page.drag(put(page, (0.25, 0.05), (0.25, 0.15)))
    assert near(page.hints()["arrows"][0]["points"], [(0.6, 0.1), (0.9, 0.1)], page)
    assert counts(page) == [1, 0, 2]
    parse_hints(json.dumps(page.hints()))


def test_undo_and_redo_step_by_step(page: ComfyPage, node: int) -> None:
    page.raw.mouse.click(*put(page, (0.02, 0.98))[0])
    page.key("Escape")
    states = [page.hints()]
    page.drag(put(page, (0.2, 0.2), (0.6, 0.2)))
    states.append(page.hints())
    page.key("p")
    page.raw.mouse.click(*put(page, (0.5, 0.5))[0])
    states.append(page.hints())
    page.key("f")
    page.drag(put(page, (0.2, 0.8), (0.6, 0.8)))
    states.append(page.hints())
    for state in reversed(states[:-1]):
        page.key("Control+z")
        assert page.hints() == state
    page.key("Control+z")
    assert page.hints() == states[0]
    for state in states[1:]:
        page.key("Control+Shift+z")
        assert page.hints() == state
    page.wait(500)
    # ComfyUI's own undo had no part in it: the node is still the same.
    assert page.node("MotionHints") == node and page.hints() == states[-1]


def test_zoom_and_pan_do_not_move_what_is_drawn(page: ComfyPage, node: int) -> None:
    at = put(page, (0.3, 0.4))[0]
    page.raw.mouse.click(*put(page, (0.95, 0.95))[0], button="right")
    page.raw.mouse.move(*at)
    page.raw.mouse.wheel(0, -600)
    page.wait(300)
    factor = 2.718281828 ** (600 * 0.0015)
    # The place under the pointer stays, and 60 pixels are fewer of the picture now.
    page.drag([at, (at[0] + 60, at[1])])
    _, _, width, _ = page.picture_box(PICTURE)
    assert near(page.hints()["arrows"][0]["points"], [(0.3, 0.4), (0.3 + 60 / width / factor, 0.4)], page)
    page.raw.keyboard.down(" ")
    page.drag([at, (at[0] + 50, at[1] + 30)])
    page.raw.keyboard.up(" ")
    page.drag([(at[0] + 50, at[1] + 90), (at[0] + 110, at[1] + 90)])
    second = page.hints()["arrows"][1]["points"]
    assert near(second[:1], [(0.3, 0.4 + 60 / page.picture_box(PICTURE)[3] / factor)], page)
    page.key("0")
    page.wait(200)
    page.drag(put(page, (0.1, 0.9), (0.3, 0.9)))
    assert near(page.hints()["arrows"][2]["points"], [(0.1, 0.9), (0.3, 0.9)], page)


@pytest.mark.parametrize("scale", [0.55, 1.4])
def test_places_are_right_at_any_zoom_of_the_graph(page: ComfyPage, node: int, scale: float) -> None:
    page.look_at(-30, -60, scale)
    page.wait(500)
    page.drag(put(page, (0.25, 0.2), (0.7, 0.3)))
    assert near(page.hints()["arrows"][0]["points"], [(0.25, 0.2), (0.7, 0.3)], page)


def test_the_wheel_belongs_to_the_graph_until_the_editor_is_clicked(page: ComfyPage, node: int) -> None:
    before = page.js("() => app.canvas.ds.scale")
    page.raw.mouse.move(*put(page, (0.5, 0.5))[0])
    page.raw.mouse.wheel(0, -300)
    page.wait(500)
    assert page.js("() => app.canvas.ds.scale") > before


def test_copies_are_independent(page: ComfyPage, node: int) -> None:
    page.drag(put(page, (0.2, 0.2), (0.6, 0.2)))
    drawn = page.hints()
    copied = """(id) => {
        const node = app.graph.getNodeById(id);
        app.canvas.selectNodes([node]);
        app.canvas.copyToClipboard();
        app.canvas.graph_mouse = [700, 0];
        app.canvas.pasteFromClipboard();
        return app.graph._nodes.filter((n) => n.comfyClass === "MotionHints").map((n) => n.id).find((i) => i !== id);
    }"""
    copy = page.js(copied, node)
    page.wait(800)
    assert page.hints(copy) == drawn
    assert page.js("() => document.querySelectorAll('.t2c-editor').length") == 2
    page.press("clear")
    assert page.hints(node)["arrows"] == [] and page.hints(copy) == drawn
    page.js("(id) => app.graph.remove(app.graph.getNodeById(id))", copy)
    page.wait(500)
    assert page.js("() => document.querySelectorAll('.t2c-editor').length") == 1


def test_a_new_picture_of_another_shape_keeps_fractions(page: ComfyPage, node: int, server: Any, tmp_path: Any) -> None:
    from PIL import Image

    page.drag(put(page, (0.2, 0.2), (0.6, 0.8)))
    wide = tmp_path / "wide.png"
    Image.new("RGB", (1200, 400), (40, 90, 160)).save(wide)
    server.put_input(wide)
    page.set_widget(page.node("LoadImage"), "image", "wide.png")
    page.wait(1200)
    page.key("v")
    tip = page.on_picture((1200, 400), [(0.6, 0.8), (0.5, 0.5)])
    page.drag(tip)
    points = page.hints()["arrows"][0]["points"]
    _, _, width, height = page.picture_box((1200, 400))
    assert abs(points[1][0] - 0.5) * width <= 1 and abs(points[1][1] - 0.5) * height <= 1
    assert abs(points[0][0] - 0.2) * width <= 1 and abs(points[0][1] - 0.2) * height <= 1


def test_enlarged_it_fills_the_window_and_comes_back(page: ComfyPage, node: int) -> None:
    small = page.stage()
    page.press("enlarge")
    page.wait(600)
    large = page.stage()
    assert large["width"] > 2 * small["width"]
    page.drag(put(page, (0.2, 0.2), (0.6, 0.2)))
    assert near(page.hints()["arrows"][0]["points"], [(0.2, 0.2), (0.6, 0.2)], page)
    page.key("Escape")  # lets go of the arrow
    page.key("Escape")
    page.wait(600)
    assert page.stage()["width"] == pytest.approx(small["width"], abs=2)
    assert page.js("() => document.querySelector('dialog[open]')") is None


def test_a_finger_draws_and_two_zoom(page: ComfyPage, node: int) -> None:
    touch = page.context.new_cdp_session(page.raw)
    touch.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})

    def fingers(kind: str, *points: tuple[float, float]) -> None:
        at = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(points)]
        touch.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": at})
        page.wait(40)

    start, end = put(page, (0.3, 0.3), (0.6, 0.4))
    fingers("Start", start)
    for step in range(1, 6):
        fingers("Move", tuple(a + (b - a) * step / 5 for a, b in zip(start, end, strict=True)))
    fingers("End")
    assert near(page.hints()["arrows"][0]["points"], [(0.3, 0.3), (0.6, 0.4)], page)
    # Two fingers from 100 to 200 pixels apart: twice as large, and nothing is drawn.
    x, y = put(page, (0.5, 0.5))[0]
    fingers("Start", (x - 50, y))
    fingers("Start", (x - 50, y), (x + 50, y))
    for step in range(1, 6):
        fingers("Move", (x - 50 - 10 * step, y), (x + 50 + 10 * step, y))
    fingers("End")
    assert len(page.hints()["arrows"]) == 1
    touch.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
    page.drag([(x, y), (x + 60, y)])
    points = page.hints()["arrows"][1]["points"]
    drawn = (points[-1][0] - points[0][0]) * page.picture_box(PICTURE)[2]
    assert drawn == pytest.approx(30, abs=2)
