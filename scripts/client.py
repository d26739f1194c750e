"""Talks to a running ComfyUI: the standard library for HTTP, aiohttp for the progress it sends over a websocket."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import NodeFailed, RunInterrupted, ScriptError, ServerFailed, WorkflowRefused

Graph = dict[str, dict[str, Any]]
"""A workflow in ComfyUI's API form: node id -> {"class_type": ..., "inputs": {...}}."""


@dataclass(frozen=True)
class Progress:
    """What a running graph reports: ``value`` of ``total`` steps of one node (0 of 1 as it begins)."""

    prompt_id: str
    node_id: str
    class_type: str
    value: float
    total: float


@dataclass(frozen=True)
class RunResult:
    """A finished graph."""

    prompt_id: str
    outputs: dict[str, dict[str, Any]]
    """Node id -> what the node handed to the page ("images", "text", ...)."""
    files: tuple[Path, ...]
    """Every file in ``outputs`` that was written to the output folder, in the order of the nodes."""
    cached: tuple[str, ...] = field(default=())
    """Ids of the nodes that did not run because nothing about them had changed."""


class ComfyClient:
    """HTTP and websocket client of one ComfyUI server.

    ``data`` is the server's base directory (its input folder is below it), ``output`` the folder it writes to.
    ``death`` is asked when the server stops answering; it returns a sentence if the process has ended.
    """

    def __init__(self, url: str, data: Path, output: Path, death: Callable[[], str | None] = lambda: None) -> None:
        self.url = url.rstrip("/")
        self.data, self.output = data, output
        self.client_id = uuid.uuid4().hex
        self._death = death

    def _request(self, path: str, body: Any = None, timeout: float = 60.0) -> Any:
        payload = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, payload, {"Content-Type": "application/json"})
        try:
            # No proxy: the server is on this machine.
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=timeout) as answer:
                text = answer.read()
        except urllib.error.HTTPError:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise ServerFailed(self._death() or f"ComfyUI at {self.url} does not answer: {error}.") from error
        return json.loads(text) if text else None

    def answers(self) -> bool:
        """True once the server serves requests."""
        try:
            self._request("/system_stats", timeout=5.0)
        except (ServerFailed, urllib.error.HTTPError, ValueError):
            return False
        return True

    def object_info(self, class_type: str | None = None) -> dict[str, Any]:
        """The description of every node, or of one: class_type -> inputs, outputs, help."""
        return self._request("/object_info" + (f"/{urllib.parse.quote(class_type)}" if class_type else ""))

    def get(self, path: str) -> Any:
        """The JSON at any other address of the server, such as ``/system_stats``."""
        return self._request(path)

    def post(self, path: str, body: Any) -> Any:
        """Send JSON to any other address of the server; returns its JSON answer, if any."""
        return self._request(path, body)

    def queue(self, graph: Graph) -> str:
        """Queue a graph in API form and return its prompt id.

        Raises WorkflowRefused if ComfyUI finds anything wrong with it. ComfyUI itself would run what is left of a graph
        some of whose outputs are invalid; here that counts as refused too, and nothing of it runs.
        """
        try:
            answer = self._request("/prompt", {"prompt": graph, "client_id": self.client_id})
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            try:
                answer = json.loads(text)
            except ValueError:
                raise ServerFailed(f"ComfyUI answered {error.code} to the workflow: {text[:200]}") from error
            raise WorkflowRefused(_refusal(answer, graph), answer) from error
        if answer.get("node_errors"):
            self.cancel(answer["prompt_id"])
            raise WorkflowRefused(_refusal(answer, graph), answer)
        return answer["prompt_id"]

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        """The server's record of a finished graph, or None while it waits or runs."""
        return (self._request(f"/history/{prompt_id}") or {}).get(prompt_id)

    def interrupt(self, prompt_id: str | None = None) -> None:
        """Ask the running graph to stop (that one only, if it is the one that runs)."""
        self._request("/interrupt", {"prompt_id": prompt_id} if prompt_id else {})

    def cancel(self, prompt_id: str) -> None:
        """Take a graph out of the queue, and stop it if it runs already."""
        self._request("/queue", {"delete": [prompt_id]})
        self.interrupt(prompt_id)

    def wait(self, prompt_id: str, timeout: float = 600.0) -> RunResult:
        """Wait for a queued graph without progress. Raises what `run` raises, and ScriptError after ``timeout`` s."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            record = self.history(prompt_id)
            if record is not None:
                return self._result(prompt_id, record)
            time.sleep(0.1)
        raise ScriptError(f"The workflow was not finished after {timeout:.0f} s.")

    def run(
        self, graph: Graph, on_progress: Callable[[Progress], None] | None = None, timeout: float | None = None
    ) -> RunResult:
        """Queue a graph, report its progress, and return what it wrote.

        Raises WorkflowRefused, NodeFailed (a node raised), RunInterrupted (cancelled), ServerFailed (the server went
        away) or ScriptError (``timeout`` seconds were not enough; the graph is cancelled then).
        """
        return asyncio.run(self._run(graph, on_progress or (lambda _: None), timeout))

    async def _run(self, graph: Graph, on_progress: Callable[[Progress], None], timeout: float | None) -> RunResult:
        import aiohttp  # every ComfyUI has it; Python alone does not

        address = f"{self.url}/ws?clientId={self.client_id}"
        prompt_id = ""
        try:
            async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
                prompt_id = self.queue(graph)
                await asyncio.wait_for(self._follow(socket, graph, prompt_id, on_progress), timeout)
        except (asyncio.TimeoutError, TimeoutError):
            self.cancel(prompt_id)
            raise ScriptError(f"The workflow was not finished after {timeout:.0f} s and was cancelled.") from None
        except aiohttp.ClientError as error:
            raise ServerFailed(self._death() or f"ComfyUI at {self.url} does not answer: {error}.") from error
        return self._result(prompt_id, self._record(prompt_id))

    async def _follow(self, socket: Any, graph: Graph, prompt_id: str, on_progress: Callable[[Progress], None]) -> None:
        """Pass the messages about one graph on until it ends."""
        import aiohttp

        async for message in socket:
            if message.type != aiohttp.WSMsgType.TEXT:
                continue  # previews, as binary
            event = json.loads(message.data)
            kind, data = event.get("type"), event.get("data") or {}
            if data.get("prompt_id") != prompt_id:
                continue
            node: Any = data.get("node")
            if kind in ("execution_success", "execution_error", "execution_interrupted"):
                return
            if kind == "executing" and node is None:
                return
            if kind == "executing":
                on_progress(Progress(prompt_id, node, _class_type(graph, node), 0.0, 1.0))
            elif kind == "progress":
                on_progress(Progress(prompt_id, node, _class_type(graph, node), data["value"], data["max"]))
        raise ServerFailed(self._death() or f"ComfyUI at {self.url} closed the connection while the workflow ran.")

    def _record(self, prompt_id: str) -> dict[str, Any]:
        """The history of a graph that has just ended; the server writes it a moment after it says so."""
        for _ in range(200):
            record = self.history(prompt_id)
            if record is not None:
                return record
            time.sleep(0.05)
        raise ServerFailed("ComfyUI finished the workflow but kept no record of it.")

    def _result(self, prompt_id: str, record: dict[str, Any]) -> RunResult:
        cached: tuple[str, ...] = ()
        for kind, data in (record.get("status") or {}).get("messages") or []:
            if kind == "execution_error":
                raise NodeFailed(
                    str(data.get("node_id")),
                    str(data.get("node_type")),
                    str(data.get("exception_type", "")),
                    str(data.get("exception_message", "")),
                    "".join(data.get("traceback") or []),
                )
            if kind == "execution_interrupted":
                raise RunInterrupted("The workflow was cancelled.")
            if kind == "execution_cached":
                cached = tuple(data.get("nodes") or ())
        outputs = record.get("outputs") or {}
        return RunResult(prompt_id, outputs, tuple(self._files(outputs)), cached)

    def _files(self, outputs: dict[str, dict[str, Any]]) -> list[Path]:
        files: list[Path] = []
        for output in outputs.values():
            for entries in output.values():
                for entry in entries if isinstance(entries, (list, tuple)) else ():
                    if isinstance(entry, dict) and entry.get("type") == "output" and entry.get("filename"):
                        path = self.output / (entry.get("subfolder") or "") / entry["filename"]
                        if path not in files:
                            files.append(path)
        return files

    def put_input(self, file: Path, name: str | None = None) -> str:
        """Copy a file into the server's input folder; returns the name to give to Load Image."""
        name = name or file.name
        target = self.data / "input" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not file.is_file():
            raise ScriptError(f"There is no file {file}.")
        shutil.copyfile(file, target)
        return name


def _class_type(graph: Graph, node: Any) -> str:
    return str(graph.get(str(node), {}).get("class_type", node))


def _refusal(answer: dict[str, Any], graph: Graph) -> str:
    """One sentence out of ComfyUI's answer to a graph it will not run."""
    said = []
    for node_id, entry in (answer.get("node_errors") or {}).items():
        for error in entry.get("errors") or []:
            name = f"node {node_id} ({entry.get('class_type') or _class_type(graph, node_id)})"
            details = str(error.get("details") or "").strip()
            said.append(f"{name}: {error.get('message', 'invalid')}" + (f": {details}" if details else ""))
    if not said:
        error = answer.get("error") or {}
        if isinstance(error, str):
            error = {"message": error}
        details = str(error.get("details") or "").strip()
        said.append(str(error.get("message") or "no reason given") + (f": {details}" if details else ""))
    return "ComfyUI refused the workflow: " + "; ".join(said)
