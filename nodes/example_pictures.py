"""The templates' pictures in ComfyUI's input folder, where Load Image finds them: a template runs as it opens."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

from ..t2c_core.io.files import atomic_write

ASSETS = Path(__file__).resolve().parent.parent / "assets"
PREFIX = "t2c_"
PICTURES = ("mountain_sky.jpg", "starry_night.jpg", "stream.jpg")
SWITCH = "T2C_EXAMPLE_PICTURES"
log = logging.getLogger(__name__)


def put_example_pictures(folder: str | os.PathLike[str]) -> None:
    """Copy PICTURES into ``folder`` as PREFIX + name, unless a file of that name is there or SWITCH is '0'."""
    if os.environ.get(SWITCH) == "0":
        return
    for name in PICTURES:
        target = Path(folder) / (PREFIX + name)
        try:
            if not target.exists():
                with atomic_write(target) as temporary:
                    shutil.copyfile(ASSETS / name, temporary)
        except OSError as error:
            log.info("Text2Cinemagraph: the example picture %s is not in the input folder: %s", target.name, error)
