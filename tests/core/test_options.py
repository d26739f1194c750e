"""Command line options made from settings."""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass

import pytest

from scripts.paths import REPO
from t2c_core.cli.main import COMMANDS, main
from t2c_core.cli.options import add_settings, given_settings, settings_from
from t2c_core.errors import InputError
from t2c_core.settings import Settings, setting


@dataclass(frozen=True)
class Example(Settings):
    fill_holes: float = setting(0.5, "How much, in %.", low=0.0, high=1.0)
    radius: int = setting(3, "How far.", low=1, unit="px")
    mode: str = setting("fast", "Which.", choices=("fast", "good"))
    refine: bool = setting(False, "Whether.")
    keep: bool = setting(True, "Drop them.")


@dataclass(frozen=True)
class Other(Settings):
    radius: int = setting(7, "Another.", low=1)


def parse(*arguments: str, renames: dict[str, str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_settings(parser, Example, **(renames or {}))
    add_settings(parser, Other, radius="other_radius")
    return parser.parse_args(arguments)


def test_nothing_given_is_the_default():
    assert settings_from(parse(), Example) == Example()
    assert settings_from(parse(), Example, radius=9) == Example(radius=9), "a default of the command"
    assert given_settings(parse(), Example) == {}


def test_options_of_all_types():
    args = parse("--fill-holes", "0.25", "--radius", "5", "--mode", "good", "--refine", "--no-keep")
    assert settings_from(args, Example, radius=9) == Example(0.25, 5, "good", True, False)
    assert settings_from(args, Other) == Other(), "the same name in two classes"
    assert settings_from(parse("--other-radius", "2"), Other) == Other(2)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--holes", "2"), "holes: is 2.0; it must lie between 0 and 1."),
        (("--holes", "nan"), "holes: is nan; it must lie between 0 and 1."),
        (("--radius", "0"), "radius: is 0; it must be at least 1 px."),
        (("--mode", "slow"), "mode: is 'slow'; choose one of fast, good."),
    ],
)
def test_an_error_names_the_option_not_the_field(arguments, problem):
    with pytest.raises(InputError) as caught:
        parse(*arguments, renames={"fill_holes": "holes"})
    assert str(caught.value) == problem


def test_help_tells_range_unit_and_default(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    text = " ".join(capsys.readouterr().out.split())
    assert "How much, in %. (0..1, default 0.5)" in text
    assert "How far. (from 1 px, default 3)" in text
    assert "--mode {fast,good}" in text and "--no-keep" in text


def test_help_needs_none_of_the_libraries():
    """Processor time, for the machine may be busy; the heavy libraries are those that take seconds to import."""
    script = (
        "import contextlib, sys, time\n"
        "from t2c_core.cli.main import COMMANDS, main\n"
        "with contextlib.suppress(SystemExit):\n    main(['--help'])\n"
        "heavy = {'torch', 'numpy', 'cv2', 'av', 'scipy', 'diffusers', 'transformers'} & set(sys.modules)\n"
        "print(sorted(heavy), time.process_time() < 1)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=REPO)
    *text, last = run.stdout.splitlines()
    assert last == "[] True", run.stderr
    assert all(any(line.split()[:1] == [name] for line in text) for name in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_its_help(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0 and "usage: t2c " + command in capsys.readouterr().out
