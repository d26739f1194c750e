"""Where things are. Everything the scripts make lives below one folder that git ignores."""

from __future__ import annotations

import os
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
RUN = Path(os.environ.get("T2C_RUN_DIR") or REPO / ".run").resolve()
"""Environment, ComfyUI, pictures and logs; T2C_RUN_DIR puts it elsewhere, on another disk for example."""

VENV = RUN / "venv"
COMFYUI = RUN / "ComfyUI"
LOGS = RUN / "logs"
DATA = RUN / "data"
PICTURES = RUN / "pictures"
VIDEOS = RUN / "videos"
STATE = RUN / "state.json"
WORKFLOWS = REPO / "workflows"
PAINTED = WORKFLOWS / "photo_to_painted_cinemagraph.json"
PLAIN = WORKFLOWS / "picture_to_cinemagraph.json"
TEXT = WORKFLOWS / "text_to_cinemagraph.json"
EXAMPLE = REPO / "assets" / "stream.jpg"


def venv_python(venv: Path) -> Path:
    """The interpreter of a virtual environment."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
