"""A real ComfyUI in a process of its own, for the tests in comfyui/ and browser/.

Which one: T2C_COMFYUI_PATH and T2C_COMFYUI_PYTHON (scripts/test.py sets both), else what scripts/run.py has installed.
Its page: the folder T2C_FRONTEND (scripts/frontends.py), else the one that is installed with it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scripts.server import REPO, ComfyServer, RunResult
from tests.vectors import FOLDER

os.environ["T2C_VECTORS"] = str(FOLDER)
"""For the test nodes in the server's process."""
BROWSER = Path(__file__).parent / "browser"
TEST_NODES = Path(__file__).parent / "comfyui" / "test_nodes_pack"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of the page come last: while Playwright is open, its event loop runs and asyncio.run() cannot."""
    items.sort(key=lambda item: BROWSER in item.path.parents)


def _comfyui() -> tuple[Path, Path]:
    """Folder and interpreter of the ComfyUI to test against; skips (fails under CI) where there is none."""
    folder = Path(os.environ.get("T2C_COMFYUI_PATH") or REPO / ".run" / "ComfyUI")
    binary = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    own = REPO / ".run" / "venv" / binary
    python = Path(os.environ.get("T2C_COMFYUI_PYTHON") or (own if own.exists() else sys.executable))
    if not (folder / "main.py").is_file():
        reason = "no ComfyUI to test against: run 'python3 scripts/test.py', or set T2C_COMFYUI_PATH"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder, python


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """The running server, with this pack linked in and an empty base directory at ``server.data``.

    ``server.client`` speaks HTTP (queue, history, interrupt, wait, object_info, get, post), ``server.put_input(file)``
    copies a picture into its input folder, ``server.log`` is the file with its output.
    """
    with start_server(tmp_path_factory.mktemp("comfyui")) as running:
        yield running


@contextmanager
def start_server(data: Path) -> Iterator[ComfyServer]:
    """A server with this pack, the test nodes and the base directory ``data``."""
    folder, python = _comfyui()
    shutil.copytree(TEST_NODES, data / "custom_nodes" / TEST_NODES.name)
    frontend = os.environ.get("T2C_FRONTEND")
    arguments = ["--front-end-root", frontend] if frontend else []
    with ComfyServer(folder, python, data, cpu=_on_cpu(python), arguments=arguments) as running:
        error = running.pack_error()
        if error:
            pytest.fail(error)
        yield running


def _on_cpu(python: Path) -> bool:
    from scripts.environment import device

    return device(python) == "cpu"


@pytest.fixture(scope="session")
def object_info(server: ComfyServer) -> dict[str, Any]:
    """/object_info: class_type -> description of its inputs and outputs."""
    return server.object_info()


@pytest.fixture
def run_graph(server: ComfyServer) -> Callable[..., RunResult]:
    """``run_graph(graph, on_progress=None, timeout=300)`` queues a graph in API form and waits for it.

    Returns a RunResult: ``outputs`` (node id -> what it showed), ``files`` (paths written to the output folder),
    ``prompt_id`` (``server.client.history(prompt_id)`` gives the rest). Raises, from scripts.errors:
    WorkflowRefused (invalid input, HTTP 400: ``node_errors``), NodeFailed (``node_id``, ``class_type``, ``message``),
    RunInterrupted.
    """

    def run(graph: dict[str, Any], on_progress: Callable[..., None] | None = None, timeout: float = 300) -> RunResult:
        return server.run(graph, on_progress=on_progress, timeout=timeout)

    return run
