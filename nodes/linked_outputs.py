"""Which outputs of a node are linked, for what is costly to make.

ComfyUI tells a node no more than the prompt, and answers it from its cache whenever its inputs are the same, whatever
is linked to its outputs. So a prompt that arrives is marked: a node with a costly output that nothing is linked to gets
one more input, which makes it another one for the cache. Without the mark (a prompt that did not come through the
server, a node that another one expands to) the output counts as linked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Marker = Callable[[dict[str, Any]], dict[str, Any]]


def unlinked_marker(class_type: str, slot: int, mark: str) -> Marker:
    """A handler for PromptServer.add_on_prompt_handler that marks nodes of ``class_type``: those whose output ``slot``
    nothing is linked to get the input ``mark``, the others lose an older one.
    """

    def marked(request: dict[str, Any]) -> dict[str, Any]:
        prompt = request.get("prompt")
        nodes = {name: node for name, node in prompt.items() if _is_node(node)} if isinstance(prompt, Mapping) else {}
        inputs = {name: node["inputs"] for name, node in nodes.items()}
        links = {tuple(value) for values in inputs.values() for value in values.values() if _is_link(value)}
        for name, values in inputs.items():
            if nodes[name].get("class_type") == class_type:
                values.pop(mark, None)
                if (name, slot) not in links:
                    values[mark] = True
        return request

    return marked


def is_linked(hidden: Any, mark: str) -> bool:
    """Whether the output may be asked for. hidden: a node's, with prompt and unique_id."""
    return mark not in (hidden.prompt or {}).get(hidden.unique_id, {}).get("inputs", {})


def _is_node(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("inputs"), Mapping)


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)
