"""``t2c batch`` with a real Ray, as a user meets it: processes of their own, a manifest in, files out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from t2c_core.batch.store import sha256_of
from t2c_core.cli.main import main
from t2c_core.io.images import load_image
from t2c_core.loop.read import read_frames
from tests.core.batches import REPO, batch, results, write_inputs

pytestmark = pytest.mark.slow
ROWS = {
    "mp4": {"direction": "left to right", "frames": 6},
    "gif": {"direction": "200", "frames": 5, "format": "gif", "blend": "linear"},
    "drawn": {"hints": "hints.json", "frames": 4, "format": "webp", "quality": 70, "flow_speed": 2, "speed": 0.5},
    "pngs": {"direction": "upwards", "frames": 3, "format": "png", "size": 48, "renderer": "splat"},
}
RENAMED = {"flow_speed": "flow-speed"}


def by_command_line(folder: Path, identity: str) -> Path:
    """The same loop by 't2c animate'."""
    suffix = {"mp4": ".mp4", "gif": ".gif", "drawn": ".webp", "pngs": ""}[identity]
    output = folder / f"alone_{identity}{suffix}"
    options = [f"--{RENAMED.get(name, name)}={value}" for name, value in ROWS[identity].items() if name != "hints"]
    more = ["--hints", str(folder / "hints.json")] if "hints" in ROWS[identity] else []
    inputs = [str(folder / "still.png"), "--mask", str(folder / "mask.png")]
    assert main(["animate", *inputs, "-o", str(output), *options, *more]) == 0
    return output


def test_a_batch_is_made_once_and_equals_the_command_line(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    shared = {"image": "still.png", "mask": "mask.png"}
    rows = [{"id": identity, **shared, **values} for identity, values in ROWS.items()]
    rows += [{"id": "mp4", **shared}, {"id": "unread", **shared, "image": "broken.png"}]
    rows += [{"id": "lost", **shared, "image": "nowhere.png"}]
    write_inputs(tmp_path, rows)
    first = batch(tmp_path, "--actors", "2")
    assert first.returncode == 1, first.stderr
    assert "4 of 7 rows are done, 6 were tried" in first.stderr and "Traceback" not in first.stderr
    made = results(tmp_path)
    assert [(r["row"], r["id"], r["status"]) for r in made] == [
        *((number, identity, "done") for number, identity in enumerate(ROWS, 1)),
        *((5, "mp4", "failed"), (6, "unread", "failed"), (7, "lost", "failed")),
    ]
    reading = ("reading", "image")
    assert [(r["node"], r["input"]) for r in made[4:]] == [("manifest", "id"), reading, reading]
    assert made[4]["sentence"] == "'mp4' is that of row 1 too. Give it another."
    assert "nowhere.png' does not exist." in made[6]["sentence"] and made[6]["sentence"] in first.stderr

    files = sorted(path.name for path in (tmp_path / "out/loops").iterdir())
    assert files == ["drawn.webp", "gif.gif", "mp4.mp4", "pngs"], "one file for each, and nothing unfinished"
    for record in made[:4]:
        path = tmp_path / "out" / record["path"]
        assert record["sha256"] == sha256_of(path) and record["frames"] == ROWS[record["id"]]["frames"]
        assert record["metrics"]["static_error_max"] == 0.0 and record["metrics"]["motion_amount"] > 0.0
        assert sum(record["timings"].values()) == pytest.approx(record["seconds"], abs=0.05)
        ours, theirs = list(read_frames(path)), list(read_frames(by_command_line(tmp_path, record["id"])))
        assert len(ours) == len(theirs) and all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
        poster = load_image(tmp_path / "out" / record["poster"])
        assert poster.shape[2] == record["width"] and float((poster - poster.mean()).abs().mean()) > 0.05
    from pyarrow import parquet

    table = parquet.read_table(tmp_path / "out/results.parquet").to_pylist()
    assert [r["sha256"] for r in table[:4]] == [r["sha256"] for r in made[:4]]
    assert (
        table[0]["seam_ratio"] == made[0]["metrics"]["seam_ratio"] and json.loads(table[1]["settings"])["frames"] == 5
    )

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out/loops").rglob("*")}
    second = batch(tmp_path)
    assert second.returncode == 1 and "0 were tried" in second.stderr
    assert results(tmp_path) == made
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out/loops").rglob("*")} == before


def test_without_ray_the_command_says_how_to_install_it(tmp_path: Path) -> None:
    write_inputs(tmp_path, [{"image": "still.png", "mask": "mask.png"}])
    code = "import sys; sys.modules['ray'] = None; from t2c_core.cli.main import main; sys.exit(main(sys.argv[1:]))"

    def run(*more: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", code, "batch", "rows.jsonl", "-o", "out", *more]
        environment = {**os.environ, "PYTHONPATH": str(REPO)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    result = run()
    assert result.returncode == 2 and not (tmp_path / "out").exists()
    assert result.stderr == 't2c_core: ray: is not installed. Install it: python -m pip install "ray[data]"\n'
    assert run("--dry-run").stdout.startswith("make    still\n1 to make, 0 done")
