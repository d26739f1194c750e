"""One page with all loops of a batch: it needs no server, and nothing from elsewhere than the batch's own folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .plan import Record, record_name

_DIGITS = 5
_SHOWN = ("row", "id", "status", "path", "poster", "bytes", "sha256", "seconds", "frames", "width", "height")
_FAILURE = ("node", "input", "sentence")


def page(records: Sequence[Record]) -> bytes:
    """index.html of the records of all rows."""
    template = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    # As a part of HTML: what looks like the end of the script would be it.
    data = json.dumps([_entry(record) for record in records], separators=(",", ":")).replace("<", "\\u003c")
    return template.replace("/*DATA*/", data, 1).encode()


def _entry(record: Record) -> dict[str, Any]:
    entry = {name: record[name] for name in (*_SHOWN, *_FAILURE) if name in record}
    if record["key"]:
        entry["record"] = f"jobs/{record_name(record['id'], record['key'])}"
    figures = record.get("metrics", {}).items()
    entry["metrics"] = {name: float(f"{x:.{_DIGITS}g}") for name, x in figures if x is not None}
    return {**entry, "settings": record["settings"]}
