"""Metadata as it is given to an editor: rows or a table, brought into an index's columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from .errors import IndexFormatError
from .misfits import MISFITS, misfit
from .performances import PERFORMANCE_ID, cast_column, normalised


def as_table(performances: Any, schema: pa.Schema) -> pa.Table:
    """Make a table of what is given.

    Parameters
    ----------
    performances : pyarrow.Table or iterable of mapping
        One mapping per performance, from column to value; some of the index's columns.
    schema : pyarrow.Schema
        Of the index.

    Returns
    -------
    pyarrow.Table
        The columns that were given, with the types that they came in as far as they have one.

    Raises
    ------
    IndexFormatError
        When a column is not one of the index's, a value does not fit its column, or a performance
        is no mapping.
    """
    if isinstance(performances, pa.Table):
        _check_names(performances.column_names, schema)
        return performances
    rows = [_row(row) for row in performances]
    names = list(dict.fromkeys(name for row in rows for name in row)) or [PERFORMANCE_ID]
    _check_names(names, schema)
    ids = [row.get(PERFORMANCE_ID) for row in rows]
    return pa.table(
        {name: _column([row.get(name) for row in rows], schema.field(name), ids) for name in names}
    )


def ids_in(performances: pa.Table) -> list[str]:
    """Return the ids of a table of performances, sorted.

    Raises
    ------
    IndexFormatError
        When ids are missing, empty or listed twice.
    """
    if PERFORMANCE_ID not in performances.column_names:
        raise IndexFormatError("a performance has no id; every row needs its performance_id")
    ids, _ = normalised(performances.select([PERFORMANCE_ID]))  # as text, if they are numbers
    names: list[str] = ids.column(PERFORMANCE_ID).to_pylist()
    return names


def cast_table(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give a table that has the index's columns their types and their order.

    Raises
    ------
    IndexFormatError
        When a value does not fit its column.
    """
    ids = table.column(PERFORMANCE_ID)
    columns = [
        cast_column(table.column(field.name), field, lambda row: ids[row].as_py())
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def _row(given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise IndexFormatError(
            f"{given!r} is no performance; give a pyarrow.Table, or for each performance a mapping "
            "from column to value"
        )
    return dict(given)


def _check_names(names: Sequence[str], schema: pa.Schema) -> None:
    if unknown := [name for name in names if name not in schema.names]:
        raise IndexFormatError(
            f"the index has no column {', '.join(map(repr, unknown))}; it has "
            f"{', '.join(schema.names)}"
        )


def _column(values: list[Any], field: Any, ids: list[Any]) -> Any:
    """Make a column of Python's values."""
    try:
        column = pa.array(values)  # of their own type: what is cast later takes more than this does
        column.validate()  # Arrow miscounts fields that are always null in structs that may be
        return column
    except MISFITS:
        pass
    try:
        return pa.array(values, field.type)  # such as whole numbers that only uint64 holds
    except MISFITS:
        raise misfit(
            field.name,
            field.type,
            values,
            lambda low, high: pa.array(values[low:high], field.type),
            lambda row: ids[row],
        ) from None
