"""Answering: asking for nearest rows until the ranking is final, and describing them.

FAISS is asked for some rows more than an answer needs. Where that was not enough, because equal
similarities lie on both sides of the cut or too much of what was found must not appear, it is asked
again for four times as many.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count, repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .candidate import Candidate
from .filters import as_conditions
from .nearest import Found, Restriction
from .queries import checked_limit, checked_names, is_usual_query
from .ranking import TIE, ranked, stand_as_found
from .snapshot import Snapshot

#: Rows asked of FAISS beyond the limit: the next one tells whether equal ones were cut off. Each
#: further one would be dear: on 15,000 vectors, six more took a tenth longer.
MARGIN = 1
#: The same where rows were removed since the files were written, some of which may be found.
MARGIN_FOR_REMOVED = 6
#: Queries of a batch that are answered together at most, and rows that are found for them together,
#: which bounds the memory of a long one, also where many rows must be asked for.
BATCH = 4_096
MOST_FOUND = 1 << 20
NO_ROWS: frozenset[int] = frozenset()


class Terms(NamedTuple):
    """What an answer must be like.

    Parameters
    ----------
    limit : int
        How many candidates at most.
    restriction : Restriction or None
        What may be found; everything if None.
    one_per_work : bool
        Give only the nearest performance of each work.
    exact : bool
        Compare with every embedding in float32.
    """

    limit: int
    restriction: Restriction | None
    one_per_work: bool
    exact: bool

    @classmethod
    def of(
        cls,
        now: Snapshot,
        limit: Any,
        where: Any,
        exclude_works: str | Iterable[str],
        one_per_work: bool,
        exact: bool,
    ) -> Terms:
        """Check and compile what ``Index.search`` was given.

        Raises
        ------
        InvalidQueryError
            When ``limit`` is below 1, or a condition names no column or a value of another type.
        """
        restriction = now.restriction(as_conditions(where), checked_names(exclude_works))
        return cls(checked_limit(limit), restriction, one_per_work, exact)


def plain_answer(now: Snapshot, vector: Any, limit: Any) -> list[Candidate] | None:
    """Answer one query without terms, the usual one, on a flat index that was not changed.

    It is the same answer that :func:`answers` gives. This short way is there because 15,000 vectors
    are searched in the time of some hundred of Python's function calls.

    Returns
    -------
    list of Candidate or None
        None where anything is not usual: the query is to be checked then, and answered, the long
        way.
    """
    vectors = now.plain_vectors
    if (
        vectors is None
        or type(limit) is not int
        or not 0 < limit < vectors.count
        or not is_usual_query(vector, now.dimension)
    ):
        return None
    similarities, rows = vectors.search_for_one(vector, limit + MARGIN)
    cut = similarities[limit - 1]
    if cut - similarities[limit] <= TIE or len(set(similarities)) < len(similarities):
        return None
    return list(map(Candidate, range(1, limit + 1), similarities, repeat(now.rows), rows))


def answer(
    now: Snapshot, query: NDArray[np.float32], terms: Terms, excluded: frozenset[int]
) -> list[Candidate]:
    """Answer one query, of shape (1, dimension), as :func:`answers` would among others."""
    ask = _first_ask(now, terms.limit + len(excluded))
    while True:
        found = now.nearest(query, ask, terms.restriction, exact=terms.exact)
        ranking = _ranked(
            now, terms, excluded, found.similarities[0], found.rows[0], found.beyond[0]
        )
        if ranking is not None:
            return _described(now, *ranking)
        ask *= 4


def answers(
    now: Snapshot,
    queries: NDArray[np.float32],
    terms: Terms,
    excluded: Sequence[frozenset[int]],
) -> list[list[Candidate]]:
    """Answer many queries.

    Parameters
    ----------
    now : Snapshot
        What is searched.
    queries : ndarray, shape (n_queries, dimension), float32, C-contiguous
    terms : Terms
    excluded : sequence of frozenset of int
        Rows that each query must not find.
    """
    answered: list[list[Candidate]] = [[] for _ in queries]
    open_queries = list(range(len(queries)))
    ask = _first_ask(now, terms.limit + max(map(len, excluded), default=0))
    while open_queries:
        still_open = []
        n_together = _answered_together(now, ask)
        for start in range(0, len(open_queries), n_together):
            batch = open_queries[start : start + n_together]
            asked = queries if len(batch) == len(queries) else queries[batch]
            found = now.nearest(asked, ask, terms.restriction, exact=terms.exact)
            usual = _usual_rankings(now, terms, found, [excluded[query] for query in batch])
            for place, query in enumerate(batch):
                ranking = usual[place] or _ranked(
                    now,
                    terms,
                    excluded[query],
                    found.similarities[place],
                    found.rows[place],
                    found.beyond[place],
                )
                if ranking is None:
                    still_open.append(query)
                else:
                    answered[query] = _described(now, *ranking)
        open_queries = still_open
        ask *= 4
    return answered


def _first_ask(now: Snapshot, needed: int) -> int:
    return needed + (MARGIN_FOR_REMOVED if now.removed else MARGIN)


def _answered_together(now: Snapshot, ask: int) -> int:
    """Say of how many queries to ask so many rows at once."""
    n_rows = now.generation.count + len(now.added.records)
    return max(1, min(BATCH, MOST_FOUND // max(1, min(ask, n_rows))))


def _usual_rankings(
    now: Snapshot, terms: Terms, found: Found, excluded: Sequence[frozenset[int]]
) -> list[tuple[list[float], list[int]] | None]:
    """Rank those of a batch whose answers are the first rows found; None for the others."""
    if now.removed or terms.one_per_work or any(excluded):
        return [None] * len(excluded)
    stands = stand_as_found(*found, terms.limit)
    similarities = found.similarities[:, : terms.limit].tolist()
    rows = found.rows[:, : terms.limit].tolist()
    return [
        (near, found_rows) if is_usual else None
        for near, found_rows, is_usual in zip(similarities, rows, stands.tolist(), strict=True)
    ]


def _ranked(
    now: Snapshot,
    terms: Terms,
    excluded: frozenset[int],
    similarities: NDArray[np.float32],
    rows: NDArray[np.int64],
    beyond: float,
) -> tuple[list[float], list[int]] | None:
    return ranked(
        similarities,
        rows,
        beyond,
        terms.limit,
        excluded=excluded,
        removed=now.removed,
        tie_key=now.rows.performance_id if now.added.records else None,
        work_of=now.rows.work_id if terms.one_per_work else None,
    )


def _described(now: Snapshot, similarities: list[float], rows: list[int]) -> list[Candidate]:
    """Put a ranking into the form that callers get."""
    return list(map(Candidate, count(1), similarities, repeat(now.rows), rows))
