"""python3 scripts/test.py [options] [arguments for pytest]: install what the checks need, then run them."""

import sys
from pathlib import Path

if __name__ == "__main__":
    if sys.version_info < (3, 10):  # noqa: UP036 - a person may well start it with an older one
        found = ".".join(str(part) for part in sys.version_info[:3])
        sys.exit("error: Python 3.10 or newer is needed, this is " + found + "; run it with a newer one.")
    # As a command this folder comes first on the path, where its modules could shadow others of the same name.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from scripts.checks import main
    from scripts.process import guarded

    sys.exit(guarded(lambda: main(sys.argv[1:])))
