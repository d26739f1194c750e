"""The editor's text: what is read, kept, explained and edited."""

from __future__ import annotations

import json

import pytest

from t2c_core.errors import InputError
from t2c_core.hints import parse_hints
from tests.browser.comfy_page import ComfyPage
from tests.browser.editor_page import counts, near, put

MODULES = "/extensions/ComfyUI-Text2Cinemagraph/editor"


def test_what_is_drawn_goes_with_the_workflow(page: ComfyPage, node: int) -> None:
    page.drag(put(page, (0.2, 0.2), (0.6, 0.2)))
    drawn = page.hints()
    saved = page.js("() => app.graph.serialize()")
    page.clear()
    page.load(saved)
    page.wait(800)
    assert page.hints() == drawn
    sent = page.prompt()
    assert json.loads(sent[str(page.node("MotionHints"))]["inputs"]["hints"]) == drawn
    assert set(sent[str(page.node("MotionHints"))]["inputs"]) == {"hints", "image"}


def test_hints_from_another_node_lock_it(page: ComfyPage, node: int) -> None:
    text = page.add("PrimitiveStringMultiline", (-400, 500))
    page.link(text, "STRING", node, "hints")
    page.wait(700)
    assert page.linked(node, "hints")
    assert "another node" in page.raw.locator(".t2c-note").inner_text()
    before = page.hints()
    page.drag(put(page, (0.2, 0.2), (0.6, 0.2)))
    assert page.hints() == before
    page.js(
        "(id) => { const n = app.graph.getNodeById(id);"
        " n.disconnectInput(n.inputs.findIndex((i) => i.name === 'hints')); }",
        node,
    )
    page.wait(700)
    page.drag(put(page, (0.2, 0.2), (0.6, 0.2)))
    assert counts(page) == [1, 0, 0]


BAD = [
    ("{", "no valid JSON"),
    ("[]", "must be an object"),
    ('{"version": 2}', "newer pack"),
    ('{"arows": []}', "arows"),
    ('{"pins": 3}', "must be a list"),
    ('{"arrows": null}', "must be a list"),
    ('{"pins": [[0.1, NaN]]}', "no valid JSON"),
    ('{"pins": [[0.1, 1e999]]}', "no number"),
    ('{"pins": [[0.1, "a"]]}', "no number"),
    ('{"pins": [[0.1]]}', "no pair"),
    ('{"pins": [[-3, 0.5]]}', "between -0.5 and 1.5"),
    ('{"arrows": [{"points": [[0.1, 0.1]]}]}', "at least 2 points"),
    ('{"arrows": [{"points": [[0.1, 0.1], [0.1, 0.1]]}]}', "no length"),
    ('{"arrows": [{"points": [[0.1, 0.1], [0.2, 0.1]], "speed": -1}]}', "between 0 and 64"),
    ('{"arrows": [7]}', "no object"),
    ('{"strokes": [{"points": [[0.1, 0.1]], "mode": "smear"}]}', "unknown mode"),
    (json.dumps({"arrows": [{"points": [[0.1, 0.1], [0.2, 0.2]]}] * 10_000}), "at most 2000"),
    (json.dumps({"strokes": [{"points": [[0.1, 0.1]] * 20_001}]}), "at most 20000"),
]


@pytest.mark.parametrize(("text", "said"), BAD, ids=range(len(BAD)))
def test_texts_that_cannot_be_read_are_kept_and_explained(page: ComfyPage, node: int, text: str, said: str) -> None:
    page.set_widget(node, "hints", text)
    page.raw.locator(".t2c-note").get_by_text(said).wait_for()
    # Nothing is lost: the text stays, drawing does nothing.
    page.drag(put(page, (0.2, 0.2), (0.6, 0.2)))
    assert page.widget(node, "hints") == text
    # The server refuses the same with a sentence of its own.
    with pytest.raises(InputError):
        parse_hints(text)
    page.press("clear")
    assert counts(page) == [0, 0, 0]
    page.press("undo")
    assert page.widget(node, "hints") == text
    page.press("clear")
    page.drag(put(page, (0.2, 0.2), (0.6, 0.2)))
    assert counts(page) == [1, 0, 0]


GOOD = [
    "",
    "{}",
    '{"version": 1, "pins": [[0, 1], [-0.5, 1.5]]}',
    '{"arrows": [{"points": [[0, 0.5], [1, 0.5]]}], "strokes": [{"points": [[0.5, 0.5]]}]}',
    '{"strokes": [{"points": [[0.5, 0.5]], "radius": 0.1, "mode": "erase", "feather": 1}]}',
]


@pytest.mark.parametrize("text", GOOD, ids=range(len(GOOD)))
def test_page_and_server_read_the_same_hints(page: ComfyPage, text: str) -> None:
    code = f"""async (text) => {{
        const {{ parseHints, formatHints }} = await import("{MODULES}/hints.js");
        return formatHints(parseHints(text));
    }}"""
    assert parse_hints(page.js(code, text)) == parse_hints(text)


def test_the_text_can_be_seen_and_edited(page: ComfyPage, node: int) -> None:
    page.drag(put(page, (0.2, 0.2), (0.6, 0.2)))
    page.press("text")
    area = page.raw.locator(".t2c-text")
    assert json.loads(area.input_value()) == page.hints()
    area.fill('{"arrows": [], "pins": [[0.5, 0.5]], "strokes": []')
    page.wait(500)
    assert "no valid JSON" in page.raw.locator(".t2c-note").inner_text()
    area.press("End")
    area.type("}")
    assert counts(page) == [0, 1, 0]
    assert not page.raw.locator(".t2c-note").is_visible()
    area.press("Escape")
    assert not area.is_visible()
    page.key("v")
    page.drag(put(page, (0.5, 0.5), (0.6, 0.6)))
    assert near(page.hints()["pins"], [(0.6, 0.6)], page)
