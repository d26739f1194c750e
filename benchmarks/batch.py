"""Batches of small jobs on this machine: workers side by side, overhead, memory; and what a loop of a size takes.

python -m benchmarks.batch [--jobs 200] [--many 1000]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from t2c_core.batch.manifest import Row, read_manifest
from t2c_core.batch.plan import Record, content_key, make_plan
from t2c_core.batch.run import Workers, make, run_tasks
from t2c_core.batch.store import LocalStore, sha256_of
from t2c_core.batch.worker import Worker, pack

SMALL, TINY = (128, 96, 12), (48, 32, 2)
"""Width, height, frames."""
SIZES = ((512, 512, 60), (512, 512, 120), (1024, 1024, 60), (1920, 1080, 60))


def main() -> None:
    """Print the three tables of docs/scale_out.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--many", type=int, default=1000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        side_by_side(Path(folder) / "jobs", args.jobs)
        flat(Path(folder) / "many", args.many)
        sizes(Path(folder) / "sizes")


def write_rows(folder: Path, count: int, size: tuple[int, int, int], **values: object) -> list[Row]:
    """A manifest of ``count`` rows of eight rough pictures whose lower half moves; its rows."""
    width, height, frames = size
    folder.mkdir(parents=True)
    for i in range(8):
        noise = np.random.default_rng(i).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
        Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    mask = np.repeat(np.array([0, 255], np.uint8), height // 2)[:, None].repeat(width, 1)
    Image.fromarray(mask).save(folder / "mask.png")
    shared = {"mask": "mask.png", "direction": "left to right", "frames": frames, **values}
    rows = [{"id": f"j{i:05}", "image": f"{i % 8}.png", "quality": 50 + i // 8 % 50, **shared} for i in range(count)]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return read_manifest(folder / "rows.jsonl")


def side_by_side(folder: Path, count: int) -> dict[str, float]:
    """The same jobs in a plain loop, by one worker and by two: seconds of each, and the ratios.

    Start-up (Ray, imports, what is compiled) is left out: from the eighth result of every worker to the last.
    """
    rows = write_rows(folder, count, SMALL)
    alone = _plain(rows, LocalStore(folder / "alone"))
    sums = _sums(folder / "alone")
    rates, between = {}, {}
    for actors in (1, 2):
        out = folder / f"by_{actors}"
        stamps, inside = [], []
        for record in run_tasks(make_plan(rows, LocalStore(out)).tasks, str(out), Workers(actors=actors)):
            stamps.append(time.perf_counter())
            inside.append(record["seconds"])
        warm = 8 * actors
        rates[actors] = (stamps[-1] - stamps[warm - 1]) / (count - warm)
        between[actors] = rates[actors] * actors / statistics.mean(inside[warm:]) - 1
        assert _sums(out) == sums, "the files are those of the plain loop, byte for byte"
    figures = {"plain": alone, "one": rates[1], "two": rates[2]}
    overhead, ratio = rates[1] / alone - 1, rates[1] / rates[2]
    print(f"{count} jobs of {SMALL[0]} x {SMALL[1]}, {SMALL[2]} frames, seconds for each:", figures, flush=True)
    print(f"overhead of one worker over the plain loop {overhead:.1%}, two over one {ratio:.2f} x", flush=True)
    print(f"between the jobs of a worker: {between[1]:.1%} of their seconds, of two: {between[2]:.1%}", flush=True)
    return {**figures, "overhead": overhead, "ratio": ratio}


def _plain(rows: list[Row], store: LocalStore) -> float:
    """Seconds for each row (but the first eight) of what a worker does, in a loop of this process with one thread."""
    threads = torch.get_num_threads()
    worker = Worker(store.url)
    tasks = [json.loads(pack(task)) for task in make_plan(rows, store).tasks]
    for task in tasks[:8]:
        worker.make(task)
    begun = time.perf_counter()
    for task in tasks[8:]:
        assert worker.make(task)["status"] == "done"
    seconds = time.perf_counter() - begun
    torch.set_num_threads(threads)
    return seconds / (len(rows) - 8)


def _sums(out: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in (out / "loops").iterdir()}


def flat(folder: Path, count: int) -> tuple[list[float], list[float]]:
    """MB that this process and the largest worker hold, at each tenth of many tiny jobs."""
    rows = write_rows(folder, count, TINY)
    driver, workers = [], []
    plan, done = make_plan(rows, LocalStore(folder / "out")), 0

    def on_record(record: Record) -> None:
        nonlocal done
        done += 1
        if done % max(1, count // 10) == 0:
            driver.append(_resident(os.getpid()))
            workers.append(max(_resident(pid) for pid in _workers()))

    begun = time.perf_counter()
    make(plan, LocalStore(folder / "out"), Workers(), on_record)
    print(f"{count} jobs of {TINY[0]} x {TINY[1]}: {count / (time.perf_counter() - begun):.1f} per second", flush=True)
    print(
        "MB of the driver ", [round(x) for x in driver], "\nMB of the worker ", [round(x) for x in workers], flush=True
    )
    return driver, workers


def _workers() -> Iterable[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_text().startswith("ray::MapWorker"):
                yield int(folder.name)
        except OSError:
            continue


def _resident(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * resource.getpagesize() / 1e6


def sizes(folder: Path) -> None:
    """CPU seconds, MB at most and MB of the file of one loop of each size, measuring and encoding as mp4 included."""
    for size in SIZES:
        place = folder / "x".join(map(str, size))
        rows = write_rows(place, 2, size)
        child = os.fork()
        if not child:
            store = LocalStore(place / "out")
            worker, spent, record = Worker(store.url), [], {"bytes": 0}
            for row in rows:
                begun = time.process_time()
                task = {"number": row.number, "id": row.id, "values": dict(row.values), "folder": str(row.folder)}
                record = worker.make({"row": task, "key": content_key(row), "stale": []})
                assert record["status"] == "done", record
                spent.append(time.process_time() - begun)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            told = f"{statistics.median(spent):.1f} CPU s, {peak:.0f} MB at most, file {record['bytes'] / 1e6:.1f} MB"
            print(f"{size[0]} x {size[1]}, {size[2]} frames, half of it fluid: {told}", flush=True)
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
