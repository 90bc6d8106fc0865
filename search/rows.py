"""What rows stand for: the metadata of the files, and that of what was added since.

A search finds row numbers. Their metadata is read when somebody looks at it, value by value from
the Arrow columns, so an answer costs the same however many columns a catalogue has.

Rows are numbered through: first those of the files, then those added since, as in
:class:`~coverdex.search.snapshot.Snapshot`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from .performances import PERFORMANCE_ID


class Rows:
    """The metadata of numbered rows; never changes.

    It holds the table and the records alone, so whoever keeps an answer keeps no file locked.

    Parameters
    ----------
    table : pyarrow.Table
        One row per performance of the files.
    added : sequence of mapping
        All columns by name, for each performance added since.
    """

    __slots__ = ("_added", "_columns", "_ids", "_n_stored", "names")

    def __init__(self, table: pa.Table, added: Sequence[Mapping[str, Any]] = ()) -> None:
        self._added = added
        self._n_stored = table.num_rows
        self._columns = dict(zip(table.column_names, map(_whole, table.columns), strict=True))
        self.names: tuple[str, ...] = tuple(self._columns)
        self._ids = _Texts.of(self._columns.get(PERFORMANCE_ID))

    def value(self, row: int, name: str) -> Any:
        """Return one value as a Python object.

        Raises
        ------
        KeyError
            When there is no such column.
        """
        if row >= self._n_stored:
            return self._added[row - self._n_stored][name]
        return self._columns[name][row].as_py()

    def performance_id(self, row: int) -> str:
        """Return the id of a row."""
        if self._ids is not None and row < self._n_stored:
            return self._ids[row]
        performance_id: str = self.value(row, PERFORMANCE_ID)
        return performance_id

    def work_id(self, row: int) -> str | None:
        """Return the work of a row; None where the catalogue does not say."""
        work: str | None = self.value(row, "work_id")
        return work


class RowMetadata(Mapping[str, Any]):
    """One row as a read-only mapping from column name to value; nothing is read before its time."""

    __slots__ = ("_row", "_rows")

    def __init__(self, rows: Rows, row: int) -> None:
        self._rows = rows
        self._row = row

    def __getitem__(self, name: str) -> Any:
        return self._rows.value(self._row, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows.names)

    def __len__(self) -> int:
        return len(self._rows.names)

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)  # to another process goes what it says, not the whole index


class _Texts:
    """An Arrow array of strings, each read in half the time that Arrow takes for one.

    Every candidate is asked for its id. Arrow makes an object of its own for each value first; here
    the bytes are found by the offsets that its format lays down, and decoded.
    """

    __slots__ = ("_bytes", "_offsets")

    def __init__(self, column: pa.StringArray) -> None:
        _, offsets, values = column.buffers()
        end = column.offset + len(column) + 1
        self._offsets = memoryview(offsets).cast("i")[column.offset : end]
        self._bytes = memoryview(values if values is not None else b"")

    @classmethod
    def of(cls, column: Any) -> _Texts | None:
        """Take an array; None if it is of another kind, in several chunks, or has gaps."""
        is_plain = isinstance(column, pa.StringArray) and len(column) and not column.null_count
        return cls(column) if is_plain else None

    def __getitem__(self, row: int) -> str:
        return str(self._bytes[self._offsets[row] : self._offsets[row + 1]], "utf-8")


def _whole(column: Any) -> Any:
    """Take a column's only chunk, whose values are reached in a quarter of the time."""
    return column.chunk(0) if column.num_chunks == 1 else column
