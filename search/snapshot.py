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

from .changes import Added, Change
from .filters import Condition, allowed
from .generation import Generation
from .nearest import Found, Restriction, nearest_added, nearest_stored, together
from .performances import PERFORMANCE_ID
from .row_order import in_order
from .rows import RowMetadata, Rows
from .selection import Selection
from .vectors import Vectors

#: Embeddings that are put in order at a time: all at once would be copied three times.
TOGETHER = 65_536


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
        self.dimension = generation.manifest.dimension
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

    @cached_property
    def plain_vectors(self) -> Vectors | None:
        """The vectors, if one flat index holds all there is."""
        vectors = self.generation.vectors
        return None if self.is_changed or vectors.exact is None else vectors

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

    def known_rows(self, performance_ids: Sequence[str]) -> frozenset[int]:
        """Return the rows of those performances that there are."""
        return frozenset(row for row in self.find_many(performance_ids) if row is not None)

    def embedding(self, row: int) -> NDArray[np.float32]:
        """Return the embedding of one row, shape (dimension,), float32."""
        if row < self._n_stored:
            return self.generation.embedding(row)
        added: NDArray[np.float32] = self.added.matrix[row - self._n_stored].copy()
        return added

    def embeddings_of(self, rows: Sequence[int]) -> NDArray[np.float32]:
        """Return the embeddings of some rows, shape (n_rows, dimension), float32."""
        wanted = np.asarray(rows, np.int64)
        if not self.added.records:
            return self.generation.embeddings_of(wanted)
        is_stored = wanted < self._n_stored
        found = np.empty((len(wanted), self.dimension), np.float32)
        found[is_stored] = self.generation.embeddings_of(wanted[is_stored])
        found[~is_stored] = self.added.matrix[wanted[~is_stored] - self._n_stored]
        return found

    def metadata(self, row: int) -> Mapping[str, Any]:
        """Return all columns of one row, by name."""
        return RowMetadata(self.rows, row)

    @cached_property
    def performances(self) -> pa.Table:
        """Metadata of all performances, sorted by id."""
        return self.columns(self.generation.performances.column_names)

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Return some columns of :attr:`performances`; the others are not made for it."""
        stored = self.generation.performances.select(names)
        if not self.is_changed:
            return stored
        alive = self._added_table.select(names).filter(pa.array(self.added.alive))
        return in_order(pa.concat_tables([stored, alive]), self._sources).combine_chunks()

    @cached_property
    def embeddings(self) -> NDArray[np.float32]:
        """All embeddings in the order of :attr:`performances`, shape (count, dimension)."""
        stored = self.generation.embeddings
        if not self.is_changed:
            return stored
        added = self.added.matrix[self.added.alive]
        ordered = np.empty((self.count, self.dimension), np.float32)
        for start in range(0, len(ordered), TOGETHER):
            sources = self._sources[start : start + TOGETHER]
            is_stored = sources < self._n_stored
            block = ordered[start : start + TOGETHER]
            block[is_stored] = stored[sources[is_stored]]
            block[~is_stored] = added[sources[~is_stored] - self._n_stored]
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
    ) -> Found:
        """Find the rows nearest to each query; removed ones are among them.

        Parameters
        ----------
        queries : ndarray, shape (n_queries, dimension), float32, C-contiguous
        limit : int
            How many of the files' rows, and of the added ones, at most.
        restriction : Restriction, optional
            What may be found.
        exact : bool, default False
            Compare with every embedding in float32.
        """
        selection, mask = (None, None) if restriction is None else restriction
        stored = nearest_stored(self.generation, queries, limit, selection, exact=exact)
        if not self.added.records:
            return stored
        return together(stored, nearest_added(self.added, queries, limit, mask), self._n_stored)

    @cached_property
    def rows(self) -> Rows:
        """The metadata of all rows, by their numbers."""
        return Rows(self.generation.performances, self.added.records)

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
    def _sources(self) -> NDArray[np.int64]:
        """Rows by id: those of the files that are kept, and behind all of these the added ones."""
        names = self._added_table.column(PERFORMANCE_ID).filter(pa.array(self.added.alive))
        kept = self.generation.performances.column(PERFORMANCE_ID).take(self._kept)
        together = pa.chunked_array([*kept.chunks, *names.chunks], type=pa.string())
        order = pc.sort_indices(together).to_numpy().astype(np.int64)
        added = np.arange(self._n_stored, self._n_stored + len(names))
        sources: NDArray[np.int64] = np.concatenate([self._kept, added])[order]
        return sources

    def _mask(
        self, table: pa.Table, conditions: Sequence[Condition], excluded_works: Sequence[str]
    ) -> NDArray[np.bool_]:
        mask = allowed(table, conditions)
        if excluded_works:
            works = pc.is_in(table.column("work_id"), value_set=pa.array(excluded_works))
            mask &= ~works.to_numpy()
        return mask
