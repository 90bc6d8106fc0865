"""Metadata on its way into an index that exists, brought into its columns and types.

An addition goes in by batches, and each batch that is in stays in. What can be known to be wrong
must therefore be found before the first: here a whole table is brought into the index's types.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..search.performances import cast_column, normalised
from .performance import PerformanceRecord, records_table

#: Records that are laid out as a table at a time, so that a long catalogue needs little memory.
_BLOCK = 16_384


def fitted(table: pa.Table, schema: pa.Schema) -> tuple[pa.Table, NDArray[np.int64]]:
    """Bring a table of performances into the columns and types of an index.

    Parameters
    ----------
    table : pyarrow.Table
        One row per performance; all its columns are the index's.
    schema : pyarrow.Schema
        Of the index's performances.

    Returns
    -------
    table : pyarrow.Table
        Sorted by performance id.
    order : ndarray, shape (n,), int64
        Row i of the result is row ``order[i]`` of the input.

    Raises
    ------
    IndexFormatError
        If a value does not become what its column holds.
    """
    table, order = normalised(table)
    ids = table.column("performance_id")
    fields = [field for field in schema if field.name in table.column_names]
    columns = [
        cast_column(table.column(field.name), field, lambda row: ids[row].as_py())
        for field in fields
    ]
    return pa.table(columns, schema=pa.schema(fields)), order


def check_records_fit(records: Iterable[PerformanceRecord], schema: pa.Schema) -> None:
    """Refuse records that do not fit an index; columns that it does not have are passed over.

    So are records that fit no index: reading them makes rejections of them.

    Raises
    ------
    IndexFormatError, CoverdexError
        If a value does not become what its column holds.
    """
    known = set(schema.names)
    first = {record.performance_id: record for record in reversed(list(records))}
    waiting = (record for record in first.values() if record.misfit() is None)
    while block := list(islice(waiting, _BLOCK)):
        extras = [{n: v for n, v in record.extra.items() if n in known} for record in block]
        fitted(
            records_table(replace(r, extra=e) for r, e in zip(block, extras, strict=True)), schema
        )
