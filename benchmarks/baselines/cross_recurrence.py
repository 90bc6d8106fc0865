"""Cross recurrence: at which times do two performances pass through the same musical state.

A cross recurrence plot (Zbilut, Giuliani and Webber 1998; for covers Serrà, Serra and Andrzejak
2009, "Cross recurrence quantification for cover song identification") is a binary matrix. Cell
(i, j) is 1 when state i of the query (:mod:`~coverdex.benchmarks.baselines.delay_embedding`) and
state j of the candidate are *mutual* neighbours: j is among the nearest states of i, and i among
the nearest of j. A passage that the two share is a diagonal line; a slower copy a flatter line.

How many neighbours count follows from a fraction kappa, not from a distance: in a row of m
distances the ``floor(kappa * (m - 1)) + 1`` smallest, in a column of n likewise. So no threshold
depends on loudness or density, and the matrix is the same for any monotone distance. Distances that
tie with the last of them count as well. (This is the set that essentia's ChromaCrossSimilarity
selects with its interpolated percentile, except where ``kappa * (m - 1)`` is a whole number:
there its percentile is 0 and the row stays empty.)

Shapes: distances and recurrences ``(n_query_states, n_candidate_states)``, float32 and bool.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .delay_embedding import squared_distances

#: Keeps a fraction such as .1 * 10 on the whole number that it means.
_ROUNDING = 1e-9


def n_neighbours(n_states: int, kappa: float) -> int:
    """Return how many of ``n_states`` states count as near, at least 1."""
    return int(np.floor(kappa * (n_states - 1) + _ROUNDING)) + 1


def mutual_neighbours(distances: NDArray[Any], kappa: float) -> NDArray[np.bool_]:
    """Mark the cells that are among the nearest of their row and of their column.

    Parameters
    ----------
    distances : ndarray, shape (n, m)
        Any dissimilarity, smaller is nearer.
    kappa : float
        Fraction of states that count as near, 0 to 1.

    Returns
    -------
    ndarray, shape (n, m), bool
        The recurrence plot.
    """
    of_row = n_neighbours(distances.shape[1], kappa) - 1
    of_column = n_neighbours(distances.shape[0], kappa) - 1
    row_limit = np.partition(distances, of_row, axis=1)[:, of_row, None]
    column_limit = np.partition(distances, of_column, axis=0)[None, of_column]
    return np.asarray((distances <= row_limit) & (distances <= column_limit))


def cross_recurrence(
    query: NDArray[np.float32],
    candidate: NDArray[np.float32],
    *,
    dimension: int = 9,
    delay: int = 1,
    kappa: float = 0.095,
) -> NDArray[np.bool_]:
    """Return the cross recurrence plot of two performances that are in the same key.

    Parameters
    ----------
    query, candidate : ndarray, shape (n_frames, 12), float32
        Chroma, the candidate already transposed
        (:mod:`~coverdex.benchmarks.baselines.transposition`); at least
        ``(dimension - 1) * delay + 1`` frames each.
    dimension, delay : int
        Frames in a state, and frames between two of them (m and tau in the paper).
    kappa : float
        Fraction of states that count as near.

    Returns
    -------
    ndarray, shape (n_query_states, n_candidate_states), bool
        True where the two pass through the same state.
    """
    return mutual_neighbours(squared_distances(query, candidate, dimension, delay), kappa)
