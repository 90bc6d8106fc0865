"""All pairs of a catalogue, the rows of the upper triangle shared among threads.

A score of two performances that is the same both ways needs n (n + 1) / 2 comparisons. Row i is
query i against performances i to n - 1, so early rows are long and late ones short, and threads
that take the next row when they are free end at nearly the same time. Threads help because numpy
and the compiled kernels release the GIL.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .system import Progress

Row = TypeVar("Row")


def upper_rows(
    n: int,
    row_of: Callable[[int, NDArray[np.intp]], Row],
    *,
    n_threads: int | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[int, Row]]:
    """Yield what ``row_of`` makes of each query and the performances from itself on.

    Parameters
    ----------
    n : int
        Number of performances.
    row_of : callable
        Called in a thread as ``row_of(query, candidates)`` with ``candidates = query .. n - 1``.
    n_threads : int, optional
        As many as there are cores if not given.
    progress : callable, optional
        Called in the caller's thread as ``progress(pairs_done, pairs_in_all)``.

    Yields
    ------
    tuple of int and row
        In the order of the queries.
    """
    done, total = 0, n * (n + 1) // 2
    with ThreadPoolExecutor(n_threads or os.cpu_count() or 1) as pool:
        rows = pool.map(lambda query: row_of(query, np.arange(query, n)), range(n))
        for query, row in enumerate(rows):
            yield query, row
            done += n - query
            if progress is not None:
                progress(done, total)
