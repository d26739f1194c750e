"""``batch``: a manifest of jobs to a folder of loops, on all cores or a cluster, resumable."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from ..batch.manifest import read_manifest
from ..batch.plan import DONE, FAILED, Plan, Record, make_plan
from ..batch.run import Workers, check_ray, make
from ..batch.store import is_url, open_store
from ..errors import InputError
from .options import say

_SHOWN = 10
"""Failures that are told; all are in the results."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the sub-command."""
    parser.add_argument("manifest", type=Path, help=".csv, .jsonl or .parquet file, or a folder of pictures")
    parser.add_argument("-o", "--out", required=True, help="folder, or an address such as s3://bucket/loops")
    parser.add_argument(
        "--set", action="append", default=[], metavar="COLUMN=VALUE", help="for rows that leave the column empty"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be made, and make nothing")
    parser.add_argument("--retry-failed", action="store_true", help="make again what failed before")
    parser.add_argument(
        "--address",
        default=Workers.address,
        help="'local' (all cores of this machine), 'auto' (the Ray cluster it belongs to), ray://HOST:10001 or "
        "HOST:6379 (default local)",
    )
    parser.add_argument("--actors", type=int, help="worker processes (default: as many as there is room for)")
    parser.add_argument("--cpus", type=float, default=Workers.cpus, help="cores, and threads, of each (default 1)")
    parser.add_argument("--gpus", type=float, default=Workers.gpus, help="cards of each; 0.5 shares one (default 0)")
    parser.add_argument("--memory", type=float, default=0.0, help="GiB that Ray sets aside for each")
    parser.add_argument("--no-measure", action="store_true", help="leave the loops' figures out, which take time")


def run(args: argparse.Namespace) -> int:
    """Make what is not made yet; 0 if every row is done, else 1. Raises InputError."""
    memory = int(args.memory * 2**30)
    workers = Workers(args.address, args.actors, args.cpus, args.gpus, memory, measure=not args.no_measure)
    if not args.dry_run:
        check_ray()
    rows = read_manifest(args.manifest, _defaults(args.set))
    if not is_url(args.out) and Path(args.out).exists() and not Path(args.out).is_dir():
        raise InputError("out", f"'{args.out}' is a file.", "Give a folder.")
    store = open_store(args.out)
    plan = make_plan(rows, store, retry_failed=args.retry_failed)
    if args.dry_run:
        _say_plan(plan)
        return 0
    with tqdm(total=len(plan.tasks), unit="loop", desc="batch") as bar:
        failed = 0

        def on_record(record: Record) -> None:
            nonlocal failed
            failed += record["status"] == FAILED
            bar.set_postfix(failed=failed, refresh=False)
            bar.update()

        try:
            records = make(plan, store, workers, on_record)
        except KeyboardInterrupt:
            say("interrupted; what is done is kept, and the same command makes the rest.")
            return 130
        seconds = bar.format_dict["elapsed"]
    _say_results(records, len(plan.tasks), seconds, store.url)
    return int(any(record["status"] == FAILED for record in records))


def _defaults(given: list[str]) -> dict[str, str]:
    """The columns and values of '--set'. Raises InputError."""
    defaults = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError("set", f"'{text}' has no value.", "Write it as frames=60.")
        defaults[name.strip()] = value.strip()
    return defaults


def _say_plan(plan: Plan) -> None:
    to_make = {task.row.number for task in plan.tasks}
    for row in plan.rows:
        record = plan.records.get(row.number)
        failed = record is not None and record["status"] == FAILED
        said = f"failed  {row.id}: {record['sentence']}" if record and failed else f"done    {row.id}"
        print(f"make    {row.id}" if row.number in to_make else said)
    print(f"{len(plan.tasks)} to make, {plan.count(DONE)} done, {plan.count(FAILED)} failed before.")
    if (seconds := plan.seconds()) is not None:
        print(f"One took {seconds:.1f} s: {seconds * len(plan.tasks):.0f} s of one worker's time to go.")


def _say_results(records: Sequence[Record], tried: int, seconds: float, out: str) -> None:
    """Failures and seconds by stage on stderr, the page's path on stdout."""
    failures = [record for record in records if record["status"] == FAILED]
    stages: Counter[str] = Counter()
    for record in records:
        stages.update(record.get("timings", {}))
    say("seconds by stage: " + ", ".join(f"{name} {spent:.1f}" for name, spent in stages.items()) + ".")
    for record in failures[:_SHOWN]:
        where = ": ".join(filter(None, (record["node"], record["input"])))
        say(f"row {record['row']}, '{record['id']}': {where}: {record['sentence']}")
    if failures:
        say(f"{len(failures)} of {len(records)} rows failed; results.jsonl names all, --retry-failed makes them again.")
    say(f"{len(records) - len(failures)} of {len(records)} rows are done, {tried} were tried in {seconds:.0f} s.")
    print(f"{out.rstrip('/')}/index.html")
