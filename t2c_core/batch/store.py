"""Where a batch's files go: a local or shared folder, or any address that pyarrow or fsspec opens (s3:// ...)."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from ..errors import InputError, first_line
from ..io.files import atomic_write, clear_unfinished


class Store(Protocol):
    """Files below one place, by names such as 'loops/river.mp4'. A file appears complete or not at all."""

    url: str

    def names(self, folder: str) -> dict[str, int]:
        """Names (without the folder) and bytes of what is in a folder; -1 byte: itself a folder."""
        ...

    def read(self, name: str) -> bytes: ...

    def write(self, name: str, content: bytes) -> None: ...

    def placing(self, name: str) -> Any:
        """A context: the path to write to; when its block ends without an error, what is there stands in the store."""
        ...

    def remove(self, name: str) -> None:
        """Nothing where there is none."""
        ...

    def locked(self) -> Any:
        """A context in which no other process writes a batch here. Raises InputError('out') where one does."""
        ...


def open_store(url: str) -> Store:
    """The store at a path or an address. Raises InputError('out') for an address that nothing opens."""
    return RemoteStore(url) if is_url(url) else LocalStore(Path(url))


def is_url(text: str) -> bool:
    """Whether a text is an address and no path."""
    return re.match(r"[a-z][a-z0-9+.-]+://", text) is not None


class LocalStore:
    """A folder of this machine, or one that all machines share under the same path."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.url = str(self.root)

    def names(self, folder: str) -> dict[str, int]:
        place = self.root / folder
        if not place.is_dir():
            return {}
        held = {}
        for path in place.iterdir():
            with suppress(FileNotFoundError):  # another run's, gone already
                held[path.name] = -1 if path.is_dir() else path.stat().st_size
        return held

    def read(self, name: str) -> bytes:
        return (self.root / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        with self.placing(name) as path, atomic_write(path) as unfinished:
            unfinished.write_bytes(content)

    @contextmanager
    def placing(self, name: str) -> Iterator[Path]:
        """The path itself: the writers put a complete file there in one step."""
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        yield target

    def remove(self, name: str) -> None:
        path = self.root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Before and after, what killed processes left unfinished is cleared away."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as file:
            with suppress(ImportError):
                import fcntl

                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    problem = f"another batch is being written to '{self.url}'."
                    raise InputError("out", problem, "Wait for it, or give another folder.") from None
            self._clear_unfinished()
            try:
                yield
            finally:
                self._clear_unfinished()

    def _clear_unfinished(self) -> None:
        for folder in ("loops", "posters", "jobs", "attempts", "."):
            clear_unfinished(self.root / folder)


class RemoteStore:
    """An object store or another file system, by pyarrow, or by fsspec where pyarrow knows none of its kind."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._files, self._root = filesystem(url, "out")

    def names(self, folder: str) -> dict[str, int]:
        from pyarrow import fs

        place = self._root if folder == "." else f"{self._root}/{folder}"
        selector = fs.FileSelector(place, allow_not_found=True)
        return {i.base_name: i.size for i in self._files.get_file_info(selector) if i.type == fs.FileType.File}

    def read(self, name: str) -> bytes:
        with self._files.open_input_stream(f"{self._root}/{name}") as stream:
            return stream.read()

    def write(self, name: str, content: bytes) -> None:
        with self.placing(name) as path:
            path.write_bytes(content)

    @contextmanager
    def placing(self, name: str) -> Iterator[Path]:
        """A path in a temporary folder of this machine. Object stores show a file when its upload is complete; others
        get it under a temporary name that is then changed."""
        with tempfile.TemporaryDirectory(prefix="t2c_batch_") as folder:
            local = Path(folder) / Path(name).name
            yield local
            target = f"{self._root}/{name}"
            atomic = self._files.type_name in ("s3", "gcs", "abfs", "py::fsspec+s3", "py::fsspec+('s3', 's3a')")
            place = target if atomic else f"{target}.part"
            if not atomic:
                self._files.create_dir(target.rpartition("/")[0], recursive=True)
            with local.open("rb") as source, self._files.open_output_stream(place) as stream:
                shutil.copyfileobj(source, stream, 1 << 20)
            if not atomic:
                self._files.move(place, target)

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._files.delete_file(f"{self._root}/{name}")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Object stores have no locks; two runs would do work twice, each file still whole."""
        yield


def filesystem(url: str, input: str) -> tuple[Any, str]:
    """(pyarrow's file system, path in it) of an address. Raises InputError(input)."""
    try:
        from pyarrow import ArrowInvalid, fs
    except ImportError as error:
        remedy = "Install it: python -m pip install pyarrow"
        raise InputError(input, f"'{url}' needs pyarrow.", remedy) from error
    try:
        try:
            files, path = fs.FileSystem.from_uri(url)
        except ArrowInvalid:
            import fsspec

            opened, path = fsspec.url_to_fs(url)
            files = fs.PyFileSystem(fs.FSSpecHandler(opened))
    except (ImportError, ValueError, OSError) as error:
        raise InputError(input, f"'{url}' cannot be opened ({first_line(error)}).") from error
    return files, path.rstrip("/")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's content; of a folder that of its files' names and contents. Raises OSError."""
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()}\0{sha256_of(file)}\0".encode())
        return digest.hexdigest()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def bytes_of(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    return sum(p.stat().st_size for p in path.rglob("*")) if path.is_dir() else path.stat().st_size
