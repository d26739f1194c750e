"""Command line options made from settings: default, range and help stand there once."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from tqdm import tqdm

from ..errors import InputError
from ..settings import Setting, Settings, describe

S = TypeVar("S", bound=Settings)


def add_settings(
    parser: argparse.ArgumentParser,
    settings: type[Settings],
    *,
    without: Sequence[str] = (),
    defaults: Mapping[str, Any] = MappingProxyType({}),
    **renames: str,
) -> None:
    """Add one option per setting, in the order of the class, but for those that a command has no use for (``without``).

    'fill_holes' becomes ``--fill-holes`` and ``renames`` gives others: ``frame_rate="rate"`` makes ``--rate``. A bool
    becomes a flag: ``--name`` if False is the default, else ``--no-name``. defaults: those of the command where they
    differ. Several settings classes may have a setting of the same name. Read them with :func:`settings_from`. While
    parsing, InputError names the option of a bad value.
    """
    entries = describe(settings)
    for name, entry in entries.items():
        if name in without:
            continue
        option = renames.get(name, name).replace("_", "-")
        # Suppressed: only what differs from the setting's default lands in the namespace.
        default = defaults.get(name, argparse.SUPPRESS)
        shared: dict[str, Any] = {
            "dest": _dest(settings, name),
            "default": default,
            "help": _help(replace(entry, default=defaults.get(name, entry.default))),
        }
        if isinstance(entry.default, bool):
            option = f"no-{option}" if entry.default else option
            parser.add_argument(f"--{option}", action="store_const", const=not entry.default, **shared)
            continue
        shared["metavar"] = f"{{{','.join(entry.choices)}}}" if entry.choices else option.rsplit("-", 1)[-1].upper()
        parser.add_argument(f"--{option}", action=_Checked, type=type(entry.default), entry=entry, **shared)


def given_settings(args: argparse.Namespace, settings: type[Settings]) -> dict[str, Any]:
    """The settings of this class that the command line or the command's defaults set, by name."""
    values = vars(args)
    return {name: values[key] for name in describe(settings) if (key := _dest(settings, name)) in values}


def settings_from(args: argparse.Namespace, settings: type[S], **others: Any) -> S:
    """Settings out of parsed options; ``others`` hold those that the command line does not set, and win over defaults.

    Raises InputError for values that are only wrong together.
    """
    return settings(**{**others, **given_settings(args, settings)})


def say(sentence: str) -> None:
    """A sentence on what was made of an input, beside the results; nothing for ''."""
    if sentence:
        print(f"t2c_core: {sentence}", file=sys.stderr)


@contextmanager
def progress(unit: str, description: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on the terminal, moved by calls with (done, total)."""
    # The delay keeps it out of the way of a refusal before the first step.
    with tqdm(unit=unit, desc=description, delay=0.1) as bar:

        def on_step(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield on_step


@contextmanager
def stage(description: str) -> Iterator[Callable[[int, int], None]]:
    """A line on the terminal (nowhere else) for what has no steps to count: its name and the time since its start.

    Calls with (done, total) of more than one step make it a bar with the time left.
    """
    with tqdm(desc=description, bar_format="{desc}: {elapsed}", unit="step", disable=None) as bar:

        def on_step(done: int, total: int) -> None:
            if total > 1:
                bar.bar_format, bar.total = None, total
                bar.update(done - bar.n)

        yield on_step


def check_paths(args: argparse.Namespace, *beside: Path, output: str = "output") -> None:
    """Raise InputError if a path that will be written would replace one that is read.

    beside: written besides the option ``output``; they replace nothing at all unless ``--overwrite`` was given.
    """
    read = {name: path for name, path in vars(args).items() if isinstance(path, Path) and name != output}
    for written in (getattr(args, output), *beside):
        for name, path in read.items():
            if _same(written, path):
                problem = f"'{written}' would replace the {name.replace('_', '-')} '{path}'."
                raise InputError(output, problem, "Give it another name.")
    for written in beside:
        if written.exists() and not args.overwrite:
            raise InputError("previews", f"'{written}' exists.", "Give --overwrite, or another output.")


def _same(written: Path, read: Path) -> bool:
    """Whether writing a path would replace what is read: the same file, however it is named, or a folder it is in."""
    if written.exists() and read.exists() and written.samefile(read):
        return True
    target, source = written.resolve(), read.resolve()
    return target == source or (written.is_dir() and source.is_relative_to(target))


class _Checked(argparse.Action):
    """Stores a value that its setting allows; raises InputError with the option's name for others."""

    def __init__(self, *args: Any, entry: Setting, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._entry = entry

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        try:
            self._entry.check(values)
        except InputError as error:
            raise InputError((option_string or self._entry.name).lstrip("-"), error.problem, error.remedy) from error
        setattr(namespace, self.dest, values)


def _dest(settings: type[Settings], name: str) -> str:
    return f"{settings.__name__}.{name}"


def _help(entry: Setting) -> str:
    """The help text with range, unit and default; argparse takes '%' for syntax."""
    numbers = ""
    if entry.low is not None and entry.high is not None:
        numbers = f"{entry.low:g}..{entry.high:g}"
    elif entry.low is not None:
        numbers = f"from {entry.low:g}"
    default = "" if entry.default == "" or isinstance(entry.default, bool) else f"default {entry.default}"
    details = ", ".join(filter(None, (" ".join(filter(None, (numbers, entry.unit))), default)))
    return (f"{entry.help} ({details})" if details else entry.help).replace("%", "%%")
