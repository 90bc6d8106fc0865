"""Exports: what an index holds, for other tools; and all its nearest pairs, for a whole catalogue.

Embeddings
----------
``parquet``
    ``performance_id``, metadata and ``embedding``, a list of float32 per row: what the
    embedding-reader of clip-retrieval reads with ``file_format="parquet"`` and
    ``embedding_column="embedding"``.
``numpy``
    ``embeddings.npy`` of shape (n, dimension) float32 and ``performance_ids.parquet``, row for row:
    embedding-reader's ``file_format="parquet_npy"``.
``faiss``
    ``vectors.faiss``, FAISS's own file with row numbers for ids, and ``performance_ids.parquet``,
    row for row.

Pairs
-----
:func:`nearest_pairs` asks for every performance's nearest others and gives them block by block, so
that a catalogue of any size streams through: (query, rank, candidate, similarity, both works).
:func:`write_table` puts such a stream, or the candidates of some queries, into Parquet, CSV or JSON
Lines.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .candidate import Candidate
from .durability import folder_in_the_making, naming, publish_folder, sync
from .errors import IndexExistsError, InvalidQueryError
from .index import Index
from .parts import EMBEDDING, ENCODER_ID_KEY, ROW_GROUP, write_vectors
from .performances import PERFORMANCE_ID
from .queries import SearchOptions
from .structure import build_vectors

EMBEDDING_FORMATS = ("parquet", "numpy", "faiss")
TABLE_FORMATS = ("parquet", "csv", "jsonl")

#: Queries that are asked at once for pairs.
BLOCK = 1_024

PAIRS_SCHEMA = pa.schema(
    [
        pa.field("query", pa.string(), nullable=False),
        pa.field("query_work", pa.string()),
        pa.field("rank", pa.int32(), nullable=False),
        pa.field("candidate", pa.string(), nullable=False),
        pa.field("candidate_work", pa.string()),
        pa.field("similarity", pa.float32(), nullable=False),
    ]
)


def export_embeddings(index: Index, out: str | Path, *, file_format: str) -> list[Path]:
    """Write the embeddings of an index for other tools.

    Parameters
    ----------
    index : Index
    out : path
        A folder, made complete or not at all.
    file_format : str
        One of ``parquet``, ``numpy``, ``faiss``; see the module.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    InvalidQueryError
        When the format is unknown.
    IndexExistsError
        When ``out`` exists and is not an empty folder.
    OSError
        When the disk refuses.
    """
    if file_format not in EMBEDDING_FORMATS:
        raise InvalidQueryError(
            f"unknown format {file_format!r}; use one of {', '.join(EMBEDDING_FORMATS)}"
        )
    target = Path(out)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise IndexExistsError(f"{target} exists already; give another name")
    index = index.pinned()
    with folder_in_the_making(target) as made:
        if file_format == "parquet":
            _write_parquet(index, made / "embeddings.parquet")
        else:
            table = index.performances.select([PERFORMANCE_ID])
            table = table.replace_schema_metadata(_encoder_of(index))
            with naming(made / "performance_ids.parquet"):
                pq.write_table(table, made / "performance_ids.parquet")
            if file_format == "numpy":
                _write_numpy(made / "embeddings.npy", index.embeddings)
            else:
                write_vectors(made / "vectors.faiss", build_vectors(index.embeddings, "Flat"))
        names = sorted(path.name for path in made.iterdir())
        for name in names:
            sync(made / name)
        publish_folder(made, target)
    return [target / name for name in names]


def nearest_pairs(
    index: Index, *, least_similarity: float = -1.0, **options: Unpack[SearchOptions]
) -> Iterator[pa.Table]:
    """Give every performance's nearest others, block by block.

    Parameters
    ----------
    index : Index
        Seen in one consistent state throughout.
    least_similarity : float, default -1
        Leave out what is less similar.
    **options
        ``limit`` (per performance), ``where``, ``one_per_work`` and ``exact`` as in
        :meth:`Index.search`.

    Yields
    ------
    pyarrow.Table
        Of ``PAIRS_SCHEMA``, in the order of query ids and ranks.

    Raises
    ------
    InvalidQueryError
        As :meth:`Index.search`.
    """
    index = index.pinned()
    names = index.performances.column(PERFORMANCE_ID)
    works = index.performances.column("work_id")
    for start in range(0, len(names), BLOCK):
        block = names.slice(start, BLOCK).to_pylist()
        answers = index.search_by_ids(block, **options)
        asked = zip(block, works.slice(start, BLOCK).to_pylist(), answers, strict=True)
        rows = [
            (name, work, found.rank, found.performance_id, found.work_id, found.similarity)
            for name, work, answer in asked
            for found in answer
            if found.similarity >= least_similarity
        ]
        columns = zip(*rows, strict=True) if rows else [()] * len(PAIRS_SCHEMA)
        arrays = [
            pa.array(column, field.type)
            for column, field in zip(columns, PAIRS_SCHEMA, strict=True)
        ]
        yield pa.table(arrays, schema=PAIRS_SCHEMA)


def candidate_table(queries: Sequence[str], answers: Sequence[Sequence[Candidate]]) -> pa.Table:
    """Put the candidates of some queries into one table, with their metadata.

    Parameters
    ----------
    queries : sequence of str
        What to call each query, in the column ``query``.
    answers : sequence of sequences of Candidate
        One per query.
    """
    rows = [
        {"query": query, "rank": found.rank, "similarity": found.similarity, **found.metadata}
        for query, answer in zip(queries, answers, strict=True)
        for found in answer
    ]
    return pa.Table.from_pylist(rows)


def write_table(tables: Iterable[pa.Table], path: str | Path, *, file_format: str) -> int:
    """Write a stream of tables of one schema into one file.

    Parameters
    ----------
    tables : iterable of pyarrow.Table
        At least one; read once, one at a time.
    path : path
        Appears when it is complete, and then replaces what was there.
    file_format : str
        One of ``parquet``, ``csv``, ``jsonl``.

    Returns
    -------
    int
        Rows written.

    Raises
    ------
    InvalidQueryError
        When the format is unknown.
    OSError
        When the disk refuses; ``path`` is then what it was.
    """
    if file_format not in TABLE_FORMATS:
        raise InvalidQueryError(
            f"unknown format {file_format!r}; use one of {', '.join(TABLE_FORMATS)}"
        )
    target = Path(path)
    temporary = target.with_name(f".{target.name}.tmp")
    n_rows = 0
    writer: Any = None
    try:
        with temporary.open("wb") as file:
            for table in tables:
                if writer is None:
                    writer = _WRITERS[file_format](file, table.schema)
                writer.write_table(table)
                n_rows += table.num_rows
            if writer is not None:
                writer.close()
                writer = None
        sync(temporary)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(target.absolute().parent)
    return n_rows


class _JsonLines:
    """One JSON object per row."""

    def __init__(self, file: Any, _schema: pa.Schema) -> None:
        self._file = file

    def write_table(self, table: pa.Table) -> None:
        for row in table.to_pylist():
            self._file.write(json.dumps(row, ensure_ascii=False, default=str).encode() + b"\n")

    def close(self) -> None:
        """Nothing is held back."""


class _Csv:
    """CSV knows no lists and no structs: they are written as JSON."""

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


_WRITERS: dict[str, Any] = {
    "parquet": pq.ParquetWriter,
    "csv": _Csv,
    "jsonl": _JsonLines,
}


def _encoder_of(index: Index) -> dict[bytes, bytes]:
    return {ENCODER_ID_KEY: index.manifest.encoder_id.encode()}


def _write_numpy(path: Path, array: NDArray[np.float32]) -> None:
    """Write what ``np.save`` writes; that does not pass on why the disk refuses."""
    with naming(path), path.open("wb") as file:
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(file, header)
        file.write(np.ascontiguousarray(array).data)


def _write_parquet(index: Index, path: Path) -> None:
    table, embeddings = index.performances, index.embeddings
    field = pa.field(EMBEDDING, pa.list_(pa.float32()), nullable=False)
    schema = table.schema.append(field).with_metadata(_encoder_of(index))
    with naming(path), pq.ParquetWriter(path, schema, compression="none") as writer:
        for start in range(0, max(len(embeddings), 1), ROW_GROUP):
            block = embeddings[start : start + ROW_GROUP]
            offsets = np.arange(0, block.size + 1, max(embeddings.shape[1], 1), dtype=np.int32)
            values = pa.ListArray.from_arrays(
                pa.array(offsets[: len(block) + 1]), pa.array(block.reshape(-1))
            )
            rows = table.slice(start, len(block))
            writer.write_table(pa.table([*rows.columns, values], schema=schema))
