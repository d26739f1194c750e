"""Ends process groups that nobody else will end, because the process that started them was killed.

A process of its own, started by process.py. Lines on standard input: ``+PID`` for a group that was started, ``-PID``
for one that was ended. Only the starter holds the other end, so the input ends with it, however it dies.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time

PATIENCE = 5.0
"""Seconds between asking a group to end and killing it."""


def main() -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    if os.name != "posix":
        for pid in groups:
            subprocess.run(["taskkill", "/F", "/T", "/PID", str(pid)], capture_output=True, check=False)
        return
    _signal(groups, signal.SIGTERM)
    end = time.monotonic() + PATIENCE
    while _signal(groups, 0) and time.monotonic() < end:
        time.sleep(0.1)
    _signal(groups, signal.SIGKILL)


def _signal(groups: set[int], number: int) -> bool:
    """Send a signal to every process of the groups; True if there was any."""
    reached = False
    for pid in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)
            reached = True
    return reached


if __name__ == "__main__":
    main()
