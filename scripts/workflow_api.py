"""Turns a workflow as the page saves it (nodes, links, widget values in order) into the API form the server runs.

The page does this with the descriptions of the nodes; so do we, with the same ones from /object_info. A workflow with
subgraphs is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .errors import WorkflowInvalid

_NOTES = {"Note", "MarkdownNote"}
_VIRTUAL = {"Reroute", "PrimitiveNode", *_NOTES}
"""Nodes that exist in the page only."""
_NEVER, _BYPASS = 2, 4
"""Values of a node's ``mode``: muted, and skipped with its inputs handed on."""
_WIDGETS = {
    *("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COLOR", "COLORS", "CURVE", "RANGE", "WEBCAM", "HISTOGRAM"),
    *("BOUNDING_BOX", "BOUNDING_BOXES", "IMAGECOMPARE"),
}
_CONTROLLED = {"seed", "noise_seed"}
_UPLOADS = ("image_upload", "video_upload", "audio_upload", "animated_image_upload", "file_upload")
_NO_VALUE = object()

Link = tuple[str, int]


def load_workflow(file: Path) -> dict[str, Any]:
    """Read a workflow file. Raises WorkflowInvalid if it is missing, not JSON, or in another form."""
    try:
        workflow = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise WorkflowInvalid(f"The workflow {file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise WorkflowInvalid(f"The workflow {file} is not valid JSON: {error}.") from error
    if not isinstance(workflow, dict) or not isinstance(workflow.get("nodes"), list):
        raise WorkflowInvalid(f"{file} is not a workflow saved by ComfyUI's page (it has no list of nodes).")
    return workflow


def to_api(workflow: dict[str, Any], object_info: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Convert a workflow in UI form to the API form: node id -> {"class_type", "inputs", "_meta"}.

    Muted and bypassed nodes, notes and reroutes disappear; what was linked through them is linked directly. Raises
    WorkflowInvalid naming the node types ``object_info`` lacks, or the node and input that have no value.
    """
    graph = _Graph(workflow)
    live = [node for node in graph.nodes.values() if node["type"] not in _VIRTUAL and not _skipped(node)]
    missing = sorted({node["type"] for node in live if node["type"] not in object_info})
    if missing:
        plural = "s" if len(missing) > 1 else ""
        raise WorkflowInvalid(f"This ComfyUI lacks the node{plural} {', '.join(missing)} of the workflow.")
    api = {}
    for node in sorted(live, key=lambda each: (each.get("order", 0), str(each["id"]))):
        description = object_info[node["type"]]
        inputs: dict[str, Any] = dict(widget_values(node, description))
        for socket in node.get("inputs") or []:
            if socket.get("link") is None:
                continue
            source = graph.source(socket["link"])
            if source is None:
                if socket.get("widget") is None:
                    inputs.pop(socket["name"], None)
            elif isinstance(source, _Value):
                inputs[socket["name"]] = source.value
            else:
                inputs[socket["name"]] = [source[0], source[1]]
        _require(node, description, inputs)
        title = node.get("title") or description.get("display_name") or node["type"]
        api[str(node["id"])] = {"class_type": node["type"], "inputs": inputs, "_meta": {"title": title}}
    return api


def widget_values(node: dict[str, Any], description: dict[str, Any]) -> dict[str, Any]:
    """The values of a node's widgets by name; ``widgets_values`` holds them in the order of the description.

    Values the page keeps for itself (what a seed does after a run, an upload button) are passed over; a value a
    shorter list lacks is the widget's default, if it has one. The inputs below a choice of a dynamic combo are called
    ``combo.input`` and follow it.
    """
    saved = node.get("widgets_values") or []
    by_name = saved if isinstance(saved, dict) else None
    found: dict[str, Any] = {}
    _read_widgets(description.get("input") or {}, description.get("input_order") or {}, "", list(saved), by_name, found)
    return {name: value for name, value in found.items() if value is not _NO_VALUE}


def _read_widgets(
    declared: dict[str, Any],
    order: dict[str, list[str]],
    prefix: str,
    left: list[Any],
    by_name: dict[str, Any] | None,
    found: dict[str, Any],
) -> None:
    """Take the values of one level of inputs from the front of ``left`` (or from ``by_name``) into ``found``."""
    for group in ("required", "optional"):
        inputs = declared.get(group) or {}
        uploads = False
        for name in order.get(group) or list(inputs):
            kind, options = _kind_and_options(inputs[name])
            dynamic = kind.startswith("COMFY_DYNAMICCOMBO")
            if options.get("forceInput") or not (dynamic or kind in _WIDGETS or options.get("widgetType")):
                continue
            default = _default(kind, inputs[name], options)
            value = (left.pop(0) if left else default) if by_name is None else by_name.get(prefix + name, default)
            found[prefix + name] = value
            if dynamic:
                chosen = next((each for each in options.get("options") or [] if each["key"] == value), {"inputs": {}})
                _read_widgets(chosen["inputs"], {}, f"{prefix}{name}.", left, by_name, found)
            if left and (options.get("control_after_generate") or (kind == "INT" and name in _CONTROLLED)):
                left.pop(0)
            uploads = uploads or any(options.get(upload) for upload in _UPLOADS)
        if uploads and left:
            left.pop(0)


def _kind_and_options(declared: list[Any]) -> tuple[str, dict[str, Any]]:
    kind = "COMBO" if isinstance(declared[0], list) else str(declared[0])
    options = declared[1] if len(declared) > 1 and isinstance(declared[1], dict) else {}
    return kind, options


def _default(kind: str, declared: list[Any], options: dict[str, Any]) -> Any:
    if "default" in options:
        return options["default"]
    choices = declared[0] if isinstance(declared[0], list) else options.get("options") or []
    if choices and kind.startswith("COMFY_DYNAMICCOMBO"):
        return choices[0]["key"]
    if choices and kind == "COMBO":
        return choices[0]
    return {"STRING": "", "BOOLEAN": False, "INT": 0, "FLOAT": 0.0}.get(kind, _NO_VALUE)


def _require(node: dict[str, Any], description: dict[str, Any], inputs: dict[str, Any]) -> None:
    for name in description.get("input", {}).get("required") or {}:
        kind, _ = _kind_and_options(description["input"]["required"][name])
        grows = kind.startswith(("COMFY_AUTOGROW", "COMFY_DYNAMICSLOT"))
        if name not in inputs and not grows:
            raise WorkflowInvalid(f"Node {node['id']} ({node['type']}): nothing is connected to its input {name}.")


def _skipped(node: dict[str, Any]) -> bool:
    return node.get("mode", 0) in (_NEVER, _BYPASS)


class _Value:
    """A constant that a primitive node hands to the widget it is linked to."""

    def __init__(self, value: Any) -> None:
        self.value = value


class _Graph:
    """Nodes by id, and where links come from."""

    def __init__(self, workflow: dict[str, Any]) -> None:
        subgraphs = {str(each.get("id")) for each in (workflow.get("definitions") or {}).get("subgraphs") or []}
        self.nodes: dict[str, dict[str, Any]] = {}
        for node in workflow["nodes"]:
            if node.get("type") in subgraphs:
                raise WorkflowInvalid(
                    f"Node {node['id']} is a subgraph, which cannot be converted here; unpack it in ComfyUI's page."
                )
            self.nodes[str(node["id"])] = node
        self.links: dict[Any, Link] = {}
        for link in workflow.get("links") or []:
            if isinstance(link, dict):
                self.links[link["id"]] = (str(link["origin_id"]), int(link["origin_slot"]))
            else:
                self.links[link[0]] = (str(link[1]), int(link[2]))

    def source(self, link: Any) -> Link | _Value | None:
        """What a link brings once reroutes and bypassed nodes are followed; None if nothing (cut, or muted)."""
        seen: set[Any] = set()
        while link is not None and link not in seen:
            seen.add(link)
            if link not in self.links:
                return None
            node_id, slot = self.links[link]
            node = self.nodes.get(node_id)
            if node is None or node.get("mode") == _NEVER:
                return None
            if node["type"] == "PrimitiveNode":
                values = node.get("widgets_values") or []
                return _Value(values[0]) if values else None
            if node["type"] == "Reroute":
                link = next((socket.get("link") for socket in node.get("inputs") or []), None)
            elif node.get("mode") == _BYPASS:
                link = _passed_on(node, slot)
            else:
                return node_id, slot
        return None


def _passed_on(node: dict[str, Any], slot: int) -> Any:
    """The link a bypassed node hands on at an output: from the input at that position, else the first of its type."""
    outputs, inputs = node.get("outputs") or [], node.get("inputs") or []
    if slot >= len(outputs):
        return None
    kind = outputs[slot].get("type")
    same = [socket for socket in inputs[slot : slot + 1] if socket.get("type") in (kind, "*")]
    for socket in [*same, *(each for each in inputs if each.get("type") == kind)]:
        if socket.get("link") is not None:
            return socket["link"]
    return None
