"""Where a query's covers come in the ranking, found by counting and not by sorting.

The rank of a cover is one more than the number of candidates that are closer to the query. A query
of Da-TACOS has 12 covers among 14,999 candidates: counting the candidates above and at each of 12
similarities reads the row 24 times, in order, where sorting it moves every element many times.
Where a work has so many performances that counting would take longer, the row is sorted after all.
Nothing is cut off: every candidate is counted.

The rules of the evaluation live here:

* a query is a performance whose work has at least two performances;
* its candidates are all other performances, those of works without covers ("noise") included; the
  query itself is taken out by its position, not by being the closest;
* covers are the other performances of its work, all that exist.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..search.given import plain
from .similarity import InvalidSimilarityError, SimilaritySource
from .ties import TieGroups

#: Bytes of similarities held at a time; a block of float64 products beside it is twice that.
BLOCK_BYTES = 8 * 2**20
#: Different similarities of covers from which on sorting a row is quicker than counting in it.
SORTED_FROM = 24


@dataclass(frozen=True, eq=False)
class Cliques:
    """Which performances belong to one work.

    Parameters
    ----------
    members : list of arrays
        Positions of the performances of each work, ascending, works in order of appearance.
    work_of : array, shape (n,)
        Position in ``members`` of each performance's work.
    labels : list of hashables or None
        Name of each work of ``members``; None, "" or NaN where it is unknown.
    """

    members: list[NDArray[np.int64]]
    work_of: NDArray[np.int64]
    labels: list[Hashable | None] = field(default_factory=list)

    @classmethod
    def of(cls, works: Sequence[Hashable | None]) -> Cliques:
        """Group performances by their work; None, blank or NaN is a work of its own (unknown)."""
        works = plain(works)  # of Arrow: its nulls are no None, and all equal to each other
        position: dict[Hashable, int] = {}
        members: list[list[int]] = []
        labels: list[Hashable | None] = []
        work_of = np.empty(len(works), dtype=np.int64)
        for performance, work in enumerate(map(decoded, works)):
            unknown = _is_unknown(work)
            at = len(members) if unknown else position.setdefault(work, len(members))
            if at == len(members):
                members.append([])
                labels.append(work)
            members[at].append(performance)
            work_of[performance] = at
        return cls([np.array(m, dtype=np.int64) for m in members], work_of, labels)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Performances of each work, shape (n_works,)."""
        return np.array([m.size for m in self.members], dtype=np.int64)

    @property
    def queries(self) -> NDArray[np.int64]:
        """Positions of the performances that have covers, ascending."""
        return np.flatnonzero(self.sizes[self.work_of] > 1) if self.members else self.work_of


def decoded(one: Any) -> Any:
    """Give the text of an id in bytes, as HDF5 and arrays of NumPy hold it; others as they are."""
    return one.decode("utf-8", "replace") if isinstance(one, bytes) else one


def _is_unknown(work: Any) -> bool:
    if work is None or isinstance(work, str):
        return work is None or not work.strip()
    try:
        # A table of pandas has NaN where a work is missing; it is not even equal to itself.
        return bool(work != work)
    except TypeError:
        return True  # or NA, of which nothing is true or false


def cover_ranks(
    source: SimilaritySource,
    cliques: Cliques,
    *,
    block_bytes: int = BLOCK_BYTES,
    progress: Callable[[int], None] | None = None,
) -> TieGroups:
    """Find the tie groups of all covers of all queries.

    Parameters
    ----------
    source : SimilaritySource
        Rows of similarities, n performances.
    cliques : Cliques
        The works of the same n performances.
    block_bytes : int
        Similarities held at a time, in bytes of float32.
    progress : callable, optional
        Called with the number of queries just finished.

    Returns
    -------
    TieGroups
        ``query`` counts along ``cliques.queries``.
    """
    if source.n != cliques.work_of.size:
        raise InvalidSimilarityError(
            f"there are similarities for {source.n} performances and works for "
            f"{cliques.work_of.size}; give one work per performance, in the same order"
        )
    queries = cliques.queries
    step = max(1, block_bytes // (4 * max(1, source.n)))
    found: list[NDArray[np.int64]] = []
    for start in range(0, queries.size, step):
        chunk = queries[start : start + step]
        block = source.rows(chunk)
        for offset, (query, row) in enumerate(zip(chunk, block, strict=True)):
            members = cliques.members[cliques.work_of[query]]
            found.append(_groups_of(row, int(query), members[members != query], start + offset))
        if progress is not None:
            progress(chunk.size)
    table = np.concatenate(found) if found else np.empty((0, 4), dtype=np.int64)
    query, ahead, size, covers = np.ascontiguousarray(table.T)
    return TieGroups(query=query, ahead=ahead, size=size, covers=covers)


def _groups_of(
    row: NDArray[Any], query: int, covers: NDArray[np.int64], number: int
) -> NDArray[np.int64]:
    """Give (number, ahead, size, covers) of each group with covers, closest first."""
    levels, n_covers = np.unique(row[covers], return_counts=True)
    own = row[query]
    groups = np.empty((levels.size, 4), dtype=np.int64)
    groups[:, 0] = number
    groups[:, 3] = n_covers
    if levels.size >= SORTED_FROM:
        others = np.sort(np.delete(row, query))
        up_to = np.searchsorted(others, levels, "right")
        groups[:, 1] = others.size - up_to
        groups[:, 2] = up_to - np.searchsorted(others, levels, "left")
        return groups[::-1]
    for at, level in enumerate(levels):
        groups[at, 1] = np.count_nonzero(row > level) - int(own > level)
        groups[at, 2] = np.count_nonzero(row == level) - int(own == level)
    return groups[::-1]
