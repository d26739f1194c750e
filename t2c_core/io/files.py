"""JSON files, and atomic writes: a file or folder appears complete or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import InputError, first_line

_LOCK = re.compile(r"(\..*\.[0-9a-f]{8}\.)lock")
_own_locks: set[str] = set()
"""Of this process: on network drives it would be given them a second time."""
_cleared: set[Path] = set()
"""Folders this process has looked through once: with every write, n files would take n * n entries to read."""


def read_json(file: Path, input: str) -> dict[str, Any]:
    """A JSON file's object. Raises InputError(input) for anything else."""
    name = f"'{file.parent.name}/{file.name}'"
    try:
        found = json.loads(file.read_bytes())  # UTF-8 or UTF-16, with a byte order mark or without
    except OSError as error:
        raise InputError(input, f"{name} cannot be read ({first_line(error)}).") from error
    except (ValueError, RecursionError) as error:
        raise InputError(input, f"{name} is no valid JSON ({error}).") from error
    if not isinstance(found, dict):
        raise InputError(input, f"{name} holds no settings.")
    return found


@contextmanager
def atomic_write(target: Path) -> Iterator[Path]:
    """A temporary path beside ``target``, with its suffix, that replaces it when the block ends.

    Whatever is raised inside leaves ``target`` as it was and no temporary file. The path may become a file or a folder.
    What killed processes have left in the folder is cleared away before this process's first write to it.
    """
    folder = target.parent.resolve()
    if folder not in _cleared:
        clear_unfinished(target.parent)
        _cleared.add(folder)
    stem = target.stem.encode(errors="ignore")[:100].decode(errors="ignore")
    start = target.with_name(f".{stem}.{uuid.uuid4().hex[:8]}")
    temporary = start.with_name(f"{start.name}.part{target.suffix}")
    with _held(start.with_name(f"{start.name}.lock"), target.name):
        try:
            yield temporary
            _replace(temporary, target, start.with_name(f"{start.name}.old"))
        finally:
            _remove(temporary)


def clear_unfinished(folder: Path) -> None:
    """Remove what `atomic_write` left in a folder when its process was killed, and put back what it had moved aside.

    Files of living processes stay: each holds the lock of a file of its own.
    """
    try:
        locks = [entry.name for entry in os.scandir(folder) if _LOCK.fullmatch(entry.name)]
    except OSError:
        return
    for name in set(locks) - _own_locks:
        # Where it cannot be cleared, the next one to write tries again.
        with suppress(OSError, ValueError):
            _clear(folder / name)


def _clear(lock: Path) -> None:
    with lock.open("rb+") as file:
        if not _try_lock(file):
            return
        target = lock.with_name(Path(file.read().decode()).name or lock.name)
        for path in list(lock.parent.iterdir()):
            if path == lock or not path.name.startswith(lock.name.removesuffix("lock")):
                continue
            if path.suffix == ".old" and not target.exists():
                path.rename(target)
            else:
                _remove(path)
    lock.unlink(missing_ok=True)


@contextmanager
def _held(path: Path, content: str) -> Iterator[None]:
    """A file locked as long as this process lives. Where files cannot be locked it goes at once: nothing is cleared."""
    _own_locks.add(path.name)
    try:
        with path.open("xb") as file:
            if _try_lock(file):
                file.write(content.encode(errors="ignore"))
                file.flush()
            elif os.name != "nt":
                path.unlink(missing_ok=True)
            yield
    finally:
        path.unlink(missing_ok=True)
        _own_locks.discard(path.name)


def _try_lock(file: BinaryIO) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _replace(temporary: Path, target: Path, previous: Path) -> None:
    if not target.is_dir():
        temporary.replace(target)
        return
    target.rename(previous)
    try:
        temporary.rename(target)
    except BaseException:
        previous.rename(target)
        raise
    _remove(previous)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
