"""Widgets made from the core's settings: default, range, step and tooltip stand there once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from comfy_api.latest import io

from ..t2c_core.settings import Setting, Settings, describe

S = TypeVar("S", bound=Settings)


def widgets(settings: type[Settings], *names: str, **overrides: dict[str, Any]) -> list[io.Input]:
    """One widget per setting, of the setting's name and in the order of ``names`` (all settings without any).

    bool: Boolean, int: Int, float: Float, str: Combo with choices, else String. The tooltip is the help text, with
    the unit. overrides: arguments of a widget's class by setting, which win; 'id' renames the widget:
    ``widgets(FlowSettings, "speed", "angle", angle={"step": 1.0})``. Raises KeyError for a setting there is not.
    """
    entries = describe(settings)
    if unknown := overrides.keys() - (names or entries):
        raise KeyError(f"{settings.__name__} makes no widget '{min(unknown)}'")
    return [_widget(entries[name], overrides.get(name, {})) for name in names or entries]


def _widget(entry: Setting, overrides: dict[str, Any]) -> io.Input:
    options: dict[str, Any] = {"id": entry.name, "default": entry.default, "tooltip": tooltip(entry)}
    if entry.advanced:
        options["advanced"] = True
    if entry.when:
        options["extra_dict"] = shown_when(*entry.when)
    if entry.choices:
        return io.Combo.Input(**{**options, "options": list(entry.choices), **overrides})
    if isinstance(entry.default, bool):
        return io.Boolean.Input(**{**options, **overrides})
    if isinstance(entry.default, str):
        return io.String.Input(**{**options, **overrides})
    number = type(entry.default)
    limits = {"min": entry.low, "max": entry.high, "step": entry.step, "round": entry.round}
    options |= {name: number(limit) for name, limit in limits.items() if limit is not None}
    return (io.Int if number is int else io.Float).Input(**{**options, **overrides})


def shown_when(setting: str, values: Sequence[str]) -> dict[str, Any]:
    """Extra of an input that the page shows only while another widget, ``setting``, has one of ``values``."""
    return {"t2c_when": [setting, list(values)]}


def from_widgets(settings: type[S], values: Mapping[str, Any]) -> S:
    """The settings among a node's inputs. Raises InputError naming the setting."""
    return settings(**{name: values[name] for name in describe(settings) if name in values})


def tooltip(entry: Setting) -> str:
    """The help text, with the unit where it does not name it."""
    return f"{entry.help} Unit: {entry.unit}." if entry.unit and entry.unit not in entry.help else entry.help
