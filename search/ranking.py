"""Ranking what was found: the order of the answer, and when it is final.

Larger similarity first, equal ones by performance id. FAISS cuts its list at some number of rows;
where rows of the same similarity may lie on both sides of the cut, or too few are left once those
that must not appear are taken out, the list is not final and more must be asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Similarities closer than this are taken for equal at the cut: FAISS's float32 sums differ by
#: about 1e-7 with the order of summation.
TIE = 2e-6
#: What FAISS fills a list up with where it found no more rows: the smallest float32.
NOTHING_BEYOND = float(np.finfo(np.float32).min)


def ranked(
    similarities: NDArray[np.float32],
    rows: NDArray[np.int64],
    beyond: float,
    limit: int,
    *,
    excluded: frozenset[int],
    removed: frozenset[int],
    tie_key: Callable[[int], Any] | None,
    work_of: Callable[[int], str | None] | None,
) -> tuple[list[float], list[int]] | None:
    """Rank the rows found for one query.

    Parameters
    ----------
    similarities : ndarray, shape (n_found,), float32
    rows : ndarray, shape (n_found,), int64
        -1 for none.
    beyond : float
        No row that was not found is more similar; at most ``NOTHING_BEYOND`` if there is none.
    limit : int
        Length of the answer.
    excluded, removed : frozenset of int
        Rows that must not appear: by the query's wish, and because they are gone.
    tie_key : callable, optional
        Row to what orders equal similarities; the row itself if not given.
    work_of : callable, optional
        If given, only the best performance of each work is kept; unknown works are all different.

    Returns
    -------
    similarities, rows : list
        At most ``limit``, in order; None if the list is not final.
    """
    found, found_rows = similarities.tolist(), rows.tolist()
    if excluded or removed or work_of is not None or not _is_in_order(found, found_rows):
        shown = [
            (-similarity, row)
            for similarity, row in zip(found, found_rows, strict=True)
            if row >= 0 and row not in excluded and row not in removed
        ]
        if tie_key is None:
            shown.sort()
        else:
            shown.sort(key=lambda pair: (pair[0], tie_key(pair[1])))
        if work_of is not None:
            shown = _best_of_each_work(shown, work_of)
        found, found_rows = [-negated for negated, _ in shown], [row for _, row in shown]
    if beyond > NOTHING_BEYOND and (len(found) < limit or found[limit - 1] - beyond <= TIE):
        return None
    return found[:limit], found_rows[:limit]


def stand_as_found(
    similarities: NDArray[np.float32],
    rows: NDArray[np.int64],
    beyond: NDArray[np.float32],
    limit: int,
) -> NDArray[np.bool_]:
    """Say for which of many queries :func:`ranked` would give the first rows found, unchanged.

    It is true of nearly all where no row must be left out, and asked of all at once in the time
    that ranking a few of them takes.

    Parameters
    ----------
    similarities : ndarray, shape (n_queries, n_found), float32
    rows : ndarray, shape (n_queries, n_found), int64
        -1 for none.
    beyond : ndarray, shape (n_queries,), float32
        As for :func:`ranked`.
    limit : int
        Length of the answers.

    Returns
    -------
    ndarray, shape (n_queries,), bool
    """
    n_found = rows.shape[1]
    in_order = (similarities[:, 1:] < similarities[:, :-1]).all(axis=1) & (rows >= 0).all(axis=1)
    is_final = beyond <= NOTHING_BEYOND
    if n_found >= limit:
        # As ranked() does, in float64: the two must not differ about one answer.
        last = similarities[:, limit - 1].astype(np.float64)
        is_final |= last - beyond.astype(np.float64) > TIE
    settled: NDArray[np.bool_] = in_order & is_final
    return settled


def _is_in_order(similarities: list[float], rows: list[int]) -> bool:
    """Say whether rows stand as they should: all there, no two equally similar."""
    in_order = sorted(similarities, reverse=True) == similarities
    return in_order and len(set(similarities)) == len(similarities) and -1 not in rows


def _best_of_each_work(
    shown: list[tuple[float, int]], work_of: Callable[[int], str | None]
) -> list[tuple[float, int]]:
    seen: set[str] = set()
    best = []
    for pair in shown:
        work = work_of(pair[1])
        if work is None or work not in seen:
            best.append(pair)
            if work is not None:
                seen.add(work)
    return best
