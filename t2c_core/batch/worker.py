"""One process that makes loop after loop: an actor of Ray, which this module does not import."""

from __future__ import annotations

import io
import json
import logging
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ..errors import InputError
from ..job import Made, Models, make_loop
from ..loop.frames import as_array
from ..loop.write import FORMATS, opaque_note, write_loop
from ..metrics.measure import LoopMeasure
from ..segment.models.base import Step
from ..types import MotionField
from .columns import PATHS
from .manifest import Row
from .plan import DONE, Record, Task, failure, record_name
from .store import Store, bytes_of, filesystem, is_url, open_store, sha256_of

_SIZES = ("frames", "height", "width")
MOST_ATTEMPTS = 3
"""How often a row is begun whose worker dies over it, before it counts as failed."""
POSTER_SIDE = 256
POSTER_QUALITY = 80


def pack(task: Task) -> str:
    """A task as the text that travels to a worker."""
    row = task.row
    values = {"number": row.number, "id": row.id, "values": dict(row.values), "folder": str(row.folder)}
    return json.dumps({"row": values, "key": task.key, "stale": task.stale})


class Worker:
    """Makes jobs one by one; models are kept for the next. out: address of the store. threads: of this process."""

    def __init__(self, out: str, *, device: str = "cpu", threads: int = 1, measure: bool = True) -> None:
        import cv2

        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
        self._store, self._device, self._measure = open_store(out), device, measure
        self._models = Models()

    def __call__(self, batch: dict[str, Sequence[str]]) -> dict[str, list[str]]:
        """A batch of packed tasks to their records as JSON: small texts, never frames."""
        return {"record": [json.dumps(self.make(json.loads(task))) for task in batch["task"]]}

    def make(self, packed: dict[str, Any]) -> Record:
        """Make a loop and its record; whatever goes wrong is a record, too."""
        values = packed["row"]
        row = Row(values["number"], values["id"], values["values"], Path(values["folder"]))
        job = _Attempt(self._store, row, packed["key"], tuple(packed["stale"]))
        try:
            return job.run(self._models, self._device, self._measure)
        except Exception as error:
            return job.failed(error)


class _Attempt:
    """One row on its way: which stage it is in, how long each took, and what was said."""

    def __init__(self, store: Store, row: Row, key: str, stale: tuple[str, ...]) -> None:
        self._store, self._row, self._key, self._stale = store, row, key, stale
        self._name = record_name(row.id, key)
        self._begun = time.monotonic()
        self._node, self._since = "reading", self._begun
        self._timings: dict[str, float] = {}
        self._log: list[str] = []

    def run(self, models: Models, device: str, measure: bool) -> Record:
        before = self._read(f"attempts/{self._name}") or {"count": 0, "node": ""}
        if before["count"]:
            # The worker that began it may have died after the record was written.
            if (made := self._read(f"jobs/{self._name}")) and made["status"] == DONE:
                return made
            if before["count"] >= MOST_ATTEMPTS:
                self._node = before["node"]
                problem = f"the process that made it died {MOST_ATTEMPTS} times."
                raise InputError("", problem, "Look at the machine's log; it may have too little memory.")
        self._count = before["count"] + 1
        self._enter("reading")
        self._forget_stale()
        with _inputs(self._row) as row, _logged(self._log):
            job = row.job(device)
            made = make_loop(job, models, stage=self._stage, say=self._say, coverage=measure)
            path = f"loops/{row.id}{FORMATS[job.encode.format].suffix}"
            record = {"row": row.number, "id": row.id, "key": self._key, "status": DONE, "path": path}
            if made.alpha is not None and not FORMATS[job.encode.format].alpha:
                self._say(opaque_note(job.encode.format))
            self._enter("rendering")
            frames = _Watched(made, measure)
            with self._store.placing(path) as target:
                write_loop(frames, target, job.encode, alpha=made.alpha)
                self._enter("storing")
                record |= {"bytes": bytes_of(target), "sha256": sha256_of(target)}
        record["poster"] = f"posters/{row.id}.jpg"
        self._store.write(record["poster"], frames.poster())
        height, width = made.loop.plan.flow.size
        record |= {"frames": len(made.loop), "width": width, "height": height, "frame_rate": job.encode.frame_rate}
        self._enter("")
        record |= {"seconds": round(time.monotonic() - self._begun, 3), "timings": self._timings}
        record |= {"metrics": frames.metrics(), "settings": dict(self._row.values)}
        self._finish(record)
        return record

    def failed(self, error: Exception) -> Record:
        """The record of a failure; where not even that can be written, it still travels."""
        sentence = "".join(traceback.format_exception(error))
        self._log += [] if isinstance(error, InputError) else sentence.splitlines()
        seconds = round(time.monotonic() - self._begun, 3)
        record = failure(self._row, self._key, self._node, error, seconds=seconds, timings=self._timings)
        with suppress(Exception):
            self._finish(record)
        return record

    def _finish(self, record: Record) -> None:
        self._store.write(f"jobs/{self._name}", json.dumps({**record, "log": self._log}, indent=1).encode())
        self._store.remove(f"attempts/{self._name}")

    def _forget_stale(self) -> None:
        """Older contents of this id: first the record, or it would vouch for a file that is no longer its own."""
        for name in self._stale:
            record = self._read(f"jobs/{name}")
            self._store.remove(f"jobs/{name}")
            if record and record["status"] == DONE:
                self._store.remove(record["path"])

    def _read(self, name: str) -> Any:
        try:
            return json.loads(self._store.read(name))
        except (FileNotFoundError, ValueError):
            return None

    def _say(self, sentence: str) -> None:
        if sentence:
            self._log.append(sentence)

    @contextmanager
    def _stage(self, description: str) -> Iterator[Step]:
        self._enter(description)
        yield lambda done, total: None

    def _enter(self, node: str) -> None:
        """The next stage begins; it is written down, for the case that it is this process's last."""
        now = time.monotonic()
        self._timings[self._node] = round(self._timings.get(self._node, 0.0) + now - self._since, 3)
        self._node, self._since = node or self._node, now
        if node:
            self._store.write(f"attempts/{self._name}", json.dumps({"count": self._count, "node": node}).encode())


class _Watched:
    """The frames of a loop for the writer; the first pass over them is measured, and the first frame kept small."""

    def __init__(self, made: Made, measure: bool) -> None:
        self._loop = made.loop
        plan = made.loop.plan
        field = MotionField(plan.flow.velocity * plan.settings.speed, plan.flow.mask)
        self._measure = LoopMeasure(self._loop, plan.flow.mask, field, plan.image[0]) if measure else None
        self._first: np.ndarray | None = None
        self._seen = 0

    def __len__(self) -> int:
        return len(self._loop)

    def __iter__(self) -> Iterator[torch.Tensor]:
        for frame in self._loop:
            if self._seen < len(self):
                self._seen += 1
                self._first = as_array(frame) if self._first is None else self._first
                if self._measure:
                    self._measure.add(as_array(frame))
            yield frame
            del frame

    def poster(self) -> bytes:
        """A small JPEG of frame 0."""
        assert self._first is not None
        picture = Image.fromarray((self._first * 255).round().astype(np.uint8))
        picture.thumbnail((POSTER_SIDE, POSTER_SIDE))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=POSTER_QUALITY)
        return buffer.getvalue()

    def metrics(self) -> dict[str, float | None]:
        """The figures of LoopReport that are one number; those of the motion's error as motion_error_*."""
        if not self._measure:
            return {}
        report = self._measure.report(self._loop.coverage).as_dict()
        error = report.pop("motion_error") or {}
        report |= {f"motion_error_{name}": value for name, value in error.items()}
        return {name: value for name, value in report.items() if not isinstance(value, list) and name not in _SIZES}


@contextmanager
def _inputs(row: Row) -> Iterator[Row]:
    """The row with what lies at addresses copied to this machine; a checkpoint's copy is not kept for the next row."""
    remote = {name: row.values[name] for name in PATHS if is_url(str(row.values.get(name, "")))}
    if not remote:
        yield row
        return
    with tempfile.TemporaryDirectory(prefix="t2c_inputs_") as folder:
        local = {}
        for name, url in remote.items():
            files, path = filesystem(url, name)
            local[name] = str(Path(folder) / f"{name}_{Path(path).name}")
            try:
                with files.open_input_stream(path) as stream:
                    Path(local[name]).write_bytes(stream.read())
            except FileNotFoundError:
                raise InputError(name, f"'{url}' does not exist.") from None
        yield Row(row.number, row.id, {**row.values, **local}, row.folder)


@contextmanager
def _logged(lines: list[str]) -> Iterator[None]:
    """What the library logs, in the job's log."""

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger, handler = logging.getLogger("t2c_core"), Keep()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
