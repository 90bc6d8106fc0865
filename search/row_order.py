"""Rows of a table in another order, however much text its columns have.

Arrow counts the bytes of text with 32 bits, so that one array holds 2 GiB of it. A column of a
table may have more, in several arrays; ten million performances have, with 215 bytes each. But
``take`` puts those arrays together first, and refuses. Text of 64-bit offsets (``large_string``)
has no such limit, so a long column goes that way and comes back in parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

#: Bytes that the offsets of a text array can count.
MOST_TEXT = 2**31 - 1


def in_order(table: pa.Table, rows: NDArray[np.int64]) -> pa.Table:
    """Take rows of a table.

    Parameters
    ----------
    table : pyarrow.Table
    rows : ndarray, shape (n,), int64
        Row i of the result is row ``rows[i]`` of ``table``.

    Returns
    -------
    pyarrow.Table
        Of the same schema.
    """
    columns = [_taken(column, rows) for column in table.columns]
    return pa.table(columns, schema=table.schema)


def _taken(column: Any, rows: NDArray[np.int64]) -> Any:
    if not pa.types.is_string(column.type) or column.nbytes <= MOST_TEXT:
        return column.take(pa.array(rows))
    return pa.chunked_array(_parts(column.cast(pa.large_string()), rows), pa.string())


def _parts(wide: Any, rows: NDArray[np.int64]) -> Iterator[Any]:
    """Give the rows as arrays of text, each of as much as one array holds."""
    step = max(1, int(MOST_TEXT / 2 * len(wide) / wide.nbytes))
    for start in range(0, len(rows), step):
        yield from _narrowed(wide, rows[start : start + step])


def _narrowed(wide: Any, rows: NDArray[np.int64]) -> Iterator[Any]:
    taken = wide.take(pa.array(rows))
    if len(rows) > 1 and taken.nbytes > MOST_TEXT:  # long texts stand together
        half = len(rows) // 2
        yield from _narrowed(wide, rows[:half])
        yield from _narrowed(wide, rows[half:])
    else:
        yield from taken.cast(pa.string()).chunks
