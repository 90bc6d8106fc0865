"""Tables as files: Parquet, CSV or JSON Lines, written block by block.

CSV knows no lists and no structs; they are written as JSON there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from .durability import naming, sync
from .errors import IndexExistsError, InvalidQueryError
from .manifest import is_index

TABLE_FORMATS = ("parquet", "csv", "jsonl")


def write_table(tables: Iterable[pa.Table], path: str | Path, *, file_format: str) -> int:
    """Write a stream of tables of one schema into one file.

    Parameters
    ----------
    tables : iterable of pyarrow.Table
        At least one, be it without rows; read once, one at a time.
    path : path
        Appears when it is complete, and then replaces what was there; a symbolic link stays, and
        what it points to is replaced. Folders above it are made if need be. Of processes that
        write the same one at once, the last to end wins.
    file_format : str
        One of ``parquet``, ``csv``, ``jsonl``, in letters of either case.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    InvalidQueryError
        When the format is unknown, or there is no table.
    IndexExistsError
        When ``path`` is a folder, or a file of an index.
    OSError
        When the disk refuses; ``path`` is then what it was.
    """
    writer_of = _WRITERS.get(file_format.lower())
    if writer_of is None:
        raise InvalidQueryError(
            f"unknown format {file_format!r}; use one of {', '.join(TABLE_FORMATS)}"
        )
    target = Path(path).resolve()
    if target.is_dir():
        raise IndexExistsError(f"{path} is a folder; give the name of a file")
    index = _index_around(target)
    if target.is_file() and index is not None:
        raise IndexExistsError(f"{path} is a file of the index {index.name}; give another name")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    n_rows = 0
    writer: Any = None
    try:
        with naming(target):
            with temporary.open("wb") as file:
                for table in tables:
                    if writer is None:
                        writer = writer_of(file, table.schema)
                    writer.write_table(table)
                    n_rows += table.num_rows
                if writer is None:
                    raise InvalidQueryError(
                        f"no table to write to {path}; give one, without rows if there are none"
                    )
                writer.close()
            sync(temporary)
            temporary.replace(target)
    except BaseException:
        if writer is not None:
            writer.give_up()
        with suppress(OSError):  # which would hide what went wrong
            temporary.unlink()
        raise
    sync(target.parent)
    return n_rows


def _index_around(target: Path) -> Path | None:
    """Return the index that a file would lie in; those of a later generation lie one level down."""
    return next((folder for folder in target.parents[:2] if is_index(folder)), None)


class _Parquet:
    """Parquet, as pyarrow writes it."""

    def __init__(self, file: Any, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(file, schema)

    def write_table(self, table: pa.Table) -> None:
        self._writer.write_table(table)

    def close(self) -> None:
        """Write the end of the file."""
        self._writer.close()

    def give_up(self) -> None:
        """Leave the file without its end.

        The writer would write it when Python removes it, fail because the file is closed by then,
        and print that as an exception that nobody can catch.
        """
        self._writer.is_open = False


class _JsonLines:
    """One JSON object per row."""

    def __init__(self, file: Any, _schema: pa.Schema) -> None:
        self._file = file

    def write_table(self, table: pa.Table) -> None:
        for row in table.to_pylist():
            self._file.write(json.dumps(row, ensure_ascii=False, default=str).encode() + b"\n")

    def close(self) -> None:
        """Nothing is held back."""

    def give_up(self) -> None:
        """Nothing is held back."""


class _Csv:
    """CSV, with JSON for what it does not know."""

    def __init__(self, file: Any, schema: pa.Schema) -> None:
        self._nested = [i for i, field in enumerate(schema) if pa.types.is_nested(field.type)]
        for i in self._nested:
            schema = schema.set(i, pa.field(schema.names[i], pa.string()))
        self._writer = pa_csv.CSVWriter(file, schema)

    def write_table(self, table: pa.Table) -> None:
        for i in self._nested:
            values = table.column(i).to_pylist()
            texts = [None if v is None else json.dumps(v, ensure_ascii=False) for v in values]
            table = table.set_column(i, table.column_names[i], pa.array(texts, pa.string()))
        self._writer.write_table(table)

    def close(self) -> None:
        """Write what is held back."""
        self._writer.close()

    def give_up(self) -> None:
        """Nothing is written when Python removes it."""


_WRITERS: dict[str, Any] = {
    "parquet": _Parquet,
    "csv": _Csv,
    "jsonl": _JsonLines,
}
