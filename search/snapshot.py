"""A snapshot: one generation's files and the changes made since, as one consistent whole.

It never changes, so any number of threads may search it while the next one is made. Rows are
numbered through: first those of the files, then those that were added since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .candidate import Candidate, RowMetadata
from .changes import Added, Change
from .filters import Condition, allowed
from .generation import DESCRIBED, Generation
from .performances import PERFORMANCE_ID
from .vectors import Selection, nearest_exactly

#: Embeddings asked for at once from which all are read into memory.
MANY = 32
#: Numbers that are gathered at once when similarities are computed again: 64 MB.
_GATHER = 1 << 24


class Restriction:
    """What a search may find: a selection of the files' rows, a mask of the added ones."""

    def __init__(self, stored: Selection, added: NDArray[np.bool_]) -> None:
        self.stored = stored
        self.added = added


class Snapshot:
    """See the module.

    Parameters
    ----------
    generation : Generation
        The files.
    added : Added
        What came since.
    removed : frozenset of int
        Rows of the files that went since, by removal or replacement.
    """

    def __init__(self, generation: Generation, added: Added, removed: frozenset[int]) -> None:
        self.generation = generation
        self.added = added
        self.removed = removed
        self._n_stored = generation.count

    @classmethod
    def of(cls, generation: Generation) -> Snapshot:
        """Start from a generation without changes."""
        return cls(generation, Added.nothing(generation.manifest.dimension), frozenset())

    def after(self, changes: list[Change]) -> Snapshot:
        """Apply changes in their order."""
        names = {name for change in changes for name in change.performance_ids}
        rows = self.generation.find_many(sorted(names))
        return Snapshot(
            self.generation,
            self.added.after(changes),
            self.removed.union(rows[rows >= 0].tolist()),
        )

    @property
    def count(self) -> int:
        """Number of performances."""
        return self._n_stored - len(self.removed) + self.added.n_alive

    def find(self, performance_id: str) -> int | None:
        """Return the row of a performance; None if there is none."""
        row = self.added.position.get(performance_id)
        if row is not None:
            return self._n_stored + row
        stored = self.generation.find(performance_id)
        return None if stored in self.removed else stored

    def find_many(self, performance_ids: Sequence[str]) -> list[int | None]:
        """Return the rows of many performances, None for each that is absent."""
        stored = self.generation.find_many(performance_ids).tolist()
        position = self.added.position
        return [
            self._n_stored + position[name]
            if name in position
            else (row if row >= 0 and row not in self.removed else None)
            for name, row in zip(performance_ids, stored, strict=True)
        ]

    def embedding(self, row: int) -> NDArray[np.float32]:
        """Return the embedding of one row, shape (dimension,), float32."""
        if row < self._n_stored:
            return self.generation.embedding(row)
        added: NDArray[np.float32] = self.added.matrix[row - self._n_stored].copy()
        return added

    def embeddings_of(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """Return the embeddings of some rows, shape (n_rows, dimension), float32."""
        if len(rows) > MANY:
            _ = self.generation.embeddings  # one reading of all beats many readings of a part
        return np.stack([self.embedding(row) for row in rows])

    def metadata(self, row: int) -> Mapping[str, Any]:
        """Return all columns of one row, by name."""
        if row < self._n_stored:
            return RowMetadata(self.generation.performances, row)
        return self.added.records[row - self._n_stored]

    @cached_property
    def performances(self) -> pa.Table:
        """Metadata of all performances, sorted by id."""
        stored = self.generation.performances
        if not self.is_changed:
            return stored
        alive = self._added_table.filter(pa.array(self.added.alive))
        return pa.concat_tables([stored.take(self._kept), alive]).take(self._order).combine_chunks()

    @cached_property
    def embeddings(self) -> NDArray[np.float32]:
        """All embeddings in the order of :attr:`performances`, shape (count, dimension)."""
        stored = self.generation.embeddings
        if not self.is_changed:
            return stored
        together = np.concatenate([stored[self._kept], self.added.matrix[self.added.alive]])
        ordered: NDArray[np.float32] = together[self._order]
        ordered.flags.writeable = False
        return ordered

    def restriction(
        self, conditions: Sequence[Condition], excluded_works: Sequence[str]
    ) -> Restriction | None:
        """Compile a filter and works to leave out; None if everything may be found."""
        if not conditions and not excluded_works:
            return None
        stored = self._mask(self.generation.performances, conditions, excluded_works)
        if self.removed:
            stored[list(self.removed)] = False
        added = self.added.alive
        if len(added):
            added = added & self._mask(self._added_table, conditions, excluded_works)
        return Restriction(Selection(stored), added)

    def nearest(
        self,
        queries: NDArray[np.float32],
        limit: int,
        restriction: Restriction | None = None,
        *,
        exact: bool = False,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        """Find the rows nearest to each query, in no final order; -1 where there are no more.

        Similarities are computed again from the float32 vectors where those are in memory, by one
        formula for every way of asking, so that a batch gives the same numbers as its queries.

        Returns
        -------
        similarities : ndarray, shape (n_queries, n_found), float32
        rows : ndarray, shape (n_queries, n_found), int64
            Removed ones among them.
        beyond : ndarray, shape (n_queries,), float32
            No row that is not among them is more similar than this; ``-inf`` if there is none.
        """
        stored = self._nearest_stored(queries, limit, restriction, exact)
        if not len(self.added.records):
            return stored
        added = self._nearest_added(queries, limit, restriction)
        return (
            np.concatenate([stored[0], added[0]], axis=1),
            np.concatenate([stored[1], added[1]], axis=1),
            np.maximum(stored[2], added[2]),
        )

    def candidates(self, similarities: Sequence[float], rows: Sequence[int]) -> list[Candidate]:
        """Describe ranked rows."""
        ids, works, titles, artists = self.generation.described
        text = type(ids) is list
        table = self.generation.performances
        described = []
        for rank, (similarity, row) in enumerate(zip(similarities, rows, strict=True), 1):
            if row >= self._n_stored:
                record = self.added.records[row - self._n_stored]
                values = [record[name] for name in DESCRIBED]
                metadata: Mapping[str, Any] = record
            else:
                values = [ids[row], works[row], titles[row], artists[row]]
                if not text:
                    values = [value.as_py() for value in values]
                metadata = RowMetadata(table, row)
            name, work, title, artist = values
            described.append(Candidate(rank, similarity, name, work, title, artist, metadata))
        return described

    def performance_id(self, row: int) -> str:
        """Return the id of a row."""
        if row >= self._n_stored:
            return str(self.added.records[row - self._n_stored][PERFORMANCE_ID])
        return str(self.generation.described[0][row])

    def work_id(self, row: int) -> str | None:
        """Return the work of a row; None where the catalogue does not say."""
        if row >= self._n_stored:
            work: str | None = self.added.records[row - self._n_stored]["work_id"]
            return work
        found = self.generation.described[1][row]
        return found if found is None or type(found) is str else found.as_py()

    @property
    def is_changed(self) -> bool:
        """Whether it differs from what the files hold."""
        return bool(self.removed) or self.added.n_alive > 0

    @cached_property
    def _added_table(self) -> pa.Table:
        """Metadata of the added rows, dead ones too."""
        schema = self.generation.performances.schema
        return pa.Table.from_pylist([dict(record) for record in self.added.records], schema=schema)

    @cached_property
    def _kept(self) -> NDArray[np.int64]:
        """Rows of the files that are still there."""
        kept = np.ones(self._n_stored, np.bool_)
        kept[list(self.removed)] = False
        return np.flatnonzero(kept)

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        """How the kept rows and then the added ones are sorted by id."""
        names = self._added_table.column(PERFORMANCE_ID).filter(pa.array(self.added.alive))
        kept = self.generation.performances.column(PERFORMANCE_ID).take(self._kept)
        together = pa.chunked_array([*kept.chunks, *names.chunks], type=pa.string())
        order: NDArray[np.int64] = pc.sort_indices(together).to_numpy().astype(np.int64)
        return order

    def _mask(
        self, table: pa.Table, conditions: Sequence[Condition], excluded_works: Sequence[str]
    ) -> NDArray[np.bool_]:
        mask = allowed(table, conditions)
        if excluded_works:
            works = pc.is_in(table.column("work_id"), value_set=pa.array(excluded_works))
            mask &= ~works.to_numpy()
        return mask

    def _nearest_stored(
        self,
        queries: NDArray[np.float32],
        limit: int,
        restriction: Restriction | None,
        exact: bool,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        selection = None if restriction is None else restriction.stored
        available = self._n_stored if selection is None else selection.n_rows
        limit = min(limit, available)
        if not limit:
            return _nothing(len(queries))
        vectors = self.generation.vectors
        if exact and vectors.exact is None:
            matrix = self.generation.embeddings
            similarities, rows = nearest_exactly(matrix, queries, limit, selection)
            similarities = _similarities(matrix, rows, queries)
        else:
            similarities, rows = vectors.search(queries, limit, selection)
            if vectors.exact is not None:
                similarities = _similarities(vectors.exact, rows, queries)
        if limit == available:
            return similarities, rows, np.full(len(queries), -np.inf, np.float32)
        beyond = similarities[:, -1].copy()
        beyond[rows[:, -1] < 0] = -np.inf
        return similarities, rows, beyond

    def _nearest_added(
        self, queries: NDArray[np.float32], limit: int, restriction: Restriction | None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
        rows = np.flatnonzero(self.added.alive if restriction is None else restriction.added)
        limit = min(limit, len(rows))
        if not limit:
            return _nothing(len(queries))
        all_added = np.arange(len(self.added.records))
        selection = None if len(rows) == len(all_added) else Selection(np.isin(all_added, rows))
        matrix = self.added.matrix
        _, found = nearest_exactly(matrix, queries, limit, selection)
        similarities = _similarities(matrix, found, queries)
        beyond = similarities.min(axis=1) if limit < len(rows) else np.full(len(queries), -np.inf)
        return similarities, found + self._n_stored, beyond.astype(np.float32)


def _nothing(
    n_queries: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    return (
        np.empty((n_queries, 0), np.float32),
        np.empty((n_queries, 0), np.int64),
        np.full(n_queries, -np.inf, np.float32),
    )


def _similarities(
    matrix: NDArray[np.float32], rows: NDArray[np.int64], queries: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Compute inner products of queries and rows, shape (n_queries, n_rows), float32.

    `einsum` sums each product by itself along the contiguous axis, so the result does not depend
    on what is computed beside it; a matrix product's does.
    """
    if rows.size * matrix.shape[1] <= _GATHER:
        return np.asarray(np.einsum("qkd,qd->qk", matrix[rows], queries))
    block = max(1, _GATHER // (rows.shape[1] * matrix.shape[1]))
    parts = [
        np.einsum("qkd,qd->qk", matrix[rows[start : start + block]], queries[start : start + block])
        for start in range(0, len(queries), block)
    ]
    return np.concatenate(parts)
