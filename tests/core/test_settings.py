"""Settings classes: checked values, clear errors."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import t2c_core
from t2c_core.errors import InputError
from t2c_core.settings import Settings, describe, setting


@dataclass(frozen=True)
class Example(Settings):
    amount: float = setting(0.5, "How much.", low=0.0, high=1.0)
    radius: int = setting(3, "How far.", low=1, unit="px")
    mode: str = setting("fast", "Which.", choices=("fast", "good"), advanced=True)
    loop: bool = setting(True, "Whether.")
    title: str = setting("", "Any text.")


def test_defaults_and_description():
    assert Example() == Example(amount=0.5)
    entries = describe(Example)
    assert list(entries) == ["amount", "radius", "mode", "loop", "title"]
    assert (entries["amount"].high, entries["radius"].unit, entries["mode"].advanced) == (1.0, "px", True)


def test_values_in_range_are_taken():
    made = Example(1, 7, "good", False, "x")
    assert (made.amount, made.radius, made.mode, made.loop, made.title) == (1, 7, "good", False, "x")


@pytest.mark.parametrize(
    ("values", "name", "problem"),
    [
        ({"amount": 1.1}, "amount", "is 1.1; it must lie between 0 and 1."),
        ({"amount": float("nan")}, "amount", "lie between"),
        ({"amount": True}, "amount", "must be a number"),
        ({"amount": "1"}, "amount", "must be a number"),
        ({"radius": 0}, "radius", "at least 1 px"),
        ({"radius": 2.5}, "radius", "whole number"),
        ({"mode": "slow"}, "mode", "fast, good"),
        ({"loop": 1}, "loop", "true or false"),
        ({"title": None}, "title", "text"),
    ],
)
def test_bad_values_are_named(values, name, problem):
    with pytest.raises(InputError) as caught:
        Example(**values)
    assert caught.value.input == name and problem in str(caught.value)


def every_setting() -> Iterator[tuple[str, str]]:
    """(class.name, help) of all settings of the core."""
    for module in pkgutil.walk_packages(t2c_core.__path__, "t2c_core."):
        if module.name.rpartition(".")[2] in ("settings", "types", "prompts", "write", "plan", "convert"):
            importlib.import_module(module.name)
    classes = [Settings]
    while classes:
        kind = classes.pop()
        classes += kind.__subclasses__()
        if kind.__module__.startswith("t2c_core.") and not kind.__name__.startswith("_"):
            yield from ((f"{kind.__name__}.{name}", entry.help) for name, entry in describe(kind).items())


def test_the_help_of_a_setting_stands_once():
    root = Path(t2c_core.__file__).parents[1]
    files = [
        file for folder in ("t2c_core", "nodes", "benchmarks", "scripts") for file in (root / folder).rglob("*.py")
    ]
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    written = Counter(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))
    helps = dict(every_setting())
    assert len(helps) > 60
    assert {name: written[text] for name, text in helps.items() if written[text] > 1} == {}
    for name in ("prompt", "twin_prompt", "negative", "twin_negative"):
        assert written[helps[f"TwinPrompts.{name}"]] == 1
