"""Child processes that never outlive us, the signals that end us, and the one sentence an error ends in."""

from __future__ import annotations

import atexit
import contextlib
import errno
import functools
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .errors import ScriptError
from .paths import LOGS

_NEW_GROUP: dict[str, Any] = (
    {"start_new_session": True}
    if os.name == "posix"
    else {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
)
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""What ends a command. SIGHUP is unknown to Windows."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived; unwinds like Ctrl+C, so that every ``with`` cleans up."""


def start_process(command: Sequence[str | Path], **options: Any) -> subprocess.Popen:
    """Start a process at the head of a group of its own, so that `end_process` reaches its children as well.

    If this process dies before it calls `end_process`, be it by SIGKILL, the watcher ends the group.
    """
    watcher = _watcher()
    process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, **_NEW_GROUP, **options)
    _tell(watcher, f"+{process.pid}")
    return process


@functools.cache
def _watcher() -> subprocess.Popen:
    """The process that outlives this one and ends what it left behind; see watcher.py."""
    command = [sys.executable, "-I", "-S", str(Path(__file__).with_name("watcher.py"))]
    # Nothing of ours is inherited: whoever reads our output must not wait for the watcher to close it.
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    watcher = subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0, **silent, **_NEW_GROUP)
    atexit.register(_dismiss, watcher)
    return watcher


def _tell(watcher: subprocess.Popen, line: str) -> None:
    with contextlib.suppress(OSError):  # it may have been killed; there is none to tell then
        assert watcher.stdin is not None
        watcher.stdin.write(f"{line}\n".encode())


def _dismiss(watcher: subprocess.Popen) -> None:
    assert watcher.stdin is not None
    watcher.stdin.close()
    watcher.wait()


def end_process(process: subprocess.Popen, patience: float = 8.0) -> None:
    """End a process from `start_process` and all it started: politely first, by force after ``patience`` seconds."""
    with uninterrupted():
        if os.name != "posix":
            if process.poll() is None:
                subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False)
        else:
            _signal_group(process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)
            _signal_group(process, signal.SIGKILL)
        process.wait()
        _tell(_watcher(), f"-{process.pid}")


def _signal_group(process: subprocess.Popen, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def run_logged(command: Sequence[str | Path], log: Path, *, verbose: bool = False, **options: Any) -> tuple[int, str]:
    """Run a command, append its output to ``log`` (and show it if ``verbose``); returns exit code and output."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"\n$ {' '.join(str(part) for part in command)}\n")
        file.flush()
        said: list[str] = []
        process = start_process(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **options
        )
        try:
            for line in process.stdout or ():
                said.append(line)
                file.write(line)
                if verbose:
                    sys.stdout.write(line)
            return process.wait(), "".join(said)
        finally:
            end_process(process)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore the signals that end a command while something is being put in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [signal.signal(number, signal.SIG_IGN) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def _terminated(number: int, _frame: Any) -> None:
    raise Terminated(number)


def guarded(main: Callable[[], int]) -> int:
    """Run a command; whatever goes wrong ends in one sentence on stderr and an exit code other than 0."""
    # SIGINT too: a shell starts background jobs with SIGINT ignored, and Python leaves it so.
    for number in _SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else _terminated)
    try:
        return main()
    except KeyboardInterrupt as stop:
        with contextlib.suppress(OSError):  # a terminal that was closed
            print("Stopped.", file=sys.stderr)
        return 128 + int(stop.args[0] if isinstance(stop, Terminated) else signal.SIGINT)
    except ScriptError as error:
        return _complain(str(error))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return _complain(f"The disk is full{f': {error.filename} could not be written' if error.filename else ''}.")
        return _complain(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.")
    except Exception as error:
        with contextlib.suppress(OSError):
            LOGS.mkdir(parents=True, exist_ok=True)
            (LOGS / "error.log").write_text(traceback.format_exc(), encoding="utf-8")
        return _complain(f"Unexpected {type(error).__name__}: {error}. The trace is in {LOGS / 'error.log'}.")


def _complain(sentence: str) -> int:
    sys.stdout.flush()
    print("error: " + " ".join(sentence.split()), file=sys.stderr)
    return 1


@contextlib.contextmanager
def locked(file: Path, sentence: str) -> Iterator[None]:
    """Hold a lock on ``file``; ScriptError(sentence) if another process holds it. It ends with its holder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as handle:
        try:
            if os.name == "posix":
                import fcntl

                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            else:
                import msvcrt

                handle.seek(0)
                msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            raise ScriptError(sentence) from None
        yield
