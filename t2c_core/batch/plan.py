"""What of a manifest is made already and what is to be made.

The record of a job, 'jobs/<id>.<key>.json' in the store, is written after its files: when it is there, so are they.
Its key is a hash of the inputs' contents, of all settings and of the library's version.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import InputError
from .columns import PATHS
from .manifest import Row
from .store import Store, filesystem, is_url, sha256_of

KEY_LENGTH = 16
FAILED = "failed"
DONE = "done"
READERS = 8
"""Files read at the same time."""
_COLUMN = {"picture": "image", "segmentation_model": "model"}
"""What the library calls an input -> the column."""
Record = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """A row to be made: stale are names of the records of other contents of its id, removed before it begins."""

    row: Row
    key: str
    stale: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """records: of what is made already, or failed before and is not tried again; of rows whose id came before, too.
    By the row's number."""

    rows: Sequence[Row]
    tasks: Sequence[Task]
    records: dict[int, Record]

    def count(self, status: str) -> int:
        """How many rows have a record of that status."""
        return sum(record["status"] == status for record in self.records.values())

    def seconds(self) -> float | None:
        """Median of the seconds that one took; None where none is made."""
        taken = [r["seconds"] for r in self.records.values() if r["status"] == DONE]
        return statistics.median(taken) if taken else None


def make_plan(rows: Sequence[Row], store: Store, *, retry_failed: bool = False) -> Plan:
    """Compare the rows with what the store holds. Raises InputError for settings the store cannot keep."""
    records: dict[int, Record] = {}
    first: dict[str, Row] = {}
    for row in rows:
        # Compared as file systems do that do not tell capitals apart.
        other = first.setdefault(row.id.casefold(), row)
        if other is not row:
            problem = f"'{row.id}' is that of row {other.number} too."
            records[row.number] = failure(row, "", "manifest", InputError("id", problem, "Give it another."))
        if is_url(store.url) and row.values.get("format") == "png":
            problem = (
                f"row {row.number}, column 'format': png is a folder, which '{store.url}' cannot complete at once."
            )
            raise InputError("manifest", problem, "Choose apng.")
    left = [row for row in rows if row.number not in records]
    with ThreadPoolExecutor(READERS) as pool:
        keys = dict(zip((row.number for row in left), pool.map(content_key, left), strict=True))
    held: dict[str, list[str]] = defaultdict(list)
    for name in store.names("jobs"):
        held[name.rsplit(".", 2)[0]].append(name)
    files, known = store.names("loops"), _known(store)

    def record_of(row: Row) -> Record | None:
        name = record_name(row.id, keys[row.number])
        if name not in held[row.id]:
            return None
        found = known.get((row.id, keys[row.number])) or _read(store, name)
        complete = found and (found["status"] == FAILED or _complete(found, files, store))
        return {**found, "row": row.number} if found and complete else None

    tasks = []
    with ThreadPoolExecutor(READERS) as pool:
        for row, record in zip(left, pool.map(record_of, left), strict=True):
            if record is None or (retry_failed and record["status"] == FAILED):
                tasks.append(Task(row, keys[row.number], tuple(held[row.id])))
            else:
                records[row.number] = record
    return Plan(rows, tasks, records)


def content_key(row: Row) -> str:
    """Hex digits of a hash of all that decides how the row's loop looks."""
    job = dataclasses.asdict(dataclasses.replace(row.job(), **{name: None for name in PATHS}))
    inputs = {name: _digest(row, str(row.values[name])) for name in PATHS if name in row.values}
    text = json.dumps([__version__, job, inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def record_name(identity: str, key: str) -> str:
    """Name of a job's record."""
    return f"{identity}.{key}.json"


def failure(row: Row, key: str, node: str, error: BaseException, **more: Any) -> Record:
    """The record of a row that was not made: node is the stage, input what it complained of."""
    named = isinstance(error, InputError)
    sentence = f"{error.problem} {error.remedy}".strip() if named else f"{type(error).__name__}: {error}"
    shown = {"node": node, "input": _COLUMN.get(error.input, error.input) if named else "", "sentence": sentence}
    return {
        "row": row.number,
        "id": row.id,
        "key": key,
        "status": FAILED,
        **shown,
        "settings": dict(row.values),
        **more,
    }


def _digest(row: Row, value: str) -> str:
    """Of a file's or folder's content; of an address its size and time. What is not there fails when it is made."""
    if is_url(value):
        files, path = filesystem(value, "image")
        info = files.get_file_info(path)
        return f"{value} {info.size} {info.mtime_ns}"
    path = row.folder / value
    try:
        return _content(path, *_version(path))
    except OSError:
        return f"missing {value}"


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@lru_cache(256)
def _content(path: Path, size: int, time: int) -> str:
    """A checkpoint is read once for all rows; a folder's time is that of its entries."""
    return sha256_of(path)


def _known(store: Store) -> dict[tuple[str, str], Record]:
    """The records in the last run's results.jsonl: spares reading them one by one."""
    if "results.jsonl" not in store.names("."):
        return {}
    lines = store.read("results.jsonl").decode().splitlines()
    return {(r["id"], r["key"]): r for r in map(json.loads, lines) if r["status"] == DONE}


def _read(store: Store, name: str) -> Record | None:
    try:
        record = json.loads(store.read(f"jobs/{name}"))
    except ValueError:
        return None
    record.pop("log", None)
    return record


def _complete(record: Record, files: dict[str, int], store: Store) -> bool:
    name = record["path"].removeprefix("loops/")
    return files.get(name) in (record["bytes"], -1)
