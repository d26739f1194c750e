"""Batches as a user runs them: a folder of inputs with a manifest, the command, and what it left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from t2c_core.batch.store import sha256_of

REPO = Path(__file__).parents[2]


def batch(folder: Path, *more: str, out: str = "out", **variables: str) -> subprocess.CompletedProcess:
    """The command in the folder, with its manifest and output there."""
    with started(folder, *more, out=out, **variables) as process:
        told = process.communicate(timeout=300)
    return subprocess.CompletedProcess(process.args, process.returncode, *told)


def started(folder: Path, *more: str, out: str = "out", **variables: str) -> subprocess.Popen[str]:
    """The same, not waited for."""
    return subprocess.Popen(
        [sys.executable, "-m", "t2c_core", "batch", "rows.jsonl", "-o", out, *more],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPO), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def results(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "out/results.jsonl").read_text().splitlines()]


def write_inputs(folder: Path, rows: list[dict]) -> None:
    """still.png, 96 x 64 with rough water below; mask.png; hints.json; broken.png; rows.jsonl."""
    noise = np.random.default_rng(0).normal(size=(64, 96)).astype(np.float32)
    rough = cv2.GaussianBlur(noise, (0, 0), 1.2)
    levels = np.where(np.arange(64)[:, None] < 32, 220.0, 110 + 45 * rough / rough.std()).clip(0, 255).astype(np.uint8)
    Image.fromarray(np.repeat(levels[..., None], 3, 2)).save(folder / "still.png")
    Image.fromarray(np.repeat(np.array([0, 255], np.uint8), 32)[:, None].repeat(96, 1)).save(folder / "mask.png")
    arrow = {"points": [[0.1, 0.8], [0.9, 0.8]], "speed": 4.0}
    (folder / "hints.json").write_text(json.dumps({"version": 1, "arrows": [arrow]}))
    (folder / "broken.png").write_bytes((folder / "still.png").read_bytes()[:200])
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))


def check_complete(folder: Path, identities: set[str]) -> list[dict]:
    """Exactly one complete file for each id, nothing unfinished, an index that says so; returns its records."""
    made = [record for record in results(folder) if record["status"] == "done"]
    out = folder / "out"
    assert sorted(record["id"] for record in made) == sorted(identities)
    assert sorted(path.name for path in (out / "loops").iterdir()) == sorted(Path(r["path"]).name for r in made)
    assert all(record["sha256"] == sha256_of(out / record["path"]) for record in made)
    records = [path.name.rsplit(".", 2)[0] for path in (out / "jobs").iterdir()]
    assert sorted(records) == sorted(record["id"] for record in results(folder) if record["key"])
    assert not list((out / "attempts").iterdir())
    page = (out / "index.html").read_text()
    assert all(f'"{record["sha256"]}"' in page for record in made)
    return made
