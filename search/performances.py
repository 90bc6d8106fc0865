"""The metadata of an index's performances, as an Arrow table in the order of the vectors.

Row i describes vector i, and rows are sorted by performance id (by code point), so that the same
catalogue gives the same index whatever order its files were read in, and a performance is found by
binary search without a table of ids in memory.

Columns
-------
``performance_id`` (string, never null), ``work_id``, ``title``, ``artist``, ``work_title``,
``work_artist`` (string), ``year`` (int32), ``instrumental`` (bool), ``duration`` (float64, in
seconds). All but the first may be null, and are where the catalogue does not say. Further columns
of a catalogue follow in its own order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .errors import IndexFormatError

PERFORMANCE_ID = "performance_id"

CORE_FIELDS: tuple[Any, ...] = (
    pa.field(PERFORMANCE_ID, pa.string(), nullable=False),
    pa.field("work_id", pa.string()),
    pa.field("title", pa.string()),
    pa.field("artist", pa.string()),
    pa.field("work_title", pa.string()),
    pa.field("work_artist", pa.string()),
    pa.field("year", pa.int32()),
    pa.field("instrumental", pa.bool_()),
    pa.field("duration", pa.float64()),
)
CORE_COLUMNS = tuple(field.name for field in CORE_FIELDS)


def normalised(table: pa.Table) -> tuple[pa.Table, NDArray[np.int64]]:
    """Bring a table of performances into an index's form.

    Parameters
    ----------
    table : pyarrow.Table
        One row per performance, with ``performance_id`` and any of the other columns.

    Returns
    -------
    table : pyarrow.Table
        All core columns with their types, then the others, sorted by performance id.
    order : ndarray, shape (n,), int64
        Row i of the result is row ``order[i]`` of the input.

    Raises
    ------
    IndexFormatError
        When ids are missing, empty or listed twice, or a core column has values of another type.
    """
    if PERFORMANCE_ID not in table.column_names:
        raise IndexFormatError(
            f"the table of performances has no column {PERFORMANCE_ID!r}; it has "
            f"{', '.join(table.column_names) or 'none'}"
        )
    columns, fields = [], []
    for field in CORE_FIELDS:
        columns.append(_column_as(table, field))
        fields.append(field)
    for field in table.schema:
        if field.name not in CORE_COLUMNS:
            columns.append(table.column(field.name))
            fields.append(field.remove_metadata())
    whole = pa.table(columns, schema=pa.schema(fields))
    ids = whole.column(PERFORMANCE_ID)
    _check_ids(ids)
    order = pc.sort_indices(ids).to_numpy().astype(np.int64)
    if not np.array_equal(order, np.arange(len(order))):
        whole = whole.take(pa.array(order))
    return whole.combine_chunks(), order


def row_of(ids: Any, performance_id: str) -> int | None:
    """Find a performance by binary search in the sorted Arrow array ``ids``; None if absent."""
    low, high = 0, len(ids)
    while low < high:
        middle = (low + high) // 2
        if ids[middle].as_py() < performance_id:
            low = middle + 1
        else:
            high = middle
    found = low < len(ids) and ids[low].as_py() == performance_id
    return low if found else None


def rows_of(ids: Any, performance_ids: Sequence[str]) -> NDArray[np.int64]:
    """Find many performances in the sorted Arrow array ``ids``; -1 where one is absent.

    Returns
    -------
    ndarray, shape (len(performance_ids),), int64
    """
    if len(performance_ids) < 256:  # below, hashing the whole column costs more than looking
        found = (row_of(ids, performance_id) for performance_id in performance_ids)
        return np.fromiter((-1 if row is None else row for row in found), dtype=np.int64)
    positions = pc.index_in(pa.array(performance_ids, ids.type), value_set=ids)
    rows: NDArray[np.int64] = pc.fill_null(positions, -1).to_numpy().astype(np.int64)
    return rows


def _column_as(table: pa.Table, field: Any) -> Any:
    if field.name not in table.column_names:
        return pa.nulls(table.num_rows, field.type)
    try:
        return table.column(field.name).cast(field.type)
    except pa.ArrowInvalid as error:
        raise IndexFormatError(
            f"column {field.name!r} is of type {table.schema.field(field.name).type} and does not "
            f"become {field.type}: {error}"
        ) from None


def _check_ids(ids: Any) -> None:
    if ids.null_count or pc.any(pc.equal(ids, "")).as_py():
        raise IndexFormatError("a performance has no id; every row needs its performance_id")
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    counts = pc.value_counts(ids)
    twice = [entry["values"] for entry in counts.to_pylist() if entry["counts"] > 1]
    raise IndexFormatError(
        f"{len(twice)} performance(s) listed more than once, such as {twice[0]!r}; an id is unique"
    )
