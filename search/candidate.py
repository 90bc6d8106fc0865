"""A candidate: one ranked answer to a query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Candidate:
    """One performance that an index holds near a query.

    Parameters
    ----------
    rank : int
        From 1, the most similar.
    similarity : float
        Inner product of the two embeddings, their cosine similarity: in [-1, 1], larger is closer.
    performance_id : str
        Such as ``"P_22"``.
    work_id : str or None
        Such as ``"W_14"``; None where the catalogue does not say.
    title, artist : str or None
        Of the performance.
    metadata : mapping
        All columns of the index for this performance, by name; read when first asked for.
    """

    rank: int
    similarity: float
    performance_id: str
    work_id: str | None
    title: str | None
    artist: str | None
    metadata: Mapping[str, Any]


class RowMetadata(Mapping[str, Any]):
    """One row of an Arrow table as a read-only mapping from column name to value.

    Most callers look at no more than a candidate's own fields, so nothing is read before it is
    asked for.
    """

    __slots__ = ("_row", "_table")

    def __init__(self, table: Any, row: int) -> None:
        self._table = table
        self._row = row

    def __getitem__(self, name: str) -> Any:
        if name not in self._table.column_names:
            raise KeyError(name)
        return self._table.column(name)[self._row].as_py()

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.column_names)

    def __len__(self) -> int:
        return int(self._table.num_columns)

    def __repr__(self) -> str:
        return repr(dict(self))
