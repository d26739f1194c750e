"""The converter on workflows as the page saves them; the descriptions are in the form of /object_info."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.errors import WorkflowInvalid
from scripts.workflow_api import load_workflow, to_api


def _node(required: dict, optional: dict | None = None) -> dict:
    optional = optional or {}
    return {
        "input": {"required": required, "optional": optional},
        "input_order": {"required": list(required), "optional": list(optional)},
    }


INFO = {
    "LoadImage": _node({"image": [["a.png", "b.png"], {"image_upload": True}]}),
    "Noise": _node({"noise_seed": ["INT", {"default": 0}], "steps": ["INT", {"default": 20}]}),
    "Marked": _node({"which": ["INT", {"control_after_generate": True}], "name": ["STRING", {"default": "x"}]}),
    "Warp": _node(
        {"image": ["IMAGE", {}], "frames": ["INT", {"default": 60}], "renderer": ["COMBO", {"options": ["a", "b"]}]},
        {"mask": ["MASK", {}], "angle": ["FLOAT", {"forceInput": True}], "speed": ["FLOAT", {"default": 1.5}]},
    ),
    "Save": _node(
        {
            "image": ["IMAGE", {}],
            "prefix": ["STRING", {"default": "p"}],
            "codec": [
                "COMFY_DYNAMICCOMBO_V3",
                {
                    "options": [
                        {"key": "auto", "inputs": {"required": {}}},
                        {"key": "h264", "inputs": {"required": {"crf": ["FLOAT", {"default": 23.0}]}}},
                    ]
                },
            ],
            "last": ["BOOLEAN", {"default": False}],
        }
    ),
}


def _workflow(*nodes: dict, links: list | None = None) -> dict:
    return {"nodes": list(nodes), "links": links or [], "version": 0.4}


def _load(**more: object) -> dict:
    outputs = [{"name": "IMAGE", "type": "IMAGE"}, {"name": "MASK", "type": "MASK"}]
    return {"id": 1, "type": "LoadImage", "widgets_values": ["b.png", "image"], "outputs": outputs, **more}


def _warp(link: int | None, **more: object) -> dict:
    return {
        "id": 5,
        "type": "Warp",
        "inputs": [{"name": "image", "type": "IMAGE", "link": link}],
        "outputs": [{"name": "IMAGE", "type": "IMAGE"}],
        "widgets_values": [30, "b", 2.0],
        **more,
    }


def test_links_and_widget_values_in_order() -> None:
    api = to_api(_workflow(_warp(7), _load(), links=[[7, 1, 0, 5, 0, "IMAGE"]]), INFO)
    assert api["1"]["class_type"] == "LoadImage"
    assert api["1"]["inputs"] == {"image": "b.png"}
    assert api["5"]["inputs"] == {"image": ["1", 0], "frames": 30, "renderer": "b", "speed": 2.0}


@pytest.mark.parametrize(
    ("kind", "values", "wanted"),
    [
        ("Noise", [42, "randomize", 8], {"noise_seed": 42, "steps": 8}),
        ("Marked", [3, "fixed", "name"], {"which": 3, "name": "name"}),
        ("Noise", [42], {"noise_seed": 42, "steps": 20}),
        ("Noise", {"steps": 4, "noise_seed": 9}, {"noise_seed": 9, "steps": 4}),
    ],
)
def test_values_the_page_keeps_are_passed_over(kind: str, values: object, wanted: dict) -> None:
    api = to_api(_workflow({"id": 2, "type": kind, "widgets_values": values}), INFO)
    assert api["2"]["inputs"] == wanted


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["q", "auto", True], {"prefix": "q", "codec": "auto", "last": True}),
        (["q", "h264", 18.0, True], {"prefix": "q", "codec": "h264", "codec.crf": 18.0, "last": True}),
        (["q"], {"prefix": "q", "codec": "auto", "last": False}),
    ],
)
def test_inputs_below_a_dynamic_combo_follow_it(values: list, wanted: dict) -> None:
    save = {
        "id": 9,
        "type": "Save",
        "inputs": [{"name": "image", "type": "IMAGE", "link": 7}],
        "widgets_values": values,
    }
    api = to_api(_workflow(_load(), save, links=[[7, 1, 0, 9, 0, "IMAGE"]]), INFO)
    assert api["9"]["inputs"] == {"image": ["1", 0], **wanted}


def test_a_linked_widget_takes_the_link_and_a_primitive_its_value() -> None:
    warp = _warp(7)
    warp["inputs"] += [
        {"name": "frames", "type": "INT", "link": 8, "widget": {"name": "frames"}},
        {"name": "speed", "type": "FLOAT", "link": 9, "widget": {"name": "speed"}},
    ]
    primitive = {"id": 3, "type": "PrimitiveNode", "widgets_values": [0.25, "fixed"], "outputs": [{"type": "FLOAT"}]}
    noise = {"id": 2, "type": "Noise", "widgets_values": [1, "fixed", 2], "outputs": [{"type": "INT"}]}
    links = [[7, 1, 0, 5, 0, "IMAGE"], [8, 2, 0, 5, 1, "INT"], [9, 3, 0, 5, 2, "FLOAT"]]
    api = to_api(_workflow(_load(), noise, primitive, warp, links=links), INFO)
    assert set(api) == {"1", "2", "5"}
    assert api["5"]["inputs"] == {"image": ["1", 0], "frames": ["2", 0], "renderer": "b", "speed": 0.25}


def test_reroutes_notes_and_bypassed_nodes_disappear() -> None:
    reroute = {"id": 3, "type": "Reroute", "inputs": [{"name": "", "type": "*", "link": 7}], "outputs": [{"type": "*"}]}
    bypassed = _warp(8, id=4, mode=4)
    last = _warp(9, id=6)
    notes = [{"id": 20, "type": "Note", "widgets_values": ["n"]}, {"id": 21, "type": "MarkdownNote"}]
    links = [[7, 1, 0, 3, 0, "IMAGE"], [8, 3, 0, 4, 0, "IMAGE"], [9, 4, 0, 6, 0, "IMAGE"]]
    api = to_api(_workflow(_load(), reroute, bypassed, last, *notes, links=links), INFO)
    assert set(api) == {"1", "6"}
    assert api["6"]["inputs"]["image"] == ["1", 0]


def test_links_as_objects() -> None:
    link = {"id": 7, "origin_id": 1, "origin_slot": 0, "target_id": 5, "target_slot": 0, "type": "IMAGE"}
    assert to_api(_workflow(_load(), _warp(7), links=[link]), INFO)["5"]["inputs"]["image"] == ["1", 0]


def test_an_optional_input_from_a_muted_node_is_left_out_and_a_required_one_is_named() -> None:
    warp = _warp(7)
    warp["inputs"].append({"name": "mask", "type": "MASK", "link": 8})
    muted = _load(id=2, mode=2)
    links = [[7, 1, 0, 5, 0, "IMAGE"], [8, 2, 1, 5, 1, "MASK"]]
    assert "mask" not in to_api(_workflow(_load(), muted, warp, links=links), INFO)["5"]["inputs"]
    with pytest.raises(WorkflowInvalid, match=r"Node 5 \(Warp\): nothing is connected to its input image"):
        to_api(_workflow(_load(mode=2), _warp(7), links=[[7, 1, 0, 5, 0, "IMAGE"]]), INFO)


def test_missing_node_types_are_named_once_each() -> None:
    with pytest.raises(WorkflowInvalid, match=r"lacks the nodes Gone, Other of the workflow"):
        to_api(_workflow({"id": 1, "type": "Gone"}, {"id": 2, "type": "Other"}, {"id": 3, "type": "Gone"}), INFO)


def test_subgraphs_are_refused() -> None:
    workflow = {**_workflow({"id": 4, "type": "abc-1"}), "definitions": {"subgraphs": [{"id": "abc-1"}]}}
    with pytest.raises(WorkflowInvalid, match="Node 4 is a subgraph"):
        to_api(workflow, INFO)


@pytest.mark.parametrize(
    ("text", "said"), [(None, "cannot be read"), ("{", "not valid JSON"), ('{"1": {}}', "no list of nodes")]
)
def test_unreadable_workflow_files(tmp_path: Path, text: str | None, said: str) -> None:
    file = tmp_path / "w.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(WorkflowInvalid, match=said):
        load_workflow(file)
