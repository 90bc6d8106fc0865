"""The simulator's configuration from plain tables, as a TOML file gives them."""

from __future__ import annotations

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
        A field is unknown or of another type than its default.
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
        return (float(numbers[0]), float(numbers[1]))
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise ValueError(f"{where} is {value!r}; give true or false")
        return value
    if isinstance(default, float):
        if not _is_number(value) or value < 0:
            raise ValueError(f"{where} is {value!r}; give a number, 0 or more")
        return float(value)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
