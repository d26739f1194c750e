"""Manifests: CSV, JSON lines, Parquet or a folder of pictures, to rows that are checked."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..errors import InputError, first_line
from ..job import Job
from .columns import COLUMNS, job_of, parse_cell

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif")
_ID = re.compile(r"[^\s./\\:*?\"<>|\x00-\x1f\x7f]([^/\\:*?\"<>|\x00-\x1f\x7f]*[^\s./\\:*?\"<>|\x00-\x1f\x7f])?")
LONGEST_ID = 120
"""Bytes; file systems allow names of 255."""
_SHOWN = 5


@dataclass(frozen=True)
class Row:
    """One row: number from 1 (without the header), id, values by column, and the folder where relative paths begin."""

    number: int
    id: str
    values: Mapping[str, Any]
    folder: Path

    def job(self, device: str = "cpu") -> Job:
        """What the row asks for. Raises InputError."""
        return job_of(self.values, self.folder, device)


def read_manifest(path: Path, defaults: Mapping[str, str] = MappingProxyType({})) -> list[Row]:
    """All rows, checked: columns, values, and inputs that do not go together. defaults: values of empty cells.

    A folder gives a row for every picture in it, with NAME.hints.json and NAME.mask.png beside it. Empty cells count as
    not given. Raises InputError('manifest') that names the rows and columns.
    """
    raw = list(_read(path))
    if not raw:
        raise InputError("manifest", f"'{path}' holds no rows.")
    if unknown := sorted({name for values in [*raw, defaults] for name in values} - COLUMNS.keys()):
        where = next((f"row {n}, " for n, values in enumerate(raw, 1) if unknown[0] in values), "")
        problem = f"{where}column '{unknown[0]}': is not known."
        raise InputError("manifest", problem, f"Known are {', '.join(COLUMNS)}.")
    folder = (path if path.is_dir() else path.parent).resolve()
    rows: list[Row] = []
    problems: list[str] = []
    for number, values in enumerate(raw, 1):
        try:
            rows.append(_row(number, {**defaults, **values}, folder))
        except InputError as error:
            problems.append(f"row {number}, column '{error.input}': {error.problem} {error.remedy}".rstrip())
    if problems:
        more = f" {len(problems) - _SHOWN} more rows are wrong." if len(problems) > _SHOWN else ""
        raise InputError("manifest", " ".join(problems[:_SHOWN]) + more)
    return rows


def _row(number: int, raw: Mapping[str, Any], folder: Path) -> Row:
    values = {name: parse_cell(name, value) for name, value in raw.items()}
    # Pictures of one name in several folders get ids of their own: those are refused as duplicates.
    identity = values.pop("id", None) or Path(values.get("image", "")).stem or f"row{number:05}"
    if not _ID.fullmatch(identity) or len(identity.encode()) > LONGEST_ID:
        raise InputError(
            "id", f"'{identity[:LONGEST_ID]}' cannot be the name of a file.", "Use letters, digits, - and _."
        )
    row = Row(number, identity, values, folder)
    row.job()
    return row


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """The rows as they stand, without empty cells. Raises InputError('manifest')."""
    kind = path.suffix.lower()
    try:
        if path.is_dir():
            rows: Iterable[dict[str, Any]] = _pictures(path)
        elif kind == ".csv":
            rows = _csv(path)
        elif kind in (".jsonl", ".ndjson"):
            rows = _json_lines(path)
        elif kind == ".parquet":
            rows = _parquet(path)
        else:
            problem = f"'{path.name}' is of no known kind."
            raise InputError("manifest", problem, "Give a .csv, .jsonl or .parquet file, or a folder of pictures.")
        for row in rows:
            yield {name: value for name, value in row.items() if not _empty(value)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError("manifest", f"'{path}' cannot be read ({first_line(error)}).") from error


def _empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and value != value)


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = [name.strip() for name in next(reader, [])]
        if twice := [name for name, count in Counter(header).items() if count > 1]:
            raise InputError("manifest", f"has the column '{twice[0]}' twice.")
        number = 0
        for cells in reader:
            if not any(cells):
                continue
            number += 1
            if len(cells) > len(header):
                problem = f"row {number}: has {len(cells)} cells, the header {len(header)}."
                raise InputError("manifest", problem, 'Put text with commas in "quotes".')
            yield dict(zip(header, (cell.strip() for cell in cells), strict=False))


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(filter(str.strip, file), 1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise InputError("manifest", f"row {number}: is not valid JSON ({error}).") from error
            if not isinstance(row, dict):
                raise InputError("manifest", f"row {number}: is no JSON object.")
            yield row


def _parquet(path: Path) -> list[dict[str, Any]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        remedy = "Install it: python -m pip install pyarrow"
        raise InputError("manifest", f"'{path.name}' needs pyarrow to be read.", remedy) from error
    try:
        return pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as error:
        raise InputError("manifest", f"'{path}' cannot be read ({first_line(error)}).") from error


def _pictures(folder: Path) -> Iterator[dict[str, Any]]:
    found = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in PICTURES and not p.name.startswith(".")]
    pictures = [p for p in found if not p.stem.endswith(".mask")]
    stems = Counter(p.stem for p in pictures)
    for path in pictures:
        row = {"image": path.name, "id": path.stem if stems[path.stem] == 1 else path.name}
        for name, beside in (("hints", f"{path.stem}.hints.json"), ("mask", f"{path.stem}.mask.png")):
            if (folder / beside).is_file():
                row[name] = beside
        yield row
