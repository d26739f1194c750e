"""What the fuzz tests have in common: profiles, damage to files, and what any input may lead to.

The tests run few cases, the same each time; ``python -m scripts.fuzz`` runs them for an hour with ever new ones.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from t2c_core.errors import InputError

SECONDS, MEBIBYTES = 10.0, 2048
"""What one case may take."""
CASES = os.environ.get("T2C_FUZZ_CASES")
"""How many cases of each test; they are then new ones each time."""
_COMMON = {
    "deadline": None,  # `allowed` measures, and names the stage
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    "print_blob": True,
}
settings.register_profile("few", derandomize=True, database=None, max_examples=60, **_COMMON)
if CASES:
    settings.register_profile("many", max_examples=int(CASES), database=None, **_COMMON)
settings.load_profile("many" if CASES else "few")


def allowed(read: Callable[[], Any], refusal: type[Any] = InputError) -> Any:
    """What ``read`` returns, or None where it raises InputError; all other errors, hangs and memory are the test's."""
    before, start = peak_memory(), time.monotonic()
    try:
        return read()
    except refusal as error:
        assert error.problem and len(str(error)) < 2000
        return None
    finally:
        assert time.monotonic() - start < SECONDS
        assert peak_memory() - before < MEBIBYTES


def peak_memory() -> float:
    """MiB that this process has held at most; 0 where nobody says."""
    try:
        import resource
    except ImportError:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def only_these(folder: Path, *names: str) -> bool:
    """Whether a folder holds files of these names and no others."""
    return {path.name for path in folder.iterdir()} == set(names)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes cut off, with bits turned over, pieces overwritten, repeated, taken out, or large numbers put in."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        # Heads say most: half of the damage is done to the first bytes.
        last = draw(st.sampled_from((min(len(changed), 200), len(changed))))
        at = draw(st.integers(0, max(0, last - 1)))
        kind = draw(st.sampled_from(("cut", "bit", "bytes", "remove", "repeat", "number")))
        if kind == "cut":
            del changed[at:]
        elif kind == "bit" and changed:
            changed[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "bytes":
            piece = draw(st.binary(min_size=1, max_size=12))
            changed[at : at + len(piece)] = piece
        elif kind == "remove":
            del changed[at : at + draw(st.integers(1, 64))]
        elif kind == "repeat":
            changed[at:at] = changed[at : at + draw(st.integers(1, 64))]
        else:
            number = draw(st.sampled_from((0, 1, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**32 - 1, 2**63 - 1)))
            order = draw(st.sampled_from(("little", "big")))
            length = draw(st.sampled_from((2, 4, 8)))
            changed[at : at + length] = (number % 256**length).to_bytes(length, order)
    return bytes(changed)


def json_values() -> st.SearchStrategy[Any]:
    """Anything JSON can say, with numbers and texts that trip programs up."""
    odd = st.sampled_from((0, -1, 1e308, -1e308, 10**400, 2**63, 0.1, "", "\0", "\ud800", "NaN", "../../x", "a" * 3000))
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | odd
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=12,
    )


def hints() -> st.SearchStrategy[Any]:
    """Drawn hints, most of them nearly right."""
    number = st.floats(-0.2, 1.2) | st.floats(0, 1) | json_values()
    point = st.lists(st.floats(0, 1), min_size=2, max_size=2) | st.lists(number, max_size=3)
    points = st.lists(point, max_size=6) | json_values()
    mode = st.sampled_from(("move", "freeze", "erase")) | json_values()
    arrow = st.fixed_dictionaries({"points": points}, optional={"speed": number})
    stroke = st.fixed_dictionaries({"points": points}, optional={"radius": number, "mode": mode, "feather": number})
    lists = {
        name: st.lists(item, max_size=3) | json_values() for name, item in (("arrows", arrow), ("strokes", stroke))
    }
    lists["pins"] = points
    return st.fixed_dictionaries({}, optional={**lists, "version": st.just(1) | json_values()}) | json_values()


_WORDS = (
    "river lake waterfall clouds smoke fire flag sea the a of and while with from to towards left right top bottom up "
    "down upwards downwards in direction flowing falling rising drifts slowly fast style painting by Monet van Gogh's "
    "oil canvas BREAK <lora:x:1> embedding:y (a:1.2) ((b)) [c] 90 frames per second 8k -- "
    ", ; . : ! ? \n \\( é 水 \u202e"
)


def prompts() -> st.SearchStrategy[str]:
    """Texts of the words that are looked for, of anything else, and of one thing very often."""
    pieces = st.sampled_from(_WORDS.split(" ")) | st.text(max_size=6)
    texts = st.lists(pieces, max_size=40).map(" ".join)
    return texts | st.builds(lambda text, count: (text * count)[:25_000], texts, st.integers(1, 300))
