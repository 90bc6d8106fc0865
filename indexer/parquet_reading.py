"""Parquet files that others wrote: what may be wrong with a whole file is told once, by its name.

Arrow's own messages say what is wrong with a page or a schema, not of which file. Rows that are
wrong are the business of who reads them (:mod:`.parquet_catalogue`, :mod:`.shard_reading`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ..encoder.errors import CoverdexError, NotFoundError
from ..search.performances import text_not_utf8

#: First bytes of every Parquet file that is not encrypted.
_MAGIC = b"PAR1"


def begins_as_parquet(path: str | Path) -> bool:
    """Tell whether a file begins as Parquet files do; a damaged one may."""
    with Path(path).open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def read_parquet_schema(path: str | Path) -> pa.Schema:
    """Read the Arrow schema of a Parquet file.

    Raises
    ------
    NotFoundError
        If there is no such file.
    CoverdexError
        If it cannot be read as Parquet, or two of its columns have one name.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(f"no file {path}; give an existing Parquet file")
    with readable(path):
        schema = pq.read_schema(path)
        twice = [name for name, times in Counter(schema.names).items() if times > 1]
    if twice:
        raise CoverdexError(f"{path} has two columns {twice[0]!r}; rename one, or leave it out")
    return schema


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Name the file in what Arrow says against reading it.

    Raises
    ------
    CoverdexError
        If it is damaged or no Parquet file.
    """
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # last: a damaged name
        said = " ".join(str(error).split())  # some of Arrow's messages have several lines
        raise CoverdexError(f"{path} cannot be read as Parquet ({said}); make it again") from error


def check_text(table: pa.Table, path: Path) -> None:
    """Refuse text that is not UTF-8, which is seen only when it is looked at.

    Raises
    ------
    CoverdexError
        Naming the file, the column and the text.
    """
    for name in table.column_names:
        damaged = text_not_utf8(table.column(name))
        if damaged is not None:
            raise CoverdexError(
                f"{path} has text that is not UTF-8 in its column {name!r}, {damaged}; write it as "
                "UTF-8"
            )
