"""Coded lists: an inverted file of codes with refinement, asked step by step.

FAISS answers a query on ``IVF4096,PQ64x4fsr,Refine(SQfp16)`` in one call of three steps: it chooses
the lists, goes through their codes, and compares the best again by their float16 vectors. Here the
three are called one by one, with two of them done otherwise:

* the lists are chosen by their gap (:mod:`coverdex.search.probing`), for which FAISS has no
  parameter. That is quicker in itself, too: FAISS sorts the lists that it picks, and of 4,096 lists
  takes several times as long to pick some hundreds as to compute the similarities of all;
* FAISS goes through the codes (``search_preassigned``). For many queries it takes list by list, so
  that a list's codes are read from memory once for all queries that visit it. For one query that is
  a detour: going from the nearest list to the farthest leaves more codes below the best so far. How
  FAISS goes through them is a property of its index and not a parameter, so a second index over the
  same lists stands beside the first, for single queries;
* NumPy compares the best again.

Nothing of it is in the file: it is made when an index is opened, and shares the file's pages.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .inverted_file import is_refined
from .probing import Probes, probes_of, probes_of_one
from .ranking import NOTHING_BEYOND
from .selection import faiss

#: FAISS's ``implem`` for going through the codes query by query, in the order of the lists given.
_QUERY_BY_QUERY = 11
#: Queries that are answered together: more visit a list at once, but need more memory.
_TOGETHER = 1_024
#: Queries whose best are compared again at a time: their vectors stay in the core's own cache.
_COMPARED_TOGETHER = 64


class CodedLists:
    """See the module. Made by :meth:`of`; safe to share between threads.

    Parameters
    ----------
    index : faiss.IndexRefine
        Over an ``IndexIVFPQFastScan`` with a flat quantizer, refined by float16.
    """

    def __init__(self, index: Any) -> None:
        self._index = index  # owns all that is below
        self._lists = faiss.downcast_index(index.base_index)
        self._lists_of_one = _query_by_query(self._lists)
        centres = faiss.downcast_index(self._lists.quantizer).reconstruct_n(0, self._lists.nlist)
        self._centres: NDArray[np.float32] = np.ascontiguousarray(centres.T)
        stored = faiss.downcast_index(index.refine_index)
        memory = faiss.rev_swig_ptr(stored.codes.data(), stored.ntotal * stored.code_size)
        #: Whole vectors, shape (count, dimension), float16; the index's own memory.
        self._vectors: NDArray[np.float16] = (
            np.asarray(memory).view(np.float16).reshape(stored.ntotal, stored.d)
        )

    @classmethod
    def of(cls, index: Any) -> CodedLists | None:
        """Make them of a FAISS index; None if it is of another kind, or empty."""
        if not is_refined(index) or not index.ntotal:
            return None
        lists = faiss.downcast_index(index.base_index)
        stored = faiss.downcast_index(index.refine_index)
        if not isinstance(lists, faiss.IndexIVFPQFastScan) or not lists.by_residual:
            return None
        if not isinstance(faiss.downcast_index(lists.quantizer), faiss.IndexFlat):
            return None
        if not isinstance(stored, faiss.IndexScalarQuantizer):
            return None
        is_half = stored.sq.qtype == faiss.ScalarQuantizer.QT_fp16
        return cls(index) if is_half else None

    def search(
        self, queries: NDArray[np.float32], limit: int, *, gap: float, k_factor: float
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the rows of the largest inner product with each query.

        Parameters
        ----------
        queries : ndarray, shape (n_queries, dimension), float32, C-contiguous
        limit : int
            How many rows.
        gap : float
            See :mod:`coverdex.search.probing`.
        k_factor : float
            How many times as many as wanted are compared again.

        Returns
        -------
        similarities : ndarray, shape (n_queries, limit), float32
            Of the float16 vectors, in descending order.
        rows : ndarray, shape (n_queries, limit), int64
            -1 where no more were found, with the least float32 beside it.
        """
        n_again = max(limit, int(limit * k_factor))
        if len(queries) == 1:
            probes = probes_of_one(queries, self._centres, gap)
            found = _gone_through(self._lists_of_one, queries, n_again, probes)
            return self._compared_again(queries, found, limit)
        similarities = np.empty((len(queries), limit), np.float32)
        rows = np.empty((len(queries), limit), np.int64)
        for start in range(0, len(queries), _TOGETHER):
            asked = queries[start : start + _TOGETHER]
            probes = probes_of(asked, self._centres, gap)
            found = _gone_through(self._lists, asked, n_again, probes)
            for first in range(0, len(asked), _COMPARED_TOGETHER):
                some = slice(first, first + _COMPARED_TOGETHER)
                best = self._compared_again(asked[some], found[some], limit)
                place = slice(start + first, start + first + len(best[1]))
                similarities[place], rows[place] = best
        return similarities, rows

    def n_probed(self, queries: NDArray[np.float32], gap: float) -> float:
        """Say how many lists the queries visit on the average."""
        return float(probes_of(queries, self._centres, gap).counts.mean())

    def _compared_again(
        self, queries: NDArray[np.float32], found: NDArray[np.int64], limit: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Rank what was found by the whole vectors."""
        vectors = self._vectors[found].astype(np.float32)
        products = np.matmul(vectors, queries[:, :, np.newaxis])[:, :, 0]
        products[found < 0] = NOTHING_BEYOND
        order = (-products).argsort(axis=1)[:, :limit]
        if len(queries) == 1:  # as below, in a tenth of the time
            best = order[0]
            return products[:, best], found[:, best]
        return np.take_along_axis(products, order, 1), np.take_along_axis(found, order, 1)


def _gone_through(
    lists: Any, queries: NDArray[np.float32], limit: int, probes: Probes
) -> NDArray[np.int64]:
    products = np.empty((len(queries), limit), np.float32)
    rows = np.empty((len(queries), limit), np.int64)
    parameters = faiss.SearchParametersIVF()
    parameters.nprobe = probes.lists.shape[1]
    lists.search_preassigned_c(
        len(queries),
        faiss.swig_ptr(queries),
        limit,
        faiss.swig_ptr(probes.lists),
        faiss.swig_ptr(probes.similarities),
        faiss.swig_ptr(products),
        faiss.swig_ptr(rows),
        False,
        parameters,
    )
    return rows


def _query_by_query(lists: Any) -> Any:
    """Make a second index over the same lists; it owns nothing but its own 4-bit levels."""
    twin = faiss.IndexIVFPQFastScan(
        lists.quantizer,
        lists.d,
        lists.nlist,
        lists.pq.M,
        lists.pq.nbits,
        lists.metric_type,
        lists.bbs,
    )
    twin.own_fields = False
    twin.by_residual = lists.by_residual
    twin.pq = lists.pq
    twin.replace_invlists(lists.invlists, False)
    twin.ntotal = lists.ntotal
    twin.is_trained = True
    twin.implem = _QUERY_BY_QUERY
    return twin
