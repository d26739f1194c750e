"""Manifests: what is read, what is refused and by which words, and what is to be made of it. No Ray."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from t2c_core.batch.columns import COLUMNS
from t2c_core.batch.manifest import read_manifest
from t2c_core.batch.plan import content_key, make_plan, record_name
from t2c_core.batch.store import LocalStore, open_store, sha256_of
from t2c_core.cli.main import main, parse_arguments
from t2c_core.errors import InputError
from t2c_core.flow.settings import FlowSettings
from t2c_core.loop.settings import LoopSettings
from t2c_core.loop.write import EncodeSettings
from t2c_core.segment.settings import MaskSettings
from t2c_core.settings import describe
from t2c_core.twin.settings import TwinSettings

HINTS = {"version": 1, "arrows": [{"points": [[0.1, 0.8], [0.9, 0.8]], "speed": 4.0}]}
ROWS = [
    {"id": "a", "image": "still.png", "hints": HINTS, "mask": "mask.png", "frames": 4, "feather": 2.5},
    {"id": "b", "image": "still.png", "mask": "mask.png", "direction": 90, "loops": 2, "freeze_outliers": False},
    {"image": "still.png", "mask": "mask.png", "direction": "left to right", "flow_speed": 2, "speed": 0.5},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """still.png and mask.png of 48 x 32, and the same manifest as JSON lines, CSV and Parquet."""
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "still.png")
    Image.fromarray(np.repeat(np.array([0, 255], np.uint8), 16)[:, None].repeat(48, 1)).save(tmp_path / "mask.png")
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    names = sorted({name for row in ROWS for name in row})
    with (tmp_path / "m.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows({**row, "hints": json.dumps(row["hints"]) if "hints" in row else ""} for row in ROWS)
    return tmp_path


def write(folder: Path, *rows: dict) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_three_kinds_of_files_say_the_same(folder: Path) -> None:
    rows = read_manifest(folder / "m.jsonl")
    assert [(row.number, row.id) for row in rows] == [(1, "a"), (2, "b"), (3, "still")]
    jobs = [row.job() for row in rows]
    assert jobs[0].frames == 4 and jobs[0].masks.feather == 2.5 and jobs[0].hints.arrows[0].speed == 4.0
    assert jobs[1].direction == "90" and jobs[1].encode.loops == 2 and not jobs[1].masks.freeze_outliers
    assert (jobs[2].flow.speed, jobs[2].loop.speed) == (2.0, 0.5)
    assert [row.job() for row in read_manifest(folder / "m.csv")] == jobs
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    names = sorted({name for row in ROWS for name in row})
    texts = [{**row, "hints": json.dumps(row.get("hints")) if "hints" in row else None} for row in ROWS]
    texts = [{**row, "direction": str(row["direction"]) if "direction" in row else None} for row in texts]
    # One row's whole number beside gaps is a float in many tables.
    frames = pa.array([None if "frames" not in row else float(row["frames"]) for row in ROWS], pa.float64())
    columns = {name: frames if name == "frames" else [row.get(name) for row in texts] for name in names}
    parquet.write_table(pa.table(columns), folder / "m.parquet")
    assert [row.job() for row in read_manifest(folder / "m.parquet")] == jobs


def test_a_folder_of_pictures_with_what_lies_beside_them(folder: Path) -> None:
    pictures = folder / "pictures"
    pictures.mkdir()
    for name in ("one.png", "two.png", "two.jpg", "one.mask.png"):
        Image.new("RGB", (8, 8)).save(pictures / name)
    (pictures / "two.hints.json").write_text(json.dumps(HINTS))
    rows = read_manifest(pictures, {"direction": "to the left", "frames": "5"})
    assert [row.id for row in rows] == ["one", "two.jpg", "two.png"]
    assert rows[0].job().mask == pictures / "one.mask.png" and rows[1].job().hints.arrows
    assert {row.job().frames for row in rows} == {5}


def test_every_setting_of_the_pipeline_is_a_column() -> None:
    decided = {"method", "direction", "angle", "limit", "frames", "network_still"}
    for settings in (MaskSettings, FlowSettings, LoopSettings, TwinSettings, EncodeSettings):
        assert describe(settings).keys() - decided <= COLUMNS.keys()
    assert len({(column.group, column.name) for column in COLUMNS.values()}) == len(COLUMNS)


GOOD = {"image": "still.png", "mask": "mask.png"}
WRONG = {
    "unknown": ({**GOOD, "colour": 1}, r"row 2, column 'colour': is not known\. Known are id, image, "),
    "whole": ({**GOOD, "frames": "six"}, r"row 2, column 'frames': is 'six'; it must be a whole number\."),
    "half": ({**GOOD, "frames": 6.5}, r"row 2, column 'frames': is 6\.5; it must be a whole number\."),
    "range": ({**GOOD, "feather": -1}, r"row 2, column 'feather': is -1; it must lie between 0 and 256 pixels\."),
    "choice": ({**GOOD, "format": "avi"}, r"row 2, column 'format': is 'avi'; choose one of mp4"),
    "truth": ({**GOOD, "freeze_outliers": "perhaps"}, r"row 2, column 'freeze_outliers': .* true or false\."),
    "together": ({**GOOD, "format": "gif", "loops": 2}, r"row 2, column 'loops': is 2, but gif files repeat"),
    "hints": ({**GOOD, "hints": "{]"}, r"row 2, column 'hints': is not valid JSON"),
    "no file": ({**GOOD, "hints": "none.json"}, r"row 2, column 'hints': .*none\.json' cannot be read"),
    "direction": ({**GOOD, "direction": "sideways"}, r"row 2, column 'direction': 'sideways' is neither"),
    "still": ({"image": "still.png"}, r"row 2, column 'hints': are missing\."),
    "nothing": ({"mask": "mask.png"}, r"row 2, column 'image': is missing\."),
    "prompt": ({"checkpoint": "sd", "mask": "mask.png"}, r"row 2, column 'prompt': is missing\."),
    "style": ({**GOOD, "brush": 1.0}, r"row 2, column 'brush': is given without a style\."),
    "id": ({**GOOD, "id": "a/b"}, r"row 2, column 'id': 'a/b' cannot be the name of a file\."),
    "dots": ({**GOOD, "id": ".."}, r"row 2, column 'id': '..' cannot be"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_rows_are_refused_by_row_and_column(folder: Path, name: str) -> None:
    row, sentence = WRONG[name]
    with pytest.raises(InputError, match=rf"^manifest: {sentence}"):
        read_manifest(write(folder, GOOD, row))


def test_several_wrong_rows_are_named_together(folder: Path) -> None:
    with pytest.raises(InputError, match=r"row 1, .* row 2, .* row 5, .* 3 more rows are wrong\.$"):
        read_manifest(write(folder, *[{**GOOD, "frames": 1}] * 8))


def test_files_that_are_no_manifest(folder: Path) -> None:
    (folder / "empty.csv").write_text("id,image\n")
    (folder / "long.csv").write_text("id,image\n1,2,3\n")
    (folder / "twice.csv").write_text("id,id\n1,2\n")
    (folder / "list.jsonl").write_text("[1]")
    (folder / "bad.parquet").write_bytes(b"no")
    told = {
        "empty.csv": "holds no rows",
        "long.csv": "row 1: has 3 cells, the header 2",
        "twice.csv": "has the column 'id' twice",
        "list.jsonl": "row 1: is no JSON object",
        "still.png": "is of no known kind",
        "none.csv": "cannot be read",
    }
    for name, words in told.items():
        with pytest.raises(InputError, match=rf"^manifest: .*{words}"):
            read_manifest(folder / name)


def test_the_key_follows_contents_and_settings_not_names(folder: Path) -> None:
    (key,) = {content_key(row) for row in read_manifest(write(folder, GOOD, {**GOOD, "id": "x", "seed": 0}))}
    assert len(key) == 16 and int(key, 16) >= 0
    (other,) = read_manifest(write(folder, {**GOOD, "quality": 80}))
    assert content_key(other) != key
    (folder / "still.png").rename(folder / "moved.png")
    (moved,) = read_manifest(write(folder, {**GOOD, "image": "moved.png"}))
    assert content_key(moved) == key
    Image.new("RGB", (48, 32)).save(folder / "moved.png")
    assert content_key(moved) != key


def record(out: Path, identity: str, key: str, **more: object) -> None:
    """A record as a worker leaves it, with its loop of 3 bytes."""
    for name, content in ((f"loops/{identity}.mp4", "abc"), (f"jobs/{record_name(identity, key)}", "")):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        values = {
            "id": identity,
            "key": key,
            "status": "done",
            "bytes": 3,
            "seconds": 2.0,
            "path": f"loops/{identity}.mp4",
        }
        (out / name).write_text(content or json.dumps({**values, **more}))


def test_the_plan_keeps_what_is_complete(folder: Path) -> None:
    names = ("kept", "cut", "older", "failed", "new", "New")
    rows = read_manifest(write(folder, *({**GOOD, "id": name} for name in names)))
    out, key = folder / "out", content_key(rows[0])
    record(out, "kept", key)
    record(out, "cut", key, bytes=4)
    record(out, "older", "0" * 16)
    record(out, "failed", key, status="failed", sentence="it burnt", node="reading", input="image")
    plan = make_plan(rows, LocalStore(out))
    assert [task.row.id for task in plan.tasks] == ["cut", "older", "new"]
    assert plan.tasks[1].stale == (record_name("older", "0" * 16),)
    assert {number: r["status"] for number, r in plan.records.items()} == {1: "done", 4: "failed", 6: "failed"}
    assert plan.records[6]["sentence"] == "'New' is that of row 5 too. Give it another."
    assert plan.seconds() == 2.0
    retried = make_plan(rows, LocalStore(out), retry_failed=True)
    assert [task.row.id for task in retried.tasks] == ["cut", "older", "failed", "new"]


def test_a_dry_run_says_what_would_be_made_and_makes_nothing(folder: Path, capsys: pytest.CaptureFixture) -> None:
    manifest = write(folder, *({**GOOD, "id": name} for name in "abc"))
    record(folder / "out", "b", content_key(read_manifest(manifest)[1]))
    before = sorted(folder.rglob("*"))
    assert main(["batch", str(manifest), "-o", str(folder / "out"), "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "make    a",
        "done    b",
        "make    c",
        "2 to make, 1 done, 0 failed before.",
        "One took 2.0 s: 4 s of one worker's time to go.",
    ]
    assert sorted(folder.rglob("*")) == before
    assert main(["batch", str(manifest), "-o", str(folder / "out"), "--set", "frames"]) == 2
    assert "set: 'frames' has no value." in capsys.readouterr().err
    assert main(["batch", str(manifest), "-o", str(manifest)]) == 2
    assert "is a file. Give a folder." in capsys.readouterr().err


def test_a_local_store_clears_what_a_killed_run_left_and_lets_one_in(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "out"))
    store.write("loops/a.mp4", b"abc")
    for name in ("loops/.a.0123abcd.part.mp4", "loops/.a.0123abcd.lock", "jobs/.a.k.4567abcd.part.json"):
        (tmp_path / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / name).touch()
    (tmp_path / "out/jobs/.a.k.4567abcd.lock").write_text("a.k.json")
    store.write("loops/.mine", b"")
    with store.locked():
        assert set(store.names("loops")) == {"a.mp4", ".mine"} and not store.names("jobs")
        with pytest.raises(InputError, match=r"^out: another batch is being written"), store.locked():
            pass
    assert sha256_of(tmp_path / "out/loops/a.mp4").startswith("ba7816bf")
    folder = sha256_of(tmp_path / "out/loops")
    store.write("loops/a.mp4", b"abd")
    assert sha256_of(tmp_path / "out/loops") != folder


def test_the_cluster_examples_say_what_the_command_understands() -> None:
    yaml = pytest.importorskip("yaml")
    deploy = Path(__file__).parents[2] / "deploy"
    job = yaml.safe_load((deploy / "kuberay_job.yaml").read_text())["spec"]
    assert parse_arguments(job["entrypoint"].split()[1:]).actors == 32
    text = (deploy / "ray_cluster.yaml").read_text()
    command = re.search(r'"t2c (.*?)"', text)
    assert command and parse_arguments(command[1].split()).address == "auto"
    assert yaml.safe_load(text)["docker"]["image"] == job["rayClusterSpec"]["headGroupSpec"]["template"]["spec"][
        "containers"
    ][0]["image"]  # fmt: skip
    copied = re.findall(r"^COPY (.*) \S+$", (deploy / "Dockerfile").read_text(), re.MULTILINE)
    assert all((deploy.parent / name).exists() for line in copied for name in line.split())
