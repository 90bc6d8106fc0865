"""More embeddings than were simulated: new ones drawn from between those that there are.

Embedding a million covers takes a quarter of an hour to an hour on one core, ten million hours.
Beyond what was embedded, each further vector is drawn near a real one, the *anchor*, from the
differences between the anchor's own neighbours::

    new = anchor + 1/2 sum of four +-(neighbour - neighbour'),   then length 1

with the neighbours drawn anew each time from the anchor's :data:`NEIGHBOURS` nearest. The sum has
twice the covariance that the data have at this place, so that the new vector is about as far from
its anchor as two neighbours are from each other (in a few of ten thousand the differences cancel
out and the anchor comes again, as recordings do in catalogues), and leaves neither the directions
that the encoder uses nor the density around the anchor. It is a smoothed bootstrap (Silverman and
Young 1987, "The bootstrap: to smooth or not to smooth?", Biometrika 74) with a local covariance.
Mixing an anchor with one neighbour alone was tried and left out: its vectors lie too close to the
anchors, and an inverted file finds their neighbours more easily than those of real ones.

Such vectors could be easier or harder to search than real ones. That is measured, not assumed:
:func:`coverdex.benchmarks.speed.likeness.likeness` compares recall against the lists visited, on a
real catalogue and on one of the same size that was extended.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .contender import list_count
from .simulated_embeddings import unit

#: Queries and a limit to rows, shape (n_queries, limit).
_Search = Callable[[NDArray[np.float32], int], NDArray[np.int64]]

#: Nearest neighbours of an anchor that new vectors are drawn from.
NEIGHBOURS = 10
#: Differences of two neighbours that are summed, and the factor of each, with either sign.
_TERMS = 4
_FACTOR = 0.5
#: New vectors that are drawn together: 16 MB at 64 dimensions.
_BLOCK = 65_536
#: Beyond this many, neighbours are sought in an inverted file: the exact search is quadratic, and
#: takes half an hour for a million.
EXACT_UP_TO = 262_144
#: Of its lists, one in so many is visited, and at least so many.
_LIST_SHARE, _LEAST_LISTS = 64, 8


def neighbours_of(base: NDArray[np.float32], *, count: int = NEIGHBOURS) -> NDArray[np.int64]:
    """Find each vector's nearest others.

    Exactly up to :data:`EXACT_UP_TO` vectors. Beyond, an inverted file finds them, of which one
    list in 64 is visited: some are missed, and the next nearest stand for them.

    Parameters
    ----------
    base : ndarray, shape (n, dimension), float32

    Returns
    -------
    ndarray, shape (n, count), int64
        Fewer columns where there are fewer others.
    """
    search = _exact_search(base) if len(base) <= EXACT_UP_TO else _list_search(base)
    count = min(count, len(base) - 1)
    found = np.empty((len(base), count), np.int64)
    for start in range(0, len(base), _BLOCK):
        stop = min(start + _BLOCK, len(base))
        rows = search(base[start:stop], count + 1)
        own = rows == np.arange(start, stop)[:, np.newaxis]
        own[~own.any(axis=1), -1] = True  # among copies of itself it may not be listed
        found[start:stop] = rows[~own].reshape(-1, count)
    return found


def _exact_search(base: NDArray[np.float32]) -> _Search:
    from ...search.vectors import nearest_exactly

    return lambda queries, limit: nearest_exactly(base, queries, limit)[1]


def _list_search(base: NDArray[np.float32]) -> _Search:
    from ...search.vectors import faiss

    n_lists = list_count(len(base))
    lists = faiss.index_factory(base.shape[1], f"IVF{n_lists},Flat", faiss.METRIC_INNER_PRODUCT)
    lists.train(base[:: max(1, len(base) // (64 * n_lists))])
    lists.add(base)
    lists.nprobe = max(_LEAST_LISTS, n_lists // _LIST_SHARE)
    return lambda queries, limit: np.asarray(lists.search(queries, limit)[1], np.int64)


def extend(
    base: NDArray[np.float32],
    n: int,
    path: Path,
    *,
    neighbours: NDArray[np.int64] | None = None,
    seed: int = 11,
) -> NDArray[np.float32]:
    """Extend embeddings to ``n``, or read what an earlier call has left.

    Parameters
    ----------
    base : ndarray, shape (n_base, dimension), float32
        Come first, as they are; only the first ``n`` if there are more.
    n : int
    path : Path
        A ``.npy`` file; memory-mapped, so that 10 million do not have to fit into memory twice.
    neighbours : ndarray, shape (n_base, count), int64, optional
        As :func:`neighbours_of` gives them.
    seed : int

    Returns
    -------
    ndarray, shape (n, dimension), float32
        Read-only, memory-mapped.
    """
    if not path.exists():
        if neighbours is None and n > len(base):
            neighbours = neighbours_of(base)
        partial = path.with_name(path.name + ".partial")
        shape = (n, base.shape[1])
        whole = np.lib.format.open_memmap(partial, "w+", dtype=np.float32, shape=shape)
        whole[: len(base)] = base[:n]
        for start in range(len(base), n, _BLOCK):
            stop = min(start + _BLOCK, n)
            rng = np.random.default_rng([seed, start])
            assert neighbours is not None
            whole[start:stop] = drawn_between(base, neighbours, stop - start, rng)
        whole.flush()
        del whole
        partial.rename(path)
    mapped: NDArray[np.float32] = np.load(path, mmap_mode="r")
    return mapped


def drawn_between(
    base: NDArray[np.float32], neighbours: NDArray[np.int64], n: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw ``n`` new vectors; see the module. Shape (n, dimension), float32, length 1."""
    anchor = rng.integers(0, len(base), n)
    around = neighbours[anchor]
    drawn = base[anchor]
    for _ in range(_TERMS):
        one, other = np.take_along_axis(
            around, rng.integers(0, neighbours.shape[1], (n, 2)), axis=1
        ).T
        sign = rng.choice(np.array([-_FACTOR, _FACTOR], np.float32), (n, 1))
        drawn += sign * (base[one] - base[other])
    return unit(drawn)
