"""Probing: which lists of an inverted file a query visits.

The usual rule visits the same number of lists for every query, the ``nprobe`` nearest, and that
number must suffice for the hardest. But queries differ: one lies near the centre of a few lists
with its neighbours all in them, another between hundreds. Here a list is visited if its centre is
at most ``gap`` less similar to the query than a reference, about the tenth nearest centre. So an
easy query visits few lists and a hard one many. On a million embeddings of simulated covers a
quarter fewer lists gave the same recall (``docs/performance.md``). That the best number depends on
the query was shown by Li et al. (2020), "Improving Approximate Nearest Neighbor Search through
Learned Adaptive Early Termination", SIGMOD; the rule here learns nothing but its one number, which
is measured on the index (:mod:`coverdex.search.tuning`).

The reference is the tenth greatest of 64 numbers, each the greatest similarity among as many lists:
nearly the tenth greatest of all, and found without sorting thousands.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Groups of lists whose greatest similarities are compared, and which of these is the reference.
_N_GROUPS = 64
_REFERENCE = 10
#: Queries whose similarities to all centres are in memory at a time: 2 MB at 4,096 lists.
_TOGETHER = 128


class Probes(NamedTuple):
    """The lists that some queries visit.

    Parameters
    ----------
    lists : ndarray, shape (n_queries, n_most), int64
        Their numbers, padded with -1 up to the most that one of the queries visits.
    similarities : ndarray, shape (n_queries, n_most), float32
        Inner products of the queries with their centres; 0 where there is none.
    counts : ndarray, shape (n_queries,), int64
        How many each query visits.
    """

    lists: NDArray[np.int64]
    similarities: NDArray[np.float32]
    counts: NDArray[np.int64]


def probes_of_one(query: NDArray[np.float32], centres: NDArray[np.float32], gap: float) -> Probes:
    """Choose the lists for one query, the nearest first.

    Parameters
    ----------
    query : ndarray, shape (1, dimension), float32
    centres : ndarray, shape (dimension, n_lists), float32, C-contiguous
        One column per list.
    gap : float
        See the module.
    """
    products = query @ centres
    similarities = products[0]
    near = (similarities >= _reference(products).item() - gap).nonzero()[0]
    chosen = near[(-similarities[near]).argsort()]
    return Probes(chosen[np.newaxis], similarities[chosen][np.newaxis], np.array([len(chosen)]))


def probes_of(queries: NDArray[np.float32], centres: NDArray[np.float32], gap: float) -> Probes:
    """Choose the lists for many queries, in the order of their numbers.

    Parameters
    ----------
    queries : ndarray, shape (n_queries, dimension), float32
    centres, gap
        As for :func:`probes_of_one`.
    """
    n_lists = centres.shape[1]
    counts, chosen, near = [], [], []
    for start in range(0, len(queries), _TOGETHER):
        products = queries[start : start + _TOGETHER] @ centres
        is_near = products >= (_reference(products) - gap)[:, np.newaxis]
        places = np.flatnonzero(is_near)
        counts.append(np.count_nonzero(is_near, axis=1))
        chosen.append(places % n_lists)
        near.append(products.reshape(-1)[places])
    n_each = np.concatenate(counts)
    shape = len(queries), int(n_each.max())
    is_filled = np.arange(shape[1]) < n_each[:, np.newaxis]
    lists, similarities = np.full(shape, -1, np.int64), np.zeros(shape, np.float32)
    lists[is_filled] = np.concatenate(chosen)
    similarities[is_filled] = np.concatenate(near)
    return Probes(lists, similarities, n_each)


def _reference(products: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return about the tenth greatest number of each row, shape (n_queries,)."""
    n_queries, n_lists = products.shape
    each = max(1, n_lists // _N_GROUPS)
    groups = products[:, : n_lists // each * each].reshape(n_queries, -1, each)
    greatest: NDArray[np.float32] = groups.max(axis=2)
    greatest.sort(axis=1)
    return greatest[:, -min(_REFERENCE, greatest.shape[1])]
