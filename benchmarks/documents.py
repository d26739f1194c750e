"""What a benchmark writes into a document: everything between two markers, and nothing around them."""

from __future__ import annotations

from pathlib import Path

from t2c_core.errors import InputError
from t2c_core.io.files import atomic_write


def replaced(document: str, text: str, begin: str, end: str) -> str:
    """The document with what stands between its markers replaced by ``text``. Raises InputError('document')."""
    before, begun, rest = document.partition(begin)
    _, ended, after = rest.partition(end)
    if not (begun and ended):
        raise InputError("document", "lacks the markers.", f"Put '{begin}' and '{end}' on lines of their own.")
    return f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}"


def rewrite(path: Path, text: str, begin: str, end: str, *, make: bool = False) -> None:
    """Replace what stands between the markers of the file at ``path``, whole or not at all.

    make: a file without the markers, or none, gets them at its end.
    """
    document = "" if make and not path.exists() else path.read_text(encoding="utf-8")
    if make and begin not in document:
        document = f"{document.rstrip()}\n\n{begin}\n{end}\n".lstrip()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(replaced(document, text, begin, end), encoding="utf-8")
