"""What a batch survives, with a real Ray: killed processes and nodes, a full disk, rows that crash; and S3.

Run with ``-m fault``; minutes.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from PIL import Image

from tests.core.batches import batch, check_complete, results, started, write_inputs

pytestmark = [pytest.mark.fault, pytest.mark.slow, pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray")]
SHARED = {"image": "still.png", "mask": "mask.png", "direction": "left to right", "frames": 4}
# Seconds each, so that there is a middle to be killed in.
LONG = {**SHARED, "image": "large.png", "frames": 60}


def rows(count: int, **values: object) -> list[dict]:
    return [{"id": f"j{i}", **SHARED, **values} for i in range(count)]


def write_large(folder: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (96, 128, 3), np.uint8)
    Image.fromarray(noise).resize((512, 384), Image.Resampling.BICUBIC).save(folder / "large.png")


def until(found: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def children(root: int) -> dict[int, str]:
    """Process id -> command line of all that a process has started, and what those have."""
    parents, commands = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            commands[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        except (OSError, ValueError):
            continue
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: commands[pid] for pid in found - {root}}


def rendering(folder: Path) -> bool:
    """Whether some loop is half written."""
    return any((folder / "out/loops").glob(".*.part*"))


def done(folder: Path) -> int:
    return len(list((folder / "out/jobs").glob("*.json")))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_an_actor_killed_in_mid_render_costs_nothing_but_time(tmp_path: Path) -> None:
    write_inputs(tmp_path, rows(6, **LONG))
    write_large(tmp_path)
    with started(tmp_path, "--actors", "2") as process:
        until(lambda: rendering(tmp_path))
        workers = [pid for pid, command in children(process.pid).items() if command.startswith("ray::MapWorker")]
        assert workers
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    made = check_complete(tmp_path, {f"j{i}" for i in range(6)})
    assert "0 were tried" in batch(tmp_path).stderr
    assert check_complete(tmp_path, {f"j{i}" for i in range(6)}) == made


def test_a_killed_driver_leaves_what_a_second_call_finishes(tmp_path: Path) -> None:
    write_inputs(tmp_path, rows(8, **LONG))
    write_large(tmp_path)
    with started(tmp_path, "--actors", "2") as process:
        until(lambda: done(tmp_path) >= 2 and rendering(tmp_path))
        family = children(process.pid)
        process.kill()
        process.wait()
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family))
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/loops").glob("[!.]*")}
    records = done(tmp_path)
    assert 2 <= records < 8
    second = batch(tmp_path)
    assert second.returncode == 0, second.stderr
    assert f"{8 - records} were tried" in second.stderr
    check_complete(tmp_path, {f"j{i}" for i in range(8)})
    again = [path for path, time in kept.items() if path.stat().st_mtime_ns != time]
    assert len(again) <= len(kept) - records, "what had its record was not made again"


def test_a_killed_node_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    write_inputs(tmp_path, rows(8, **LONG))
    write_large(tmp_path)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        node = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        with started(tmp_path, "--address", cluster.address) as process:
            until(lambda: done(tmp_path) >= 1 and len(list((tmp_path / "out/attempts").glob("*.json"))) == 2)
            cluster.remove_node(node, allow_graceful=False)
            _, stderr = process.communicate(timeout=300)
        assert process.returncode == 0, stderr
        check_complete(tmp_path, {f"j{i}" for i in range(8)})
        assert "0 were tried" in batch(tmp_path, "--address", cluster.address).stderr
    finally:
        cluster.shutdown()


def test_a_cluster_is_reached_by_every_kind_of_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head of another process, guarded by a token as Ray's own command makes one."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("HOME", str(tmp_path))
    ray = [sys.executable, "-m", "ray.scripts.scripts"]
    subprocess.run([*ray, "get-auth-token", "--generate"], check=True, capture_output=True)
    port, client = free_port(), free_port()
    options = ["--block", "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats"]
    ports = [f"--port={port}", f"--ray-client-server-port={client}", "--min-worker-port=0", "--max-worker-port=0"]
    # The paths of Ray's sockets, below its folder, may not be long.
    with TemporaryDirectory(prefix="t2c") as folder, (tmp_path / "head.log").open("w+") as log:
        start = [*ray, "start", "--head", *options, *ports, f"--temp-dir={folder}", "--object-store-memory=100000000"]
        head = subprocess.Popen(start, stdout=log, stderr=log, start_new_session=True)
        try:
            until(lambda: "Ray runtime started" in (tmp_path / "head.log").read_text())
            for number, address in enumerate(("auto", f"ray://127.0.0.1:{client}", f"127.0.0.1:{port}")):
                write_inputs(tmp_path, rows(2, frames=4 + number))
                variables = {"RAY_AUTH_MODE": "token"} if number == 2 else {}
                made = batch(tmp_path, "--address", address, **variables)
                assert "2 were tried" in made.stderr, made.stderr
                check_complete(tmp_path, {"j0", "j1"})
            write_inputs(tmp_path, rows(1, frames=9))
            refused = batch(tmp_path, "--address", f"127.0.0.1:{port}")
            assert refused.returncode == 2 and "RAY_AUTH_MODE=token" in refused.stderr
        finally:
            os.killpg(head.pid, signal.SIGTERM)
            head.wait(60)


CRASHING = """import os, signal, sys
def crash(event, arguments):
    # In a worker only: the driver reads the picture, too.
    if event == "open" and str(arguments[0]).endswith("poison.png") and os.environ.get("RAY_JOB_ID"):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(crash)
"""


def test_rows_that_crash_or_fail_leave_all_others_done(tmp_path: Path) -> None:
    count = 40
    made = rows(count)
    for i in (3, 23):
        made[i]["image"] = "broken.png"
    made[11]["image"] = "poison.png"
    made[30]["id"] = "j5"
    write_inputs(tmp_path, made)
    (tmp_path / "poison.png").write_bytes((tmp_path / "still.png").read_bytes())
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook/sitecustomize.py").write_text(CRASHING)
    path = os.pathsep.join([str(tmp_path / "hook"), str(Path(__file__).parents[2])])
    first = batch(tmp_path, "--actors", "2", PYTHONPATH=path)
    assert first.returncode == 1 and "4 of 40 rows failed" in first.stderr, first.stderr
    check_complete(tmp_path, {f"j{i}" for i in range(count)} - {"j3", "j23", "j11", "j30"})
    failed = {record["row"]: record for record in results(tmp_path) if record["status"] == "failed"}
    assert {number: record["node"] for number, record in failed.items()} == {
        4: "reading",
        12: "reading",
        24: "reading",
        31: "manifest",
    }
    assert failed[12]["sentence"].startswith("the process that made it died 3 times.")
    second = batch(tmp_path, "--retry-failed")
    assert "3 were tried" in second.stderr
    check_complete(tmp_path, {f"j{i}" for i in range(count)} - {"j3", "j23", "j30"})


def test_a_full_disk_fails_the_row_that_does_not_fit(tmp_path: Path) -> None:
    made = rows(7)
    made[3] |= {"image": "large.png", "format": "apng", "frames": 40}
    write_inputs(tmp_path, made)
    write_large(tmp_path)
    out = tmp_path / "out"
    out.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(out)], capture_output=True).returncode:
        pytest.skip("no file system of a size can be mounted here")
    try:
        first = batch(tmp_path, "--actors", "1")
        assert first.returncode == 1, first.stderr
        check_complete(tmp_path, {f"j{i}" for i in range(7)} - {"j3"})
        (failed,) = [record for record in results(tmp_path) if record["status"] == "failed"]
        assert (failed["id"], failed["node"]) == ("j3", "rendering") and "No space left" in failed["sentence"]
    finally:
        subprocess.run(["umount", str(out)], check=True)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of a local S3 server with the bucket 'loops'."""
    if find_spec("moto") is None:
        pytest.skip("needs a local S3 server: pip install 'moto[server]'")
    port = free_port()
    server = subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stderr=subprocess.DEVNULL)

    def ready() -> bool:
        try:
            bucket = urllib.request.Request(f"http://127.0.0.1:{port}/loops", method="PUT")
            return urllib.request.urlopen(bucket).status == 200
        except OSError:
            return False

    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    try:
        until(ready)
        yield "s3://loops/first"
    finally:
        server.kill()
        server.wait()


def test_results_and_inputs_in_s3(tmp_path: Path, s3: str) -> None:
    from t2c_core.batch.store import open_store

    store = open_store(s3)
    write_inputs(tmp_path, [])
    open_store("s3://loops/inputs").write("still.png", (tmp_path / "still.png").read_bytes())
    made = [*rows(3), {"id": "far", **SHARED, "image": "s3://loops/inputs/still.png"}]
    made.append({"id": "lost", **SHARED, "image": "s3://loops/inputs/none.png"})
    write_inputs(tmp_path, made)
    first = batch(tmp_path, out=s3)
    assert first.returncode == 1 and "4 of 5 rows are done" in first.stderr, first.stderr
    records = [json.loads(line) for line in store.read("results.jsonl").splitlines()]
    assert records[4]["sentence"] == "'s3://loops/inputs/none.png' does not exist."
    assert store.names("loops") == {f"{r['id']}.mp4": r["bytes"] for r in records[:4]}
    assert records[3]["sha256"] == records[0]["sha256"], "the same picture from another place"
    assert not store.names("attempts") and "index.html" in store.names(".")
    store.remove("loops/j1.mp4")
    second = batch(tmp_path, out=s3)
    assert "1 were tried" in second.stderr, second.stderr
    assert store.names("loops") == {f"{r['id']}.mp4": r["bytes"] for r in records[:4]}
    (tmp_path / "rows.jsonl").write_text(json.dumps({**made[0], "format": "png"}))
    assert "format" in batch(tmp_path, "--dry-run", out=s3).stderr


def test_two_hundred_jobs_two_workers_and_the_overhead_of_one(tmp_path: Path) -> None:
    """On two cores that do nothing else; the files are compared byte for byte in there."""
    from benchmarks.batch import side_by_side

    figures = side_by_side(tmp_path / "jobs", 200)
    assert figures["overhead"] < 0.1
    assert figures["ratio"] >= 1.7


def test_memory_stays_flat_over_a_thousand_jobs(tmp_path: Path) -> None:
    from benchmarks.batch import flat

    for held in flat(tmp_path / "many", 1000):
        assert max(held[2:]) < 1.03 * held[1], held
