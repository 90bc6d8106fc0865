"""A candidate: one ranked answer to a query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from .rows import RowMetadata, Rows


class Candidate:
    """One performance that an index holds near a query; read-only.

    A search makes candidates by the dozen and its caller may look at few of them, so all but rank
    and similarity is read from the index when it is looked at.

    Parameters
    ----------
    rank : int
        From 1, the most similar.
    similarity : float
        Inner product of the two embeddings, their cosine similarity: in [-1, 1] but for rounding,
        larger is closer.
    rows : Rows
        What the index says about its performances.
    row : int
        Which of them this is.
    """

    __slots__ = ("_rank", "_row", "_rows", "_similarity")

    def __init__(self, rank: int, similarity: float, rows: Rows, row: int) -> None:
        self._rank = rank
        self._similarity = similarity
        self._rows = rows
        self._row = row

    @property
    def rank(self) -> int:
        """From 1, the most similar."""
        return self._rank

    @property
    def similarity(self) -> float:
        """Inner product of the two embeddings, in [-1, 1] but for rounding; larger is closer."""
        return self._similarity

    @property
    def performance_id(self) -> str:
        """Such as ``"P_22"``."""
        return self._rows.performance_id(self._row)

    @property
    def work_id(self) -> str | None:
        """Such as ``"W_14"``; None where the catalogue does not say."""
        return self._rows.work_id(self._row)

    @property
    def title(self) -> str | None:
        """Title of the performance; None where the catalogue does not say."""
        title: str | None = self._rows.value(self._row, "title")
        return title

    @property
    def artist(self) -> str | None:
        """Who performs it; None where the catalogue does not say."""
        artist: str | None = self._rows.value(self._row, "artist")
        return artist

    @property
    def metadata(self) -> Mapping[str, Any]:
        """All columns of the index for this performance, by name."""
        return RowMetadata(self._rows, self._row)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Candidate):
            return NotImplemented
        same_place = self._rank == other._rank and self._similarity == other._similarity
        return same_place and self.metadata == other.metadata

    __hash__ = None  # type: ignore[assignment]  # metadata holds lists and the like

    def __repr__(self) -> str:
        return (
            f"Candidate(rank={self.rank}, similarity={self.similarity!r}, "
            f"performance_id={self.performance_id!r}, work_id={self.work_id!r}, "
            f"title={self.title!r}, artist={self.artist!r})"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _alone, (self._rank, self._similarity, dict(self.metadata))


def _alone(rank: int, similarity: float, record: Mapping[str, Any]) -> Candidate:
    """Make a candidate that was sent to another process, with its own metadata and no more."""
    nothing = pa.table({name: pa.nulls(0) for name in record})
    return Candidate(rank, similarity, Rows(nothing, [record]), 0)
