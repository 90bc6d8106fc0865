"""The files of one generation: what each holds, and writing them.

``vectors.faiss`` is what is searched, ``performances.parquet`` is what is known of each row, and
``embeddings.parquet`` holds ids and exact embeddings, for any program that reads Parquet.
``performances.arrow`` repeats the metadata in the form that Arrow has in memory: it is mapped, not
read, so an index of millions opens at once and all processes that serve it share the pages.
``docs/index-format.md`` has the columns.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .durability import naming, sync
from .manifest import EMBEDDINGS, MAPPED, PERFORMANCES, VECTORS, FileRecord
from .performances import PERFORMANCE_ID
from .vectors import faiss

#: What the files are called.
FILE_NAMES = {
    VECTORS: "vectors.faiss",
    PERFORMANCES: "performances.parquet",
    MAPPED: "performances.arrow",
    EMBEDDINGS: "embeddings.parquet",
}
#: Keys of the encoder's id, and of the name under which it can be loaded, in the schema metadata of
#: an embeddings file.
ENCODER_ID_KEY = b"coverdex.encoder_id"
ENCODER_NAME_KEY = b"coverdex.encoder_name"
EMBEDDING = "embedding"
#: Rows that are read together when one embedding is asked for: 4 MB at 64 dimensions.
ROW_GROUP = 16_384


def write_parts(
    folder: Path,
    vectors: Any,
    embeddings: NDArray[np.float32],
    performances: pa.Table,
    *,
    encoder_id: str,
    encoder_name: str,
) -> dict[str, FileRecord]:
    """Write and flush the files of one generation; return their records.

    Parameters
    ----------
    folder : Path
        Where the files go; their records are relative to it.
    vectors : faiss.Index
        Of the embeddings.
    embeddings : ndarray, shape (n, dimension), float32
        In the order of ``performances``.
    performances : pyarrow.Table
        As :func:`~coverdex.search.performances.normalised` gives it.
    encoder_id, encoder_name : str
        Who made the embeddings.

    Raises
    ------
    OSError
        When the disk refuses.
    """
    paths = {part: folder / name for part, name in FILE_NAMES.items()}
    write_vectors(paths[VECTORS], vectors)
    with naming(paths[PERFORMANCES]):
        pq.write_table(performances, paths[PERFORMANCES], compression="zstd")
    write_mapped(paths[MAPPED], performances)
    ids = performances.column(PERFORMANCE_ID)
    write_embeddings(
        paths[EMBEDDINGS], ids, embeddings, encoder_id=encoder_id, encoder_name=encoder_name
    )
    for path in paths.values():
        sync(path)
    return {part: FileRecord.of(path, folder) for part, path in paths.items()}


def write_mapped(path: Path, performances: pa.Table) -> None:
    """Write metadata as an Arrow file without compression, which is mapped as it is."""
    with (
        naming(path),
        path.open("wb") as file,
        pa.ipc.new_file(file, performances.schema) as writer,
    ):
        writer.write_table(performances.combine_chunks())


def write_vectors(path: Path, index: Any) -> None:
    """Write a FAISS index through Python's files, which report a full disk.

    FAISS's own writer leaves the last block to a ``fclose`` whose failure it does not pass on.
    """
    failures: list[OSError] = []
    with naming(path), path.open("wb") as file:

        def write(block: bytes) -> int:
            try:
                return file.write(block)
            except OSError as error:
                failures.append(error)
                return 0

        try:
            faiss.write_index(index, faiss.PyCallbackIOWriter(write))
        except RuntimeError:
            if not failures:
                raise
        if failures:  # FAISS may go on after a block that was not written
            raise failures[0]


def encoder_metadata(encoder_id: str, encoder_name: str | None) -> dict[bytes, bytes]:
    """Say in the schema metadata of a file of embeddings who made them."""
    metadata = {ENCODER_ID_KEY: encoder_id.encode()}
    if encoder_name is not None:
        metadata[ENCODER_NAME_KEY] = encoder_name.encode()
    return metadata


def write_embeddings(
    path: Path,
    performance_ids: Any,
    embeddings: NDArray[np.float32],
    *,
    encoder_id: str,
    encoder_name: str | None = None,
) -> None:
    """Write embeddings as Parquet: performance id, fixed-size list of float32, encoder.

    Parameters
    ----------
    path : Path
        The file.
    performance_ids : Arrow array of string, shape (n,)
        In the order of the rows.
    embeddings : ndarray, shape (n, dimension), float32
    encoder_id : str
        Goes into the schema metadata under ``coverdex.encoder_id``.
    encoder_name : str, optional
        The name under which that encoder can be loaded; ``coverdex.encoder_name`` there.
    """
    dimension = embeddings.shape[1]
    schema = pa.schema(
        [
            pa.field(PERFORMANCE_ID, pa.string(), nullable=False),
            pa.field(
                EMBEDDING,
                pa.list_(pa.field("item", pa.float32(), nullable=False), dimension),
                nullable=False,
            ),
        ],
        metadata=encoder_metadata(encoder_id, encoder_name),
    )
    # Unit vectors do not compress, and a dictionary of floats only grows.
    options = {"compression": "none", "use_dictionary": [PERFORMANCE_ID]}
    with naming(path), pq.ParquetWriter(path, schema, **options) as writer:
        for start in range(0, len(embeddings), ROW_GROUP):
            block = np.ascontiguousarray(embeddings[start : start + ROW_GROUP])
            values = pa.FixedSizeListArray.from_arrays(
                pa.array(block.reshape(-1)), type=schema.field(EMBEDDING).type
            )
            ids = performance_ids.slice(start, len(block))
            if isinstance(ids, pa.ChunkedArray):
                ids = ids.combine_chunks()
            writer.write_table(pa.table([ids, values], schema=schema), row_group_size=ROW_GROUP)
