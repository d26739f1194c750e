"""python3 scripts/run.py: a seamless cinemagraph of a photograph, made by a real ComfyUI with this pack.

The first run makes a virtual environment and gets a ComfyUI (a few minutes); later ones start at once. Set COMFYUI_PATH
(and COMFYUI_PYTHON if its environment is elsewhere) to use a ComfyUI you have; nothing in it is changed.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    if sys.version_info < (3, 10):  # noqa: UP036 - a person may well start it with an older one
        found = ".".join(str(part) for part in sys.version_info[:3])
        sys.exit("error: Python 3.10 or newer is needed, this is " + found + "; run it with a newer one.")
    # As a command this folder comes first on the path, where its modules could shadow others of the same name.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from scripts.process import guarded

    if sys.argv[1:2] == ["--job"]:
        from scripts.job import main

        sys.exit(guarded(lambda: main(sys.argv[2:])))
    from scripts.command import main

    sys.exit(guarded(lambda: main(sys.argv[1:])))
