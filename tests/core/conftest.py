"""Fixtures of several files: networks made once for all of them, and a network that nobody may use."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# As the command line does, before transformers is imported.
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

import huggingface_hub
import pytest

from tests.core import tiny_segmenters as tiny
from tests.core.published_networks import network


@pytest.fixture(scope="session")
def segmenter_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``segmenter_folder(name)``: a folder of the backend's tiny network, made once; not to be changed."""
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        import transformers

        if name in tiny.NEEDS and not hasattr(transformers, tiny.NEEDS[name]):
            pytest.skip(f"transformers {transformers.__version__} has no {tiny.NEEDS[name]}")
        if name not in made:
            path = tmp_path_factory.mktemp("segmentation") / name
            path.mkdir()
            made[name] = tiny.BACKENDS[name](path)
        return made[name]

    return get


@pytest.fixture
def segmenter_copy(segmenter_folder: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """``segmenter_copy(name)``: such a folder to damage."""
    return lambda name: Path(shutil.copytree(segmenter_folder(name), tmp_path / name))


@pytest.fixture(scope="module")
def no_network() -> Iterator[None]:
    """Without the libraries' offline switch, and counted: they may swallow what a refused connection raises."""
    tried: list[Any] = []

    def refuse(*args: Any, **kwargs: Any) -> None:
        tried.append(args)
        raise OSError("something wants to go to the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        patch.setattr(socket.socket, "connect", refuse)
        patch.setattr(socket, "getaddrinfo", refuse)
        yield
    assert not tried


@pytest.fixture(scope="session")
def video() -> Any:
    """The published video network's topology with weights made by the reference's rule."""
    return network("video")
