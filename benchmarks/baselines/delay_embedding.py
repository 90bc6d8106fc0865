"""Delay embedding: comparing short passages where comparing single frames says too little.

One frame of chroma is about one chord, and any two songs share chords. Stacking ``dimension``
frames that lie ``delay`` apart into one long vector makes a *state* that describes a passage
(Takens 1981; for music Serrà, Serra and Andrzejak 2009)::

    state[i] = (x[i], x[i + delay], ..., x[i + (dimension - 1) * delay])

so a performance of n frames has ``n - (dimension - 1) * delay`` states. A *subsequence* of length
L, as SiMPle calls it (Silva et al. 2016), is the state of dimension L and delay 1.

No stacked matrix is ever made here. The inner product of two states is a sum along a diagonal of
the matrix of inner products between frames, and a sum of w terms takes about 2 log2(w) additions
of whole matrices by doubling. For n x n states of 12 x 9 values that is 24 + 4 operations a cell
instead of 216, and there is no running sum whose rounding errors pile up.

Shapes: chroma ``(n_frames, 12)``; distances ``(n_query_states, n_candidate_states)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def n_states(n_frames: int, dimension: int, delay: int = 1) -> int:
    """Return how many states ``n_frames`` frames make (0 when they are too few for one)."""
    return max(0, n_frames - (dimension - 1) * delay)


def diagonal_sums(matrix: NDArray[Any], dimension: int, delay: int = 1) -> NDArray[Any]:
    """Sum ``dimension`` cells that lie ``delay`` apart along each diagonal.

    Parameters
    ----------
    matrix : ndarray, shape (n, k)
        Any real matrix; ``n`` and ``k`` at least ``(dimension - 1) * delay + 1``.
    dimension, delay : int
        Number of cells in each sum, and the steps between them.

    Returns
    -------
    ndarray, shape (n - (dimension - 1) * delay, k - (dimension - 1) * delay)
        ``out[i, j] = sum_s matrix[i + s * delay, j + s * delay]`` for s from 0 to dimension - 1.
    """
    rows = n_states(matrix.shape[0], dimension, delay)
    columns = n_states(matrix.shape[1], dimension, delay)
    total: NDArray[Any] | None = None
    summed = 0  # cells of the window that `total` covers so far
    power, width = matrix, 1  # `power` holds the sums of `width` cells
    while True:
        if dimension & width:
            start = summed * delay
            part = power[start : start + rows, start : start + columns]
            total = part if total is None else total + part
            summed += width
        if summed == dimension:
            assert total is not None
            return total
        step = width * delay
        power = power[:-step, :-step] + power[step:, step:]
        width *= 2


def squared_distances(
    query: NDArray[np.float32], candidate: NDArray[np.float32], dimension: int, delay: int = 1
) -> NDArray[np.float32]:
    """Return the squared Euclidean distances between all states of two performances.

    Parameters
    ----------
    query, candidate : ndarray, shape (n_frames, 12), float32
        Chroma with at least ``(dimension - 1) * delay + 1`` frames each.
    dimension, delay : int
        Frames in a state, and frames between two of them.

    Returns
    -------
    ndarray, shape (n_query_states, n_candidate_states), float32
        Zero or more; rounding errors below zero are clipped.
    """
    products = diagonal_sums(query @ candidate.T, dimension, delay)
    distances = state_energies(query, dimension, delay)[:, None] - 2 * products
    distances += state_energies(candidate, dimension, delay)
    return np.asarray(np.maximum(distances, 0, out=distances))


def state_energies(
    values: NDArray[np.float32], dimension: int, delay: int = 1
) -> NDArray[np.float32]:
    """Return the squared Euclidean norm of each state, shape (n_states,), float32."""
    energies = np.einsum("np,np->n", values, values)
    count = n_states(len(energies), dimension, delay)
    terms = [energies[s * delay : s * delay + count] for s in range(dimension)]
    return np.asarray(np.sum(terms, axis=0, dtype=np.float32))
