"""The simulator's configuration from plain tables, as a TOML file gives them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from .cover import SimulatorConfig
from .instruments import InstrumentEffects
from .recording import AcousticEffects
from .timeline import TimelineEffects

_TABLES: dict[str, type[Any]] = {
    "timeline": TimelineEffects,
    "instruments": InstrumentEffects,
    "acoustics": AcousticEffects,
}

#: Probabilities and shares.
_AT_MOST_ONE = {
    *("anchor", "same_version", "reverse", "invert", "drop", "repeat", "swap", "foreign", "loop"),
    *("late_start", "part_drop", "section_drop", "solo", "pad_share"),
    *("percussion_share", "lost_frames"),
}

#: Logarithms of a tempo ratio: above this a view runs through hours of score, or for ever.
_AT_MOST_THREE = {"tempo_spread", "section_tempo_spread"}

_Table = TypeVar("_Table")


def simulator_config(settings: Mapping[str, Any]) -> SimulatorConfig:
    """Read a simulator's configuration.

    Parameters
    ----------
    settings : mapping
        Fields of :class:`SimulatorConfig`; ``timeline``, ``instruments`` and ``acoustics`` are
        mappings of the fields of their classes. What is left out has its default.

    Raises
    ------
    ValueError
        A field is unknown, of another type than its default, or out of its range.
    """
    values = dict(settings)
    for name, table in _TABLES.items():
        if name in values:
            values[name] = _read(table, values[name], name)
    return _read(SimulatorConfig, values, "simulator")


def _read(table: type[_Table], values: Mapping[str, Any], where: str) -> _Table:
    if not isinstance(values, Mapping):
        raise ValueError(f"{where} is {values!r}; give a table")
    default = table()
    known = {f.name: getattr(default, f.name) for f in fields(table)}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"{where} has no {', '.join(unknown)}; it has {', '.join(known)}")
    return table(**{k: _like(known[k], v, f"{where}.{k}") for k, v in values.items()})


def _like(default: Any, value: Any, where: str) -> Any:
    """Check a value against the type of its default; a pair of numbers may come as a list."""
    if isinstance(default, tuple):
        numbers = [v for v in value if _is_number(v)] if isinstance(value, list | tuple) else []
        if len(numbers) != 2 or len(value) != 2 or numbers[0] > numbers[1]:
            raise ValueError(f"{where} is {value!r}; give [low, high]")
        return (_within(float(numbers[0]), value, where), _within(float(numbers[1]), value, where))
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{where} is {value!r}; give true or false")
        return value
    if isinstance(default, float):
        if not _is_number(value):
            raise ValueError(f"{where} is {value!r}; give a number, 0 or more")
        return _within(float(value), value, where)
    return value


def _within(number: float, given: Any, where: str) -> float:
    """Check the range of a number; out of it views would be NaN, or never come to an end."""
    name = where.rpartition(".")[2]
    if not 0 <= number < math.inf:
        raise ValueError(f"{where} is {given!r}; give 0 or more")
    if name in _AT_MOST_ONE and number > 1:
        raise ValueError(f"{where} is {given!r}; give 0 to 1")
    if name in _AT_MOST_THREE and number > 3:
        raise ValueError(f"{where} is {given!r}; give the logarithm of a tempo ratio, 0 to 3")
    if name == "drop" and number == 1:
        raise ValueError(f"{where} is {given!r}, which leaves nothing to play; give less than 1")
    if name == "compression" and number == 0:
        raise ValueError(f"{where} is {given!r}; give exponents above 0, 1 to leave it out")
    return number


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
