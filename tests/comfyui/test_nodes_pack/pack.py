"""The pack under test, as ComfyUI has imported it."""

from __future__ import annotations

import sys
from typing import Any


def pack_module(name: str) -> Any:
    """A module of the pack under test, which ComfyUI has imported under a name made of its path."""
    return next(m for n, m in list(sys.modules.items()) if n.endswith(f".{name}") and "test_nodes_pack" not in n)
