"""``python -m scripts.fuzz [--minutes 60] [--cases 2000] [pytest's arguments]``: ever new cases for the fuzz tests.

Rounds of new random cases until the time is over; says how many there were and shows those that failed, each with the
line that repeats it. Exit code 1 if any did.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import subprocess
import sys
import time

from .paths import REPO

TESTS = ("tests/core/test_fuzz.py", "tests/test_fuzz_preview.py", "tests/comfyui/pack/test_fuzz_nodes.py")
_COUNTED = re.compile(r"(\d+) passing[^,\n]*, (\d+) failing")


def count_cases(output: str) -> tuple[int, int]:
    """(passed, failed) cases in what pytest prints with --hypothesis-show-statistics."""
    found = [tuple(map(int, match.groups())) for match in _COUNTED.finditer(output)]
    return sum(passed for passed, _ in found), sum(failed for _, failed in found)


def main(arguments: list[str]) -> int:
    """Run rounds; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="no new round starts after this long")
    parser.add_argument("--cases", type=int, default=500, help="of each test in a round")
    options, rest = parser.parse_known_args(arguments)
    end, total, failures, rounds = time.monotonic() + 60 * options.minutes, 0, 0, 0
    while not rounds or time.monotonic() < end:
        rounds, seed = rounds + 1, secrets.randbelow(2**32)
        command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider"]
        command += [f"--hypothesis-seed={seed}", "--hypothesis-show-statistics", *(rest or TESTS)]
        environment = {**os.environ, "T2C_FUZZ_CASES": str(options.cases)}
        done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, check=False)
        passed, failed = count_cases(done.stdout)
        total += passed + failed
        print(f"round {rounds}, seed {seed}: {passed + failed} cases", flush=True)
        if done.returncode:
            failures += 1
            print(done.stdout[-20_000:], done.stderr[-2000:], flush=True)
    print(f"{total} cases in {rounds} rounds, {failures} of them with failures")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
