"""One generation of an index: a set of files that belong together and never change.

Its parts are opened together, so that a reader that has one keeps it: the files stay readable after
another generation takes their place, because they are open.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from .errors import IndexFormatError
from .locks import mark_as_read
from .manifest import EMBEDDINGS, MAPPED, PERFORMANCES, VECTORS, Manifest
from .parts import EMBEDDING, ENCODER_ID_KEY
from .performances import PERFORMANCE_ID, row_of, rows_of
from .vectors import Vectors

#: Opening starts over this often when the index is replaced meanwhile.
ATTEMPTS = 20
#: Embeddings asked for at once from which all may be read into memory.
MANY = 32


class Generation:
    """The files of one generation, open; made by :meth:`open`.

    Rows are numbered from 0 in the order of performance ids.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        vectors: Vectors,
        files: Mapping[str, Any],
        mapped: pa.Table | None = None,
    ) -> None:
        self.folder = folder
        self.manifest = manifest
        self.vectors = vectors
        self._files = files
        self._mapped = mapped

    @classmethod
    def open(cls, folder: Path, *, mmap: bool = True) -> Generation:
        """Open the current generation of the index in ``folder``; see ``Index.open``."""
        for _ in range(ATTEMPTS):
            manifest = Manifest.read(folder)
            try:
                opened = cls._open(folder, manifest, mmap=mmap)
            except (OSError, IndexFormatError):
                if Manifest.read(folder) == manifest:
                    raise
                continue  # replaced while its parts were opened
            if Manifest.read(folder) == manifest:
                return opened
        raise IndexFormatError(f"{folder} is replaced again and again while it is opened")

    @classmethod
    def _open(cls, folder: Path, manifest: Manifest, *, mmap: bool) -> Generation:
        files: dict[str, Any] = {}
        parts = [VECTORS, PERFORMANCES, EMBEDDINGS]
        if mmap and _is_mapped(manifest):
            parts.append(MAPPED)
        for part in parts:
            record = manifest.files[part]
            path = folder / record.path
            try:
                # Arrow's own files are read at a place that each reading names. Python's have one
                # place for all threads, and for processes that were forked.
                is_table = part in (PERFORMANCES, EMBEDDINGS)
                files[part] = pa.OSFile(os.fsencode(path)) if is_table else path.open("rb")
            except FileNotFoundError:
                raise IndexFormatError(f"{path} is missing; restore or rebuild it") from None
            size = path.stat().st_size
            if size != record.size:
                raise IndexFormatError(
                    f"{path} has {size} bytes where the manifest says {record.size}; it was "
                    "truncated or replaced: restore it or build the index again"
                )
        mark_as_read(files[VECTORS])
        path = folder / manifest.files[VECTORS].path
        vectors = Vectors.open(path, manifest.search_parameters, mmap=mmap)
        mapped = _mapped_table(folder / manifest.files[MAPPED].path) if MAPPED in parts else None
        generation = cls(folder, manifest, vectors, files, mapped)
        generation._check_agreement()
        return generation

    @property
    def count(self) -> int:
        """Number of performances."""
        return self.manifest.count

    @cached_property
    def performances(self) -> pa.Table:
        """Metadata of all performances; mapped where there is a file for it."""
        return self.read_performances() if self._mapped is None else self._mapped

    def read_performances(self) -> pa.Table:
        """Read the metadata from ``performances.parquet``."""
        return self._parquet(PERFORMANCES).read().combine_chunks()

    @cached_property
    def performance_ids(self) -> Any:
        """Arrow array of the sorted performance ids."""
        column = self.performances.column(PERFORMANCE_ID)
        return column.chunk(0) if column.num_chunks == 1 else column

    @cached_property
    def embeddings(self) -> NDArray[np.float32]:
        """All embeddings, shape (count, dimension), float32, read-only."""
        if self.vectors.exact is not None:
            return self.vectors.exact
        return self.stored_embeddings()

    def read_embeddings(self, columns: list[str]) -> pa.Table:
        """Read columns of ``embeddings.parquet``."""
        return self._parquet(EMBEDDINGS).read(columns)

    def stored_embeddings(self) -> NDArray[np.float32]:
        """Read the embeddings from ``embeddings.parquet``, shape (count, dimension), float32."""
        file = self._parquet(EMBEDDINGS)
        matrix = np.empty((self.count, self.manifest.dimension), np.float32)
        start = 0
        for group in range(file.num_row_groups):  # at once, Arrow's copies take four times as much
            block = self._row_group(file, group)
            matrix[start : start + len(block)] = block
            start += len(block)
        matrix.flags.writeable = False
        return matrix

    def embedding(self, row: int) -> NDArray[np.float32]:
        """Return the embedding of one row, shape (dimension,), float32."""
        vector: NDArray[np.float32] = self.embeddings_of(np.array([row]))[0]
        return vector

    def embeddings_of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the embeddings of some rows, shape (n_rows, dimension), float32.

        Where they are not in memory, the row groups that hold them are read, or, where that is most
        of the file for many rows, all of it to be kept: the next ones will want as much.
        """
        if self.vectors.exact is None and "embeddings" not in self.__dict__:
            file = self._parquet(EMBEDDINGS)
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            ends = np.cumsum(sizes)
            groups = np.searchsorted(ends, rows, side="right")
            wanted = np.unique(groups)
            if len(rows) <= MANY or 2 * len(wanted) <= len(sizes):
                found = np.empty((len(rows), self.manifest.dimension), np.float32)
                for group in wanted:
                    is_here = groups == group
                    first = ends[group] - sizes[group]
                    found[is_here] = self._row_group(file, int(group))[rows[is_here] - first]
                return found
        some: NDArray[np.float32] = self.embeddings[rows]
        return some

    def find(self, performance_id: str) -> int | None:
        """Return the row of a performance; None if there is none."""
        return row_of(self.performance_ids, performance_id)

    def find_many(self, performance_ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the rows of many performances, -1 for each that is absent."""
        return rows_of(self.performance_ids, performance_ids)

    def _row_group(self, file: Any, group: int) -> NDArray[np.float32]:
        column = file.read_row_group(group, [EMBEDDING]).column(EMBEDDING)
        # `to_numpy` would load pandas where it is installed, a second at the first query.
        values = [np.from_dlpack(chunk.flatten()) for chunk in column.chunks]
        block: NDArray[np.float32] = np.concatenate(values).reshape(-1, self.manifest.dimension)
        return block

    def _parquet(self, part: str) -> Any:
        try:
            return pq.ParquetFile(self._files[part])
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # last: a damaged name
            path = self.folder / self.manifest.files[part].path
            raise IndexFormatError(f"{path} is not readable as Parquet: {error}") from None

    def _check_agreement(self) -> None:
        manifest, performances, embeddings = (
            self.manifest,
            self._parquet(PERFORMANCES),
            self._parquet(EMBEDDINGS),
        )
        counts = {
            "the manifest": manifest.count,
            manifest.files[VECTORS].path: self.vectors.count,
            manifest.files[PERFORMANCES].path: performances.metadata.num_rows,
            manifest.files[EMBEDDINGS].path: embeddings.metadata.num_rows,
        }
        if self._mapped is not None:
            counts[manifest.files[MAPPED].path] = self._mapped.num_rows
            _check_columns(self._mapped, performances, self.folder / manifest.files[MAPPED].path)
        if len(set(counts.values())) > 1:
            found = ", ".join(f"{where} has {count}" for where, count in counts.items())
            raise IndexFormatError(f"the parts of {self.folder} disagree in number: {found}")
        if self.vectors.dimension != manifest.dimension:
            raise IndexFormatError(
                f"the parts of {self.folder} disagree: vectors of dimension "
                f"{self.vectors.dimension}, the manifest says {manifest.dimension}"
            )
        encoder = (
            (embeddings.schema_arrow.metadata or {})
            .get(ENCODER_ID_KEY, b"")
            .decode(errors="replace")
        )
        if encoder != manifest.encoder_id:
            raise IndexFormatError(
                f"the parts of {self.folder} disagree: embeddings of encoder "
                f"{encoder or 'unknown'}, the manifest says {manifest.encoder_id}"
            )


def _is_mapped(manifest: Manifest) -> bool:
    """Say whether there is metadata to map, of this generation and not of an earlier one.

    A release that does not know the file leaves its record as it was when it compacts.
    """
    record = manifest.files.get(MAPPED)
    described = manifest.files[PERFORMANCES].path
    return record is not None and Path(record.path).parent == Path(described).parent


def _check_columns(mapped: pa.Table, performances: pq.ParquetFile, path: Path) -> None:
    """Compare names, which a flipped bit changes: no more of the file is read at opening."""
    try:
        alike = mapped.column_names == performances.schema_arrow.names
    except UnicodeDecodeError:
        alike = False
    if not alike:
        raise IndexFormatError(
            f"{path} is damaged, or the Parquet file beside it: their columns differ; restore the "
            "index from a copy or rebuild it"
        )


def _mapped_table(path: Path) -> pa.Table:
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (pa.ArrowException, OSError) as error:
        raise IndexFormatError(f"{path} is not readable as an Arrow file: {error}") from None
