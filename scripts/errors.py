"""What the scripts raise. The text of each is one sentence or two that a person can act on."""

from __future__ import annotations

from typing import Any


class ScriptError(Exception):
    """Something went wrong that a person can put right; printed alone, without a traceback."""


class ServerFailed(ScriptError):
    """ComfyUI did not start, stopped, or did not answer."""


class WorkflowInvalid(ScriptError):
    """A workflow file cannot be converted, or names nodes this ComfyUI does not have."""


class WorkflowRefused(ScriptError):
    """ComfyUI validated the graph and refused it (HTTP 400).

    ``response`` is its whole answer; ``node_errors`` maps node ids to ``{"errors": [...], "class_type": ...}``.
    """

    def __init__(self, message: str, response: dict[str, Any]) -> None:
        self.response = response
        self.node_errors: dict[str, Any] = response.get("node_errors") or {}
        super().__init__(message)


class NodeFailed(ScriptError):
    """A node raised while the graph ran. ``message`` is the text of its exception."""

    def __init__(self, node_id: str, class_type: str, kind: str, message: str, trace: str = "") -> None:
        self.node_id = node_id
        self.class_type = class_type
        self.kind = kind
        self.message = message
        self.trace = trace
        super().__init__(f"Node {node_id} ({class_type}) failed: {message.strip() or kind}")


class RunInterrupted(ScriptError):
    """The graph was cancelled before it was finished."""
