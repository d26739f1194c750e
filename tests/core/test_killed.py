"""A save that is killed, runs out of disk or may not write: no half file under a final name, and the next one clean."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from t2c_core.io.files import atomic_write, clear_unfinished
from t2c_core.loop.read import LoopFile
from t2c_core.loop.write import FORMATS
from tests.core.written_loops import target

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")

SCRIPT = """
import json, os, resource, signal, sys, time
from pathlib import Path
import torch
from t2c_core.loop.write import write_loop
from tests.core.written_loops import loop, settings, target

frames, _ = loop(count=12)

def slowly():
    for frame in frames:
        yield frame
        time.sleep(0.01)

def save(folder, name):
    write_loop(slowly(), target(folder, name), settings(name), count=len(frames))

def child(run):
    pid = os.fork()
    if not pid:
        code = 0
        try:
            run()
        except OSError as error:
            code = error.errno
        except BaseException:
            code = 255
        os._exit(code)
    return pid

def killed(folder, name, points):
    start = time.monotonic()
    os.waitpid(child(lambda: save(folder / 'whole', name)), 0)
    whole = time.monotonic() - start
    found = []
    for point in points:
        pid = child(lambda: save(folder, name))
        time.sleep(point * whole)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        found.append(sorted(p.name for p in folder.iterdir() if p.name != 'whole'))
    save(folder, name)
    return found

def refused(folder, name, limit):
    def run():
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        elif os.getuid() == 0:
            os.setuid(65534)
        save(folder, name)
    return os.waitstatus_to_exitcode(os.waitpid(child(run), 0)[1])

kind, folder, name, argument = sys.argv[1], Path(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])
print(json.dumps({'killed': killed, 'refused': refused}[kind](folder, name, argument)))
"""


def run(kind: str, folder: Path, name: str, argument: object) -> object:
    command = [sys.executable, "-c", SCRIPT, kind, str(folder), name, json.dumps(argument)]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def shown(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "whole")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mp4", "png"])  # a file, and a folder that takes the place of one
def test_a_save_killed_at_ten_points_leaves_nothing_half_written(tmp_path, name):
    final = target(tmp_path, name)
    points = [0.04, 0.11, 0.23, 0.32, 0.46, 0.51, 0.68, 0.77, 0.85, 0.97]
    found = run("killed", tmp_path, name, points)
    assert any(".part" in "".join(names) for names in found)
    # Each one cleared away what the one before had left: at most one lock and one unfinished file.
    assert all(len([n for n in names if n != final.name]) <= 2 for names in found)
    assert shown(tmp_path) == [final.name]
    assert len(list(LoopFile(final))) == 12


@pytest.mark.parametrize("name", FORMATS)
def test_a_full_disk_leaves_nothing(tmp_path, name):
    assert run("refused", tmp_path, name, 2000) not in (0, 255)
    assert shown(tmp_path) == []


def test_a_folder_that_may_not_be_written_stays_as_it_is(tmp_path):
    tmp_path.chmod(0o555)
    assert run("refused", tmp_path, "mp4", None) == errno.EACCES
    assert shown(tmp_path) == []
    tmp_path.chmod(0o755)


def leave(folder: Path, kind: str) -> None:
    """What a killed process leaves of 'loop': kind 'part', or 'old' between the two renames."""
    (folder / ".loop.0123abcd.lock").write_text("loop")
    (folder / ".loop.0123abcd.part").mkdir()
    (folder / ".loop.0123abcd.part" / "frame_00000.png").write_text("new")
    if kind == "old":
        (folder / ".loop.0123abcd.old").mkdir()
        (folder / ".loop.0123abcd.old" / "frame_00000.png").write_text("old")


def test_what_was_moved_aside_comes_back(tmp_path):
    leave(tmp_path, "old")
    clear_unfinished(tmp_path)
    assert shown(tmp_path) == ["loop"]
    assert (tmp_path / "loop" / "frame_00000.png").read_text() == "old"
    leave(tmp_path, "old")  # killed after the second rename
    clear_unfinished(tmp_path)
    assert shown(tmp_path) == ["loop"]


def test_files_of_the_living_stay(tmp_path):
    """Two at once in one folder, in this process and in another; others' files of like names are nobody's leftovers."""
    others = [".a.part.mp4", ".a.0123abcd.part.mp4", ".lock", "a.0123abcd.lock"]
    for other in others:
        (tmp_path / other).touch()
    leave(tmp_path, "part")
    clear = f"from pathlib import Path; from t2c_core.io.files import *; clear_unfinished(Path({str(tmp_path)!r}))"
    with atomic_write(tmp_path / "a.txt") as first:
        first.write_text("first")
        with atomic_write(tmp_path / "b.txt") as second:
            second.write_text("second")
            subprocess.run([sys.executable, "-c", clear], cwd=ROOT, check=True)
            assert len(shown(tmp_path)) == len(others) + 4
    assert shown(tmp_path) == sorted([*others, "a.txt", "b.txt"])


def test_a_long_name_of_many_bytes_is_written(tmp_path):
    name = "\N{CJK UNIFIED IDEOGRAPH-6C34}" * 80 + ".txt"
    with atomic_write(tmp_path / name) as temporary:
        temporary.write_text("water")
    assert shown(tmp_path) == [name]


def test_a_clock_that_jumps_changes_nothing(tmp_path):
    """Leftovers are told by their locks, whatever their times: from long ago or from the future, held or not."""
    for moment in (1, 2**32):
        leave(tmp_path, "old")
        with atomic_write(tmp_path / "a.txt") as temporary:
            temporary.write_text("new")
            for path in tmp_path.iterdir():
                os.utime(path, (moment, moment))
            clear_unfinished(tmp_path)
            assert temporary.exists()
        assert shown(tmp_path) == ["a.txt", "loop"]


def test_an_output_that_cannot_be_replaced_stays_as_it_is(tmp_path):
    """A folder that holds something else where the file should go: moved aside and back if the new one cannot come."""
    taken = tmp_path / "loop.mp4"
    taken.mkdir()
    (taken / "kept.txt").write_text("kept")
    with pytest.raises(FileNotFoundError), atomic_write(taken):
        pass  # nothing was written, so nothing can take its place
    assert (taken / "kept.txt").read_text() == "kept"
    assert shown(tmp_path) == ["loop.mp4"]
