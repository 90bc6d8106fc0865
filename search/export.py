"""Exports: what an index holds, for other tools; and all its nearest pairs, for a whole catalogue.

Embeddings
----------
``parquet``
    ``performance_id``, metadata and ``embedding``, a list of float32 per row: what the
    embedding-reader of clip-retrieval reads with ``file_format="parquet"`` and
    ``embedding_column="embedding"``. ``coverdex index build`` and ``index add`` read it, too.
``numpy``
    ``embeddings.npy`` of shape (n, dimension) float32 and ``performance_ids.parquet``, row for row:
    embedding-reader's ``file_format="parquet_npy"``.
``faiss``
    ``vectors.faiss``, FAISS's own file with row numbers for ids, and ``performance_ids.parquet``,
    row for row.

The schema metadata of each Parquet file says who made the embeddings, under ``coverdex.encoder_id``
and ``coverdex.encoder_name``.

Pairs
-----
:func:`nearest_pairs` asks for every performance's nearest others and gives them block by block, so
that a catalogue of any size streams through: (query, rank, candidate, similarity, both works).
:func:`write_table` puts such a stream, or the candidates of some queries (:func:`candidate_table`),
into Parquet, CSV or JSON Lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .candidate import Candidate
from .column_clashes import names_beside
from .durability import folder_in_the_making, naming, publish_folder, sync
from .errors import IndexExistsError, InvalidQueryError
from .index import Index
from .parts import EMBEDDING, ROW_GROUP, encoder_metadata, write_vectors
from .performances import PERFORMANCE_ID
from .queries import DEFAULT_LIMIT, SearchOptions, checked_limit
from .structure import build_vectors
from .table_files import write_table as write_table  # with the tables that it is for

EMBEDDING_FORMATS = ("parquet", "numpy", "faiss")

#: Queries that are asked at once for pairs, and candidates that they may have together: each is
#: some objects of Python's, so a thousand lists as long as a catalogue would not fit into memory.
BLOCK = 1_024
MOST_PAIRS = 500_000

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
_CANDIDATE_SCHEMA = pa.schema(
    [
        pa.field("query", pa.string(), nullable=False),
        pa.field("rank", pa.int64(), nullable=False),
        pa.field("similarity", pa.float64(), nullable=False),
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
            table = index.columns([PERFORMANCE_ID])
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
    index: Index,
    *,
    least_similarity: float = -1.0,
    progress: Callable[[int, int], None] | None = None,
    **options: Unpack[SearchOptions],
) -> Iterator[pa.Table]:
    """Give every performance's nearest others, block by block.

    Parameters
    ----------
    index : Index
        Seen in one consistent state throughout.
    least_similarity : float, default -1
        Leave out what is less similar.
    progress : callable, optional
        ``progress(done, total)``, in performances that have asked.
    **options
        ``limit`` (per performance), ``where``, ``one_per_work`` and ``exact`` as in
        :meth:`Index.search`.

    Yields
    ------
    pyarrow.Table
        Of ``PAIRS_SCHEMA``, in the order of query ids and ranks; at least one, without rows where
        the index is empty.

    Raises
    ------
    InvalidQueryError
        As :meth:`Index.search`.
    """
    index = index.pinned()
    each = min(checked_limit(options.get("limit", DEFAULT_LIMIT)), max(len(index), 1))
    n_asked = max(1, min(BLOCK, MOST_PAIRS // each))
    names, works = index.columns([PERFORMANCE_ID, "work_id"]).columns
    for start in range(0, max(len(names), 1), n_asked):
        if progress is not None:
            progress(start, len(names))
        block = names.slice(start, n_asked).to_pylist()
        answers = index.search_by_ids(block, **options)
        asked = zip(block, works.slice(start, n_asked).to_pylist(), answers, strict=True)
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
    if progress is not None:
        progress(len(names), len(names))


def candidate_table(
    queries: Sequence[str], answers: Sequence[Sequence[Candidate]], *, schema: pa.Schema
) -> pa.Table:
    """Put the candidates of some queries into one table, with their metadata.

    Parameters
    ----------
    queries : sequence of str
        What to call each query, in the column ``query``.
    answers : sequence of sequences of Candidate
        One per query.
    schema : pyarrow.Schema
        Of the index that answered (:attr:`Index.schema`), so that the columns are the same whatever
        was found, and if nothing was.

    Returns
    -------
    pyarrow.Table
        ``query`` (string), ``rank`` (int64), ``similarity`` (float64), then all columns of the
        index; one that has one of these three names is called ``metadata_rank`` and so on.
    """
    called = names_beside(_CANDIDATE_SCHEMA.names, schema.names)
    rows = [
        {
            "query": query,
            "rank": found.rank,
            "similarity": found.similarity,
            **{called[name]: value for name, value in found.metadata.items()},
        }
        for query, answer in zip(queries, answers, strict=True)
        for found in answer
    ]
    fields = [*_CANDIDATE_SCHEMA, *(field.with_name(called[field.name]) for field in schema)]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def _encoder_of(index: Index) -> dict[bytes, bytes]:
    manifest = index.manifest
    return encoder_metadata(manifest.encoder_id, manifest.encoder_name)


def _write_numpy(path: Path, array: NDArray[np.float32]) -> None:
    """Write what ``np.save`` writes; that does not pass on why the disk refuses."""
    with naming(path), path.open("wb") as file:
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(file, header)
        file.write(np.ascontiguousarray(array).data)


def _write_parquet(index: Index, path: Path) -> None:
    table, embeddings = index.performances, index.embeddings
    called = names_beside([EMBEDDING], table.column_names)
    table = table.rename_columns([called[name] for name in table.column_names])
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
