"""A plan's tasks through Ray Data, and the results as tables. Ray is imported in here only, inside functions."""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError, first_line
from .page import page
from .plan import Plan, Record, Task
from .store import Store
from .worker import Worker, pack

OBJECT_STORE = 80_000_000
"""Bytes, about the least Ray allows: only texts travel."""
MOST_BLOCKS = 10_000
"""Of a data set; a block is what is lost and begun again when a worker dies."""


@dataclass(frozen=True)
class Workers:
    """How many processes, and what each gets.

    address: 'local' (a Ray of its own, on this machine), 'auto' (the cluster this machine belongs to), 'ray://host:port'
    or 'host:port'. actors: None: as many as there is room for. cpus: cores of each, and its threads. gpus: a share of a
    card is allowed. memory: bytes that Ray sets aside for each; 0: no limit. measure: figures of every loop.
    """

    address: str = "local"
    actors: int | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    memory: int = 0
    measure: bool = True

    def __post_init__(self) -> None:
        for name, least in (("actors", 1), ("cpus", 0.01), ("gpus", 0), ("memory", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(name, f"is {value:g}; it must be at least {least:g}.")


def check_ray() -> None:
    """Raise InputError('ray') where Ray Data is not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("ray", "pyarrow")):
        raise InputError("ray", "is not installed.", 'Install it: python -m pip install "ray[data]"')


def run_tasks(tasks: Sequence[Task], out: str, workers: Workers = Workers()) -> Iterator[Record]:
    """The records of all tasks, as they are done. Raises InputError for an address or workers that cannot be had."""
    check_ray()
    with _connected(workers) as ray:
        count = min(workers.actors or _room(ray.cluster_resources(), workers), len(tasks))
        try:
            if not workers.address.startswith("ray://"):
                yield from _records(tasks, out, workers, count)
                return
            # Ray Data hands no rows to Ray's client: an actor on the cluster reads them.
            reader = ray.remote(num_cpus=0)(_Reader).remote(tasks, out, workers, count)
            while (record := ray.get(reader.next.remote())) is not None:
                yield record
        except ray.exceptions.RayError as error:
            problem = f"the workers at '{workers.address}' could not go on ({first_line(error)})."
            raise InputError("address", problem, "Every machine needs this library and its packages.") from error


def _records(tasks: Sequence[Task], out: str, workers: Workers, count: int) -> Iterator[Record]:
    """The records of all tasks from ``count`` workers of the cluster this process belongs to."""
    import ray
    from ray.data import ActorPoolStrategy, DataContext

    context = DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    options: dict[str, Any] = {"memory": workers.memory} if workers.memory else {}
    device = "cuda" if workers.gpus else "cpu"
    threads = max(1, math.floor(workers.cpus))
    items = [{"task": pack(task)} for task in tasks]
    records = ray.data.from_items(items, override_num_blocks=min(len(items), MOST_BLOCKS)).map_batches(
        Worker,
        fn_constructor_args=(out,),
        fn_constructor_kwargs={"device": device, "threads": threads, "measure": workers.measure},
        batch_size=1,
        # One at a time: a worker that dies takes no other row's attempt with it.
        compute=ActorPoolStrategy(min_size=1, max_size=count, initial_size=count, max_tasks_in_flight_per_actor=2),
        num_cpus=workers.cpus,
        num_gpus=workers.gpus,
        **options,
    )
    for row in records.iter_rows():
        yield json.loads(row["record"])


class _Reader:
    """``_records`` one by one, as an actor."""

    def __init__(self, *arguments: Any) -> None:
        self._records = _records(*arguments)

    def next(self) -> Record | None:
        """The next record, None after the last."""
        return next(self._records, None)


def _room(resources: dict[str, float], workers: Workers) -> int:
    """How many workers the cluster has room for now. Raises InputError if for none."""
    needs = {"CPU": workers.cpus, "GPU": workers.gpus, "memory": workers.memory}
    for name, need in needs.items():
        if need > resources.get(name, 0.0):
            problem = f"are {need:g} for each, and there are {resources.get(name, 0.0):g}."
            raise InputError({"CPU": "cpus", "GPU": "gpus"}.get(name, name), problem, "Ask for less.")
    return int(min(resources[name] // need for name, need in needs.items() if need))


@contextmanager
def _connected(workers: Workers) -> Iterator[Any]:
    """Ray, connected; a local one ends with the block. Its own messages are kept to errors."""
    # The core's remark on actors with arguments (Ray's issue 53727) is not about anything a user does.
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    local = workers.address == "local"
    if workers.address.startswith("ray://") and (Path.home() / ".ray" / "auth_token").exists():
        # Shown to a cluster that asks for none it does no harm, as it would at HOST:PORT.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    import ray

    # Nothing but this machine reaches a local one.
    options: dict[str, Any] = (
        {"include_dashboard": False, "object_store_memory": OBJECT_STORE, "_node_ip_address": "127.0.0.1"}
        if local
        else {}
    )
    try:
        ray.init(address=workers.address, logging_level=logging.ERROR, log_to_driver=False, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        problem = f"'{workers.address}' cannot be reached ({first_line(error)})."
        remedy = (
            "Start a cluster with 'ray start --head', or leave it out. A cluster may ask for a token: that of its head "
            "('ray get-auth-token'), here in ~/.ray/auth_token, and RAY_AUTH_MODE=token."
        )
        raise InputError("address", problem, remedy) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def make(
    plan: Plan, store: Store, workers: Workers = Workers(), on_record: Callable[[Record], object] = lambda record: None
) -> list[Record]:
    """Make a plan's tasks and write the results; returns the records of all rows, in their order.

    on_record: gets each new record. Whatever ends it, the results of what is done are written. Raises InputError.
    """
    records = dict(plan.records)
    with store.locked():
        for name in store.names("attempts"):  # of a run that was killed: nobody's fault
            store.remove(f"attempts/{name}")
        try:
            for record in run_tasks(plan.tasks, store.url, workers) if plan.tasks else ():
                records[record["row"]] = record
                on_record(record)
        finally:
            ordered = [records[number] for number in sorted(records)]
            write_results(ordered, store)
    return ordered


def write_results(records: Sequence[Record], store: Store) -> None:
    """index.html, results.jsonl with a line for each, and results.parquet with a column for each metric and stage."""
    store.write("results.jsonl", "".join(f"{json.dumps(record)}\n" for record in records).encode())
    store.write("index.html", page(records))
    if importlib.util.find_spec("pyarrow") is None:
        return
    import pyarrow
    from pyarrow import parquet

    rows = [_flat(record) for record in records]
    names = sorted({name for row in rows for name in row}, key=_order(rows))
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table({name: [row.get(name) for row in rows] for name in names}), buffer)
    store.write("results.parquet", buffer.getvalue())


def _flat(record: Record) -> dict[str, Any]:
    row = {name: value for name, value in record.items() if name not in ("metrics", "timings", "settings")}
    row["settings"] = json.dumps(record["settings"])
    row |= {name: None if value is None else float(value) for name, value in record.get("metrics", {}).items()}
    return row | {f"seconds_{name.replace(' ', '_')}": value for name, value in record.get("timings", {}).items()}


def _order(rows: Iterable[dict[str, Any]]) -> Callable[[str], int]:
    """As the names first come in the rows."""
    places: dict[str, int] = {}
    for row in rows:
        for name in row:
            places.setdefault(name, len(places))
    return lambda name: places[name]
