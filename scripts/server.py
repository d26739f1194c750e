"""Starts a real ComfyUI in a process of its own, waits until it answers, and ends it with everything it started."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .client import ComfyClient, Graph, Progress, RunResult
from .errors import ScriptError, ServerFailed
from .paths import REPO
from .process import end_process, start_process

__all__ = ["REPO", "ComfyClient", "ComfyServer", "Graph", "Progress", "RunResult", "free_port", "link_pack"]

PACK_NAME = "ComfyUI-Text2Cinemagraph"
HOST = "127.0.0.1"


def free_port() -> int:
    """A port nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def check_port(port: int) -> None:
    """Raise ServerFailed if something listens on ``port`` already, ScriptError if it is no port at all."""
    if not 1 <= port <= 65535:
        raise ScriptError(f"--port {port} is not a port; choose a number from 1024 to 65535.")
    with socket.socket() as probe:
        if os.name == "posix":  # a port that was closed a moment ago is free, as it is for the server
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            raise ServerFailed(f"Port {port} may not be used by this user; choose one from 1024 up.") from None
        except OSError:
            raise ServerFailed(
                f"Port {port} is taken by another program; choose another, or leave --port out and a free one is used."
            ) from None


def link_pack(data: Path, pack: Path = REPO) -> list[str]:
    """Make the pack visible to a ComfyUI whose base directory is ``data``; returns arguments to start it with.

    ``data/custom_nodes`` gets a symbolic link to ``pack``. Where links are not allowed (Windows without developer mode)
    the arguments of `pack_by_path` do instead.
    """
    nodes = data / "custom_nodes"
    nodes.mkdir(parents=True, exist_ok=True)
    link = nodes / PACK_NAME
    if link.is_symlink() or link.exists():
        if link.resolve() == pack.resolve():
            return []
        if not link.is_symlink():
            raise ScriptError(f"{link} is in the way; move it elsewhere.")
        link.unlink()
    try:
        link.symlink_to(pack, target_is_directory=True)
        return []
    except OSError:
        return pack_by_path(data, pack)


def pack_by_path(data: Path, pack: Path = REPO) -> list[str]:
    """Arguments that let ComfyUI load the pack from where it is.

    An extra_model_paths file can only name the folder around it, so everything else in that folder is shut out.
    """
    file = data / "pack_path.yaml"
    # A JSON string is a valid YAML string.
    file.write_text(f"t2c:\n  custom_nodes: {json.dumps(str(pack.parent))}\n", encoding="utf-8")
    alone = ["--disable-all-custom-nodes", "--whitelist-custom-nodes", pack.name]
    return ["--extra-model-paths-config", str(file), *alone]


def user_models(data: Path, comfyui: Path) -> list[str]:
    """Arguments that let a ComfyUI with the base directory ``data`` see the models of the checkout ``comfyui``."""
    models = comfyui / "models"
    folders = sorted(folder for folder in models.iterdir() if folder.is_dir()) if models.is_dir() else []
    if not folders:
        return []
    file = data / "user_models.yaml"
    lines = [f"  {json.dumps(folder.name)}: {json.dumps(str(folder))}\n" for folder in folders]
    file.write_text("user:\n" + "".join(lines), encoding="utf-8")
    return ["--extra-model-paths-config", str(file)]


def checkpoint_folder(data: Path, checkpoint: Path) -> list[str]:
    """Arguments that let a ComfyUI with the base directory ``data`` see the folder of a checkpoint."""
    file = data / "checkpoint.yaml"
    file.write_text(f"given:\n  checkpoints: {json.dumps(str(checkpoint.resolve().parent))}\n", encoding="utf-8")
    return ["--extra-model-paths-config", str(file)]


class ComfyServer:
    """A ComfyUI server in a subprocess; use it in a ``with`` statement.

    comfyui: folder with ComfyUI's main.py. python: the interpreter that has its requirements. data: base directory
    (input, output, user, custom_nodes), made if missing; nothing is written anywhere else. port: None takes a free one.
    output: where results go, default ``data/output``. log: file for what the server prints, default
    ``data/comfyui.log``. pack: the checkout to load as a custom node, None for none. cpu: passes --cpu.
    arguments: more for main.py.
    """

    def __init__(
        self,
        comfyui: Path,
        python: Path,
        data: Path,
        *,
        port: int | None = None,
        output: Path | None = None,
        log: Path | None = None,
        cpu: bool = False,
        pack: Path | None = REPO,
        arguments: Sequence[str] = (),
        start_timeout: float = 300.0,
    ) -> None:
        self.comfyui, self.python = Path(comfyui).resolve(), Path(python)
        self.data = Path(data).resolve()
        self.output = Path(output).resolve() if output else self.data / "output"
        self.log = log or self.data / "comfyui.log"
        self.wanted_port = port
        self.port = 0
        self.cpu = cpu
        self.pack = pack
        self.arguments = tuple(arguments)
        self.start_timeout = start_timeout
        self.process: subprocess.Popen | None = None
        self.client = ComfyClient("", self.data, self.output, self.death)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> ComfyServer:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and return when it answers. Raises ServerFailed with the reason if it does not."""
        if self.wanted_port is not None:
            check_port(self.wanted_port)
        self.port = self.wanted_port or free_port()
        self.client.url = self.url
        for folder in ("custom_nodes", "input", "user", "models"):
            (self.data / folder).mkdir(parents=True, exist_ok=True)
        self.output.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
        try:
            with self.log.open("wb") as log:
                self.process = start_process(
                    self.command(), cwd=self.comfyui, stdout=log, stderr=subprocess.STDOUT, env=environment
                )
        except OSError as error:
            raise ServerFailed(f"ComfyUI could not be started with {self.python}: {error}.") from error
        end = time.monotonic() + self.start_timeout
        while not self.client.answers():
            death = self.death()
            if death:
                raise ServerFailed(death)
            if time.monotonic() > end:
                raise ServerFailed(
                    f"ComfyUI did not answer within {self.start_timeout:.0f} s of its start. Its log: {self.log}"
                )
            time.sleep(0.1)

    def command(self) -> list[str]:
        """The command line the server is started with."""
        command = [str(self.python), str(self.comfyui / "main.py"), "--listen", HOST, "--port", str(self.port)]
        command += ["--disable-auto-launch", "--disable-api-nodes", "--base-directory", str(self.data)]
        command += ["--database-url", f"sqlite:///{(self.data / 'comfyui.db').as_posix()}"]
        command += ["--cpu"] if self.cpu else []
        command += ["--output-directory", str(self.output)]
        command += link_pack(self.data, self.pack) if self.pack else []
        return [*command, *self.arguments]

    def stop(self) -> None:
        """End the server and everything it started. Harmless if it has ended already."""
        process, self.process = self.process, None
        if process is not None:
            end_process(process)

    def death(self) -> str | None:
        """A sentence about why the server has ended, or None while it runs."""
        code = self.process.poll() if self.process else None
        if code is None:
            return None
        reason = last_error(self.log)
        how = f"was ended by signal {-code}" if code < 0 else f"stopped with exit code {code}"
        return f"ComfyUI {how}{': ' + reason if reason else ''}. Its log: {self.log}"

    def pack_error(self) -> str | None:
        """Why ComfyUI could not load the pack, from its log; None if it did load it."""
        info = self.client.object_info()
        loaded = {str(node.get("python_module", "")) for node in info.values()}
        if self.pack is None or loaded & {f"custom_nodes.{name}" for name in (PACK_NAME, self.pack.name)}:
            return None
        reason = last_error(self.log) or "no reason given"
        return f"ComfyUI started but could not load this pack: {reason}. Its log: {self.log}"

    def object_info(self, class_type: str | None = None) -> dict[str, Any]:
        """See `ComfyClient.object_info`."""
        return self.client.object_info(class_type)

    def put_input(self, file: Path, name: str | None = None) -> str:
        """See `ComfyClient.put_input`."""
        return self.client.put_input(file, name)

    def run(self, graph: Graph, **options: Any) -> RunResult:
        """See `ComfyClient.run`."""
        return self.client.run(graph, **options)


def last_error(log: Path) -> str:
    """The last line of a log that looks like an error (``SomeError: text``), else its last; without its full stop."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in reversed(lines[-200:]):
        head = line.split(":", 1)[0].rsplit(".", 1)[-1]
        if ":" in line and head.endswith(("Error", "Exception")) and head.isidentifier():
            return line[:300].rstrip(".")
    return lines[-1][:300].rstrip(".") if lines else ""
