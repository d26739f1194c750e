from __future__ import annotations

import pytest

from scripts.errors import ScriptError
from scripts.lower_bounds import is_bound, lower_bound


@pytest.mark.parametrize(
    ("requirement", "bound"),
    [("torch>=2.4", "2.4"), ("triton >= 3.0; sys_platform == 'linux'", "3.0"), ("pyright[nodejs]>=1.1.407", "1.1.407")],
)
def test_lower_bound(requirement: str, bound: str) -> None:
    assert lower_bound(requirement) == bound


@pytest.mark.parametrize("requirement", ["torch", "torch<3", "torch==2.4"])
def test_a_requirement_without_a_lower_bound_is_named(requirement: str) -> None:
    with pytest.raises(ScriptError, match=f"The requirement {requirement} "):
        lower_bound(requirement)


@pytest.mark.parametrize(
    ("installed", "bound", "first"),
    [
        ("4.8.0.74", "4.8", True),
        ("2.4.0+cpu", "2.4", True),
        ("1.12.0", "1.12.0", True),
        ("4.9", "4.8", False),
        ("4.80", "4.8", False),
        ("2.4.1", "2.4.0", False),
    ],
)
def test_is_bound(installed: str, bound: str, first: bool) -> None:
    assert is_bound(installed, bound) is first
