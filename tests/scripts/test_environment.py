from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from scripts import comfyui_source
from scripts.comfyui_source import unpack
from scripts.environment import (
    check_python,
    check_requirements,
    device,
    name_of,
    requirements,
    user_comfyui,
    user_python,
    why,
)
from scripts.errors import ScriptError
from scripts.process import locked


@pytest.mark.parametrize("version", [(3, 9, 18), (3, 8), (2, 7, 18)])
def test_old_python_is_named(version: tuple[int, ...]) -> None:
    with pytest.raises(ScriptError, match=rf"^Python 3\.10 or newer is needed, this is {version[0]}\.{version[1]}"):
        check_python(version)


def test_this_python_will_do() -> None:
    check_python()
    check_python((3, 10, 0))


def test_comfyui_path_must_hold_a_comfyui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    assert user_comfyui() is None
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path / "none"))
    with pytest.raises(ScriptError, match="is not a folder"):
        user_comfyui()
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    with pytest.raises(ScriptError, match=r"no main\.py"):
        user_comfyui()
    (tmp_path / "main.py").touch()
    assert user_comfyui() == tmp_path.resolve()


def test_user_python_prefers_the_variable_then_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMFYUI_PYTHON", raising=False)
    assert user_python(tmp_path) is None
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / ".venv")], check=True)
    found = user_python(tmp_path)
    assert found is not None
    assert found.is_relative_to(tmp_path / ".venv")
    monkeypatch.setenv("COMFYUI_PYTHON", sys.executable)
    assert user_python(tmp_path) == Path(sys.executable)
    monkeypatch.setenv("COMFYUI_PYTHON", "no-such-program-anywhere")
    with pytest.raises(ScriptError, match="not a program"):
        user_python(tmp_path)


def test_a_bare_python_is_told_what_it_lacks_and_nothing_is_installed(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "v")], check=True)
    python = next(path for path in (tmp_path / "v").rglob("python*") if path.stem == "python")
    before = sorted((tmp_path / "v").rglob("*"))
    with pytest.raises(ScriptError, match=r"lacks torch, .*opencv-python.* install with: .* -m pip install"):
        check_requirements(python)
    after = [path for path in sorted((tmp_path / "v").rglob("*")) if "__pycache__" not in path.parts]
    assert after == before


def test_requirements_come_from_pyproject() -> None:
    names = {name_of(line) for line in requirements(Path(sys.executable))}
    assert {"torch", "opencv-python", "av"} <= names
    assert "pytest" in {name_of(line) for line in requirements(Path(sys.executable), "test")}


@pytest.mark.parametrize(
    ("line", "name"), [("Scikit_Image>=0.2", "scikit-image"), ("a.b [x]", "a-b"), ("numpy", "numpy"), ("", "")]
)
def test_name_of(line: str, name: str) -> None:
    assert name_of(line) == name


def test_device_is_one_comfyui_knows() -> None:
    assert device(Path(sys.executable)) in {"cpu", "cuda", "mps"}


def test_unpack_takes_one_folder_and_nothing_outside(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar.gz"
    names = ["top/vendor/X/main.py", "top/vendor/X/d/e.txt", "top/other.py", "top/vendor/X/../../../../evil.txt"]
    with tarfile.open(archive, "w:gz") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name.encode()))
        link = tarfile.TarInfo("top/vendor/X/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    unpack(archive, "vendor/X", tmp_path / "out" / "X")
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir())
    assert files == ["a.tar.gz", "out/X/d/e.txt", "out/X/main.py"]
    assert (tmp_path / "out/X/d/e.txt").read_text() == names[1]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(...)': /simple/x/\n"
            "ERROR: Could not find a version that satisfies the requirement x (from versions: none)\n"
            "ERROR: No matching distribution found for x",
            "the package index could not be reached",
        ),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "is full"),
        ("Collecting x\nERROR: No matching distribution found for x==9", "No matching distribution found for x==9."),
        ("", "no reason given"),
    ],
)
def test_why(said: str, sentence: str) -> None:
    assert sentence in why(said)


def test_a_lock_is_held_against_other_processes_and_ends_with_its_holder(tmp_path: Path) -> None:
    repo = Path(__file__).resolve().parents[2]
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from scripts.process import locked\n"
        "with locked(Path(sys.argv[2]), 'no'): print('held', flush=True); sys.stdin.read()\n"
    )
    lock = tmp_path / "x.lock"
    command = [sys.executable, "-c", code, str(repo), str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ScriptError, match="wait for it"), locked(lock, "wait for it"):
            pass
        holder.kill()
        holder.wait()
    with locked(lock, "wait for it"):
        pass


def test_pip_failure_is_one_sentence(tmp_path: Path) -> None:
    """A real installation into an empty folder with a package index that is not there."""
    repo = Path(__file__).resolve().parents[2]
    settings = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "1", "PIP_CONFIG_FILE": "/dev/null"}
    alone = {"PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": "", "PIP_NO_CACHE_DIR": "1"}
    result = _run(repo, {**settings, **alone, "T2C_RUN_DIR": str(tmp_path)})
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "error: pip could not install what is needed: the package index could not be reached" in result.stderr
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["busy"] is None
    assert state["done"] == {}


def _run(repo: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COMFYUI_", "PIP_"))}
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from scripts.process import guarded; from scripts.environment import prepare_tests\n"
        "sys.exit(guarded(lambda: print(prepare_tests()) or 0))"
    )
    command = [sys.executable, "-c", code, str(repo)]
    return subprocess.run(command, env={**kept, **variables}, capture_output=True, text=True, check=False)


def test_the_release_is_cloned_by_its_tag_without_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    official = tmp_path / "official"
    official.mkdir()
    git = ["git", "-C", str(official), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    for number in range(2):
        (official / "main.py").write_text(f"print({number})")
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-q", "-m", str(number)], check=True)
        subprocess.run([*git, "tag", f"v{number}"], check=True)
    monkeypatch.setattr(comfyui_source, "RELEASE", (official.as_uri(), "v0"))
    assert comfyui_source.clone_release(tmp_path / "clone")
    assert (tmp_path / "clone" / "main.py").read_text() == "print(0)"
    history = ["git", "-C", str(tmp_path / "clone"), "rev-list", "--count", "HEAD"]
    assert subprocess.run(history, capture_output=True, text=True, check=True).stdout.strip() == "1"
    for release in ((official.as_uri(), "v7"), ((tmp_path / "nowhere").as_uri(), "v0")):
        monkeypatch.setattr(comfyui_source, "RELEASE", release)
        assert not comfyui_source.clone_release(tmp_path / "none") and not (tmp_path / "none").exists()


def test_another_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"another")
    with pytest.raises(ScriptError, match=r"a\.tar\.gz is not the archive that was tested"):
        comfyui_source.check_sha256(tmp_path / "a.tar.gz", comfyui_source.SDIST_SHA256)
