"""The commands as a person starts them; where ComfyUI is a few lines that fail, it is still a real process."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.paths import PAINTED, REPO
from scripts.server import PACK_NAME

RUN = REPO / "scripts" / "run.py"
posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


def _environment(run_dir: Path, comfyui: Path | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COMFYUI_")}
    theirs = {"COMFYUI_PATH": str(comfyui), "COMFYUI_PYTHON": sys.executable} if comfyui else {}
    return {**kept, "T2C_RUN_DIR": str(run_dir), **theirs}


def _fails(run_dir: Path, *arguments: object, comfyui: Path | None = None) -> str:
    """Run the command from another folder; it must fail with one line on stderr, which is returned."""
    command = [sys.executable, str(RUN), *map(str, arguments)]
    result = subprocess.run(
        command, cwd=run_dir, env=_environment(run_dir, comfyui), capture_output=True, text=True, check=False
    )
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr.strip()


def _comfyui(folder: Path, code: str) -> Path:
    folder.mkdir()
    (folder / "main.py").write_text(code)
    return folder


def test_port_taken(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert f"Port {port} is taken by another program" in _fails(tmp_path, "--port", port)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "70000"], "not a port"),
        (["--frames", "1"], "at least 2"),
        (["--picture", str(REPO / "assets" / "stream.jpg")], "needs --hints"),
        (["--hints", "none.json"], "There is no file none.json"),
        (["--hints", str(REPO / "pyproject.toml")], "not valid JSON"),
        (["--ui", "--frames", "9"], "--ui opens the example"),
        (["--output", str(REPO / "pyproject.toml")], "is not a folder"),
        (["--prompt", "a lake"], "--prompt needs --checkpoint"),
        (["--prompt", "a lake", "--checkpoint", "none.safetensors"], "There is no file none.safetensors"),
        (["--prompt", "a lake", "--checkpoint", str(REPO / "README.md")], "neither a .safetensors nor a .ckpt"),
        (["--prompt", " ", "--checkpoint", "x.safetensors"], "--prompt is empty"),
        (["--prompt", "a lake", "--checkpoint", "x.safetensors", "--steps", "0"], "--steps is 0"),
        (["--prompt", "a lake", "--checkpoint", "x.safetensors", "--seed", "-1"], "--seed is -1"),
        (["--prompt", "a lake", "--style", "crayon"], "--style does not go with --prompt"),
        (["--checkpoint", "x.safetensors"], "--checkpoint goes with --prompt"),
        (["--photo", "--style", "crayon"], "--photo leaves the picture as it is"),
    ],
)
def test_options_that_cannot_work(tmp_path: Path, arguments: list[str], said: str) -> None:
    assert said in _fails(tmp_path, *arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("script", ["run.py", "test.py"])
def test_wrong_python(tmp_path: Path, script: str) -> None:
    code = (
        "import sys, runpy\n"
        "sys.version_info = (3, 9, 2, 'final', 0)\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", code, str(REPO / "scripts" / script)]
    result = subprocess.run(command, env=_environment(tmp_path), capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "error: Python 3.10 or newer is needed, this is 3.9.2; run it with a newer one."
    ]


needs_workflow = pytest.mark.skipif(not PAINTED.is_file(), reason=f"there is no {PAINTED.name}")


@needs_workflow
def test_comfyui_path_missing(tmp_path: Path) -> None:
    assert "COMFYUI_PATH names" in _fails(tmp_path, comfyui=tmp_path / "gone")


@needs_workflow
def test_comfyui_that_crashes_at_start(tmp_path: Path) -> None:
    code = "import sys\nprint('starting')\nsys.exit('ValueError: no such card')"
    said = _fails(tmp_path, "--cpu", "--output", "out", comfyui=_comfyui(tmp_path / "c", code))
    assert re.search(r"ComfyUI stopped with exit code 1: ValueError: no such card\. Its log: .*comfyui\.log", said)
    assert not list((tmp_path / "out").iterdir())
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["main.py"]


WAITS = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
with open(os.environ['PIDS'] + '.part', 'w') as file:
    file.write(f'{os.getpid()} {child.pid}')
os.rename(os.environ['PIDS'] + '.part', os.environ['PIDS'])
"""
SLEEPS = WAITS + "time.sleep(600)\n"
"""A ComfyUI that never answers."""
ANSWERS = (
    WAITS
    + """
import http.server, json
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({'x': {'python_module': 'custom_nodes.' + os.environ['PACK']}}).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
port = int(sys.argv[sys.argv.index('--port') + 1])
http.server.HTTPServer(('127.0.0.1', port), Handler).serve_forever()
"""
)
"""A ComfyUI that says that it has loaded the pack."""


@contextlib.contextmanager
def _in_background(tmp_path: Path, code: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """run.py as a shell's background job, with SIGINT ignored, once its ComfyUI (and its child) run; their pids."""
    file = tmp_path / "pids"
    variables = {**_environment(tmp_path, _comfyui(tmp_path / "c", code)), "PIDS": str(file), "PACK": PACK_NAME}
    command = [sys.executable, str(RUN), "--cpu", *arguments, "--output", str(tmp_path / "out")]
    pids: list[int] = []
    process = subprocess.Popen(
        command,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    try:
        _until(lambda: file.exists() or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        pids += [int(pid) for pid in file.read_text().split()]
        assert all(_alive(pid) for pid in pids)
        yield process, pids
    finally:
        for pid in (process.pid, *pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.communicate()


@posix
@needs_workflow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("mode", [[], ["--ui"]], ids=["run", "ui"])
def test_a_signal_ends_it_in_the_background_and_comfyui_with_it(
    tmp_path: Path, number: signal.Signals, mode: list[str]
) -> None:
    with _in_background(tmp_path, SLEEPS, *mode) as (process, pids):
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
        _until(lambda: not any(_alive(pid) for pid in pids))
    assert process.returncode == 128 + number
    assert stderr == "Stopped.\n"
    assert not list((tmp_path / "out").iterdir())


@posix
@needs_workflow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_the_page_in_the_background_and_comfyui_with_it(tmp_path: Path, number: signal.Signals) -> None:
    with _in_background(tmp_path, ANSWERS, "--ui") as (process, pids):
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any("Ctrl+C here stops ComfyUI" in line for line in lines)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
        _until(lambda: not any(_alive(pid) for pid in pids))
    # Ctrl+C is how a person closes the page: no failure.
    expected = (0, "") if number == signal.SIGINT else (128 + number, "Stopped.\n")
    assert (process.returncode, stderr) == expected


@posix
@needs_workflow
def test_comfyui_does_not_outlive_a_killed_command(tmp_path: Path) -> None:
    with _in_background(tmp_path, SLEEPS, "--ui") as (process, pids):
        process.kill()
        _until(lambda: not any(_alive(pid) for pid in pids), seconds=10)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:  # one that has ended but was not collected yet by its parent does not run
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return not Path("/proc").is_dir()


def _until(condition, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this took too long"
        time.sleep(0.05)
