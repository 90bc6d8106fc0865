"""The rows nearest to a query: among those of the files, and among those added since.

The files' rows are searched through their FAISS index, the added ones are compared one by one;
there are few of them. FAISS cannot restrict a search of every structure to some rows (``PQ16x4fs``,
``NSG16`` or ``Flat,RFlat`` it can only ask for all); there, what a filter lets through is compared
one by one, too. Approximate structures can find fewer rows than are asked for, though there are as
many; they are asked again then, until the answer is as long as it can be.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .changes import Added
from .generation import Generation
from .ranking import NOTHING_BEYOND
from .selection import Selection
from .vectors import nearest_exactly


class Restriction(NamedTuple):
    """What a search may find.

    Parameters
    ----------
    stored : Selection
        Of the files' rows.
    added : ndarray, shape (n_added,), bool
        Of the added ones.
    """

    stored: Selection
    added: NDArray[np.bool_]


class Found(NamedTuple):
    """Rows found near some queries, in no final order.

    Parameters
    ----------
    similarities : ndarray, shape (n_queries, n_found), float32
    rows : ndarray, shape (n_queries, n_found), int64
        -1 where there are no more.
    beyond : ndarray, shape (n_queries,), float32
        No row that is not among them is more similar than this; at most ``NOTHING_BEYOND`` if there
        is none.
    """

    similarities: NDArray[np.float32]
    rows: NDArray[np.int64]
    beyond: NDArray[np.float32]


def nearest_stored(
    generation: Generation,
    queries: NDArray[np.float32],
    limit: int,
    selection: Selection | None,
    *,
    exact: bool,
) -> Found:
    """Search the files' rows; those removed since are among what is found.

    Parameters
    ----------
    generation : Generation
    queries : ndarray, shape (n_queries, dimension), float32, C-contiguous
    limit : int
        How many rows at most.
    selection : Selection or None
        Rows that may be found; all if None.
    exact : bool
        Compare with every vector in float32.
    """
    available = generation.count if selection is None else selection.n_rows
    limit = min(limit, available)
    if not limit:
        return _nothing(len(queries))
    vectors = generation.vectors
    one_by_one = exact or (selection is not None and not vectors.takes_selections)
    if one_by_one and vectors.exact is None:
        similarities, rows = nearest_exactly(generation.embeddings, queries, limit, selection)
    else:
        similarities, rows = vectors.search(queries, limit, selection)
        if _is_short(rows):
            _complete(generation, queries, selection, similarities, rows)
    if limit == available:
        return Found(similarities, rows, np.full(len(queries), NOTHING_BEYOND, np.float32))
    return Found(similarities, rows, similarities[:, -1])


def _is_short(rows: NDArray[np.int64]) -> bool:
    if len(rows) == 1:  # as below, in a tenth of the time
        return rows.item(-1) < 0
    return bool((rows[:, -1] < 0).any())


def _complete(
    generation: Generation,
    queries: NDArray[np.float32],
    selection: Selection | None,
    similarities: NDArray[np.float32],
    rows: NDArray[np.int64],
) -> None:
    """Ask again, more thoroughly, where fewer rows were found than there are.

    That happens where the answer is to be long, and where a filter lets through rows that lie far
    from the query, and so in other lists of an inverted file than it visits, or behind more edges
    of a graph.

    Parameters
    ----------
    generation : Generation
    queries : ndarray, shape (n_queries, dimension), float32, C-contiguous
    selection : Selection or None
        Rows that may be found; all if None.
    similarities, rows : ndarray, shape (n_queries, limit), float32 and int64
        What was found, to be replaced. There are ``limit`` rows that may be.
    """
    limit = rows.shape[1]
    short = np.flatnonzero(rows[:, -1] < 0)
    if generation.vectors.n_lists:
        similarities[short], rows[short] = generation.vectors.search(
            queries[short], limit, selection, exact=True
        )
        short = short[rows[short, -1] < 0]
    if len(short):
        similarities[short], rows[short] = nearest_exactly(
            generation.embeddings, queries[short], limit, selection
        )


def nearest_added(
    added: Added, queries: NDArray[np.float32], limit: int, mask: NDArray[np.bool_] | None
) -> Found:
    """Compare queries with the rows added since the files were written, as they are numbered there.

    Parameters
    ----------
    added : Added
    queries, limit
        As for :func:`nearest_stored`.
    mask : ndarray, shape (n_added,), bool, or None
        Rows that may be found; all that are alive if None.
    """
    rows = np.flatnonzero(added.alive if mask is None else mask)
    limit = min(limit, len(rows))
    if not limit:
        return _nothing(len(queries))
    all_rows = np.arange(len(added.records))
    selection = None if len(rows) == len(all_rows) else Selection(np.isin(all_rows, rows))
    similarities, found = nearest_exactly(added.matrix, queries, limit, selection)
    if limit == len(rows):
        return Found(similarities, found, np.full(len(queries), NOTHING_BEYOND, np.float32))
    return Found(similarities, found, similarities.min(axis=1))


def together(stored: Found, added: Found, n_stored: int) -> Found:
    """Put what was found among the files' rows and the added ones together, numbered through."""
    return Found(
        np.concatenate([stored.similarities, added.similarities], axis=1),
        np.concatenate([stored.rows, added.rows + n_stored], axis=1),
        np.maximum(stored.beyond, added.beyond),
    )


def _nothing(n_queries: int) -> Found:
    return Found(
        np.empty((n_queries, 0), np.float32),
        np.empty((n_queries, 0), np.int64),
        np.full(n_queries, NOTHING_BEYOND, np.float32),
    )
