"""Settings: frozen dataclasses whose fields hold default, range, unit and help once.

Command line options, node widgets, the preview route and the page's editor are made from them::

    @dataclass(frozen=True)
    class FlowSettings(Settings):
        smoothness: float = setting(0.5, "How smooth the motion is.", low=0.0, high=1.0)
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from .errors import InputError


@dataclass(frozen=True)
class Setting:
    """What one field of a settings class allows and means.

    name: its field. default: bool, int, float or str. help: one or two sentences. low, high: inclusive range of a
    number. step: how far a click on its widget goes. unit: 'px', 'frames' ...; '' for a plain number. choices: the
    texts allowed. advanced: whether it is hidden at first sight. when: another setting and the choices of it that this
    one has an effect with; None: always. round: what a widget rounds a number to.
    """

    name: str
    default: Any
    help: str
    low: float | None = None
    high: float | None = None
    step: float | None = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    advanced: bool = False
    when: tuple[str, tuple[str, ...]] | None = None
    round: float | None = None

    def check(self, value: Any) -> None:
        """Raise InputError, naming the setting, for a value of another type, outside the range or the choices."""
        if self.choices and value not in self.choices:
            raise InputError(self.name, f"is '{value}'; choose one of {', '.join(self.choices)}.")
        if isinstance(self.default, str):
            if not isinstance(value, str):
                raise InputError(self.name, f"is {value!r}; it must be a text.")
        elif isinstance(self.default, bool) or isinstance(value, bool):
            if not (isinstance(self.default, bool) and isinstance(value, bool)):
                raise InputError(self.name, f"is {value!r}; it must be {_KINDS[type(self.default)]}.")
        elif not isinstance(value, Integral if isinstance(self.default, int) else Real):
            raise InputError(self.name, f"is {value!r}; it must be {_KINDS[type(self.default)]}.")
        elif not self._in_range(value):
            raise InputError(self.name, f"is {value}; it must {self._range_text()}.")

    def _in_range(self, value: Any) -> bool:
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        return math.isfinite(value) and low <= value <= high

    def _range_text(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if self.low is not None and self.high is not None:
            return f"lie between {self.low:g} and {self.high:g}{unit}"
        if self.low is not None:
            return f"be at least {self.low:g}{unit}"
        return f"be at most {self.high:g}{unit}" if self.high is not None else "be a finite number"


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    unit: str = "",
    choices: tuple[str, ...] = (),
    advanced: bool = False,
    when: tuple[str, tuple[str, ...]] | None = None,
    round: float | None = None,
) -> Any:
    """A field of a settings class; the arguments are those of :class:`Setting`."""
    shown = {"unit": unit, "choices": choices, "advanced": advanced, "when": when, "round": round}
    return dataclasses.field(
        default=default, metadata={"setting": {"help": help, "low": low, "high": high, "step": step, **shown}}
    )


def fraction(default: float, help: str, *, step: float = 0.05, **options: Any) -> Any:
    """A :func:`setting` in 0..1."""
    return setting(default, help, low=0.0, high=1.0, step=step, **options)


@dataclass(frozen=True)
class Settings:
    """Base class of all settings: values are checked when one is made. Raises InputError naming the setting."""

    def __post_init__(self) -> None:
        for entry in describe(type(self)).values():
            entry.check(getattr(self, entry.name))


def describe(settings: type[Any]) -> dict[str, Setting]:
    """The settings of a dataclass by name, in their order; fields that are not made by :func:`setting` are left out."""
    return {
        field.name: Setting(field.name, field.default, **field.metadata["setting"])
        for field in dataclasses.fields(settings)
        if "setting" in field.metadata
    }
