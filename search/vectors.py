"""The vectors of an index: a FAISS index under the inner product, asked the fast way.

The embeddings have length 1, so the inner product is their cosine similarity, and the nearest
performances are those of the largest inner product. ``Flat`` compares the query with every vector;
other factory strings (Douze et al. 2024, "The Faiss library") trade a measured share of the answers
for speed and memory.

FAISS row = row of the tables; no ``IndexIDMap2`` lies between. A performance's row is found in the
sorted id column, changes never touch the file (:mod:`coverdex.search.change_log`), and so the file
can be memory-mapped: an ``IndexIDMap2`` would rebuild a hash table of all ids in every process that
opens the index, and removing from a flat one moves all vectors behind the gap.

What was measured (FAISS 1.15.1, 64 dimensions, 2 cores of an AMD EPYC with AVX2) and is done here:

* FAISS computes a batch with matrix multiplication only if queries × dimension reaches
  ``distance_compute_blas_threshold``, by default 128,000: 2,000 queries. On 200,000 vectors it is
  faster from 4 queries on (9.5 against 17 ms on one thread) and 6 times faster at 1,000 (0.6
  against 3.8 s), so the threshold is set to 4 queries. It is one number per process, and changes
  speed only.
* A single query on a flat index reads memory faster than it computes: 2 OpenMP threads took 1.0 to
  1.3 times as long as one. It gets one; a batch gets the threads that the caller's thread has.
  ``omp_set_num_threads`` holds for the calling thread alone, so it is set and set back around each
  call.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .coded_lists import CodedLists
from .errors import IndexFormatError
from .inverted_file import inverted_file_in, inverted_file_parameters
from .selection import Selection
from .selection import faiss as faiss  # everybody takes it from here, with the threshold set

#: Queries × dimension from which FAISS multiplies matrices; see above.
BLAS_THRESHOLD = 4 * 64
#: Where the parameters do not say it: how many times as many as wanted are compared again.
DEFAULT_K_FACTOR = 16
#: More rows than these are asked of FAISS alone: the gap was measured for the first ten, and the
#: lists of an easy query hold too few rows for a long answer.
MOST_BY_GAP = 128
#: How many times as many lists a filtered search visits as the share that the filter lets through
#: asks for. What an index's nprobe was measured for is queries whose neighbours lie around them; a
#: filter can leave just those out (another artist, another style), and what is then nearest lies
#: scattered over lists that are all about as far. On 300,000 vectors in 200 styles, filters that
#: left out the query's own style found 0.70 to 0.98 of the nearest ten with the share alone, 0.94
#: to 1.00 with 4 times as many lists and 0.98 to 1.00 with 8 times, for 0.5 to 3 ms, not 0.2 to 1.
FILTERED_PROBES = 8
#: A filter that leaves out at most this share of as many rows as a query's lists hold (a work, for
#: instance) cannot take away its region, and needs no more lists.
FEW_LEFT_OUT = 1 / 16
#: For batches on more threads FAISS alone is left to choose the lists and to compare again, which
#: it spreads over them. Reckoned from the shares of the steps on one thread, not measured.
MOST_THREADS_BY_GAP = 2
faiss.cvar.distance_compute_blas_threshold = BLAS_THRESHOLD


class Vectors:
    """An open FAISS index.

    Parameters
    ----------
    index : faiss.Index
        Under the inner product.
    search_parameters : mapping
        Such as ``{"nprobe": 16, "k_factor": 8}``; given with each call, the index is never changed.
        With a ``gap``, lists of codes are asked by :class:`~coverdex.search.coded_lists.CodedLists`
        wherever neither a selection nor a long answer is wanted.
    """

    def __init__(self, index: Any, search_parameters: Mapping[str, Any]) -> None:
        self._index = index
        self._parameters = dict(search_parameters)
        self._search = index.search_c
        self._rooms: list[_Room] = []
        self._is_flat = isinstance(index, faiss.IndexFlat)
        self._is_graph = isinstance(index, faiss.IndexHNSW)
        #: Number of vectors.
        self.count = int(index.ntotal)
        #: Up to here all searches have the same parameters; a graph is to keep more rows in view
        #: than are asked for.
        self._usual_limit = self._ef_search(None, 0) if self._is_graph else sys.maxsize
        inverted_file = inverted_file_in(index)
        #: Lists of an inverted file; 0 where there is none.
        self.n_lists = 0 if inverted_file is None else int(inverted_file.nlist)
        self._coded_lists = CodedLists.of(index) if "gap" in self._parameters else None
        self.exact: NDArray[np.float32] | None = None
        if self._is_flat and self.count:
            self.exact = np.asarray(_FlatMemory(index))

    @classmethod
    def open(cls, path: Path, search_parameters: Mapping[str, Any], *, mmap: bool) -> Vectors:
        """Open ``vectors.faiss``, memory-mapped so that processes share its pages if ``mmap``.

        Raises
        ------
        IndexFormatError
            When FAISS cannot read it, its path is not UTF-8, or it holds another metric.
        """
        name = os.fsencode(path).decode(errors="backslashreplace")
        if name != str(path):  # lone surrogates, which FAISS does not take
            raise IndexFormatError(
                f"FAISS opens no path that is not UTF-8, such as {name}; rename it"
            )
        flags = faiss.IO_FLAG_MMAP_IFC if mmap else 0
        try:
            index = faiss.read_index(str(path), flags)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise IndexFormatError(f"FAISS cannot read {path}: {reason}") from None
        if index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise IndexFormatError(f"{path} is not an index under the inner product; rebuild it")
        return cls(index, search_parameters)

    def with_parameters(self, search_parameters: Mapping[str, Any]) -> Vectors:
        """Return the same index, asked with other parameters."""
        return Vectors(self._index, search_parameters)

    @cached_property
    def takes_selections(self) -> bool:
        """Whether FAISS can restrict a search of this structure to some rows; asked of FAISS."""
        only_one = np.arange(self.count) == 0
        try:
            self.search(np.zeros((1, self.dimension), np.float32), 1, Selection(only_one))
        except RuntimeError:  # it says which class refuses what, and nothing by which to tell
            return False
        return True

    @property
    def faiss_index(self) -> Any:
        """The FAISS index; not to be changed."""
        return self._index

    @property
    def dimension(self) -> int:
        """Number of components of each vector."""
        return int(self._index.d)

    def search(
        self,
        queries: NDArray[np.float32],
        limit: int,
        selection: Selection | None = None,
        *,
        exact: bool = False,
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Find the rows of the largest inner product with each query.

        Parameters
        ----------
        queries : ndarray, shape (n_queries, dimension), float32, C-contiguous
        limit : int
            How many rows; at most :attr:`count`.
        selection : Selection, optional
            Rows that may be found; all if not given. Only where :attr:`takes_selections`.
        exact : bool, default False
            Ask every list of an inverted file; the codes stay what they are.

        Returns
        -------
        similarities : ndarray, shape (n_queries, limit), float32
            Of a flat index by one formula, whether a query comes alone or in a batch.
        rows : ndarray, shape (n_queries, limit), int64
            In descending order of similarity but for rounding; -1 at the end where no more were
            found: an inverted file looks into some lists only, and a graph follows its edges.
        """
        if selection is not None:
            parameters = self._search_parameters(selection, exact, limit)
        elif self._coded_lists is not None and not exact and self._is_by_gap(queries, limit):
            return self._search_by_gap(self._coded_lists, queries, limit)
        elif limit > self._usual_limit:
            parameters = self._search_parameters(None, exact, limit)
        else:
            parameters = self._parameters_for_all[exact]
        similarities = np.empty((len(queries), limit), np.float32)
        rows = np.empty((len(queries), limit), np.int64)
        # FAISS's Python layer checks types and shapes once more, 3 of 90 microseconds; all arrays
        # are made or checked here.
        arrays = (
            len(queries),
            faiss.swig_ptr(queries),
            limit,
            faiss.swig_ptr(similarities),
            faiss.swig_ptr(rows),
            parameters,
        )
        if len(queries) == 1:
            _on_one_thread(self._index.search_c, *arrays)
        else:
            self._index.search_c(*arrays)
        if self.exact is not None and queries.size >= BLAS_THRESHOLD:
            similarities = _inner_products(self.exact, rows, queries)
        return similarities, rows

    def search_for_one(
        self, query: NDArray[np.float32], limit: int
    ) -> tuple[list[float], list[int]]:
        """Find the nearest rows of a flat index for one query of shape (dimension,).

        Parameters
        ----------
        query : ndarray, shape (dimension,), float32, C-contiguous
        limit : int
            How many rows; at most :attr:`count`.
        """
        try:
            room = self._rooms.pop()  # so that no other thread writes there meanwhile
        except IndexError:
            room = _Room.of(limit)
        if room.limit != limit:
            room = _Room.of(limit)
        _, similarities, rows, to_similarities, to_rows = room
        query_pointer = faiss.swig_ptr(query)
        _on_one_thread(self._search, 1, query_pointer, limit, to_similarities, to_rows)
        found = similarities.tolist(), rows.tolist()
        self._rooms.append(room)
        return found

    def _is_by_gap(self, queries: NDArray[np.float32], limit: int) -> bool:
        threads_are_few = len(queries) == 1 or faiss.omp_get_max_threads() <= MOST_THREADS_BY_GAP
        return limit <= MOST_BY_GAP and threads_are_few

    def _search_by_gap(
        self, lists: CodedLists, queries: NDArray[np.float32], limit: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        search = partial(
            lists.search,
            gap=float(self._parameters["gap"]),
            k_factor=float(self._parameters.get("k_factor", DEFAULT_K_FACTOR)),
        )
        if len(queries) == 1:
            found: tuple[NDArray[np.float32], NDArray[np.int64]]
            found = _on_one_thread(search, queries, limit)
            return found
        return search(queries, limit)

    @cached_property
    def _parameters_for_all(self) -> tuple[Any, Any]:
        """FAISS's parameters of searches without a selection: as planned, and exact."""
        return self._search_parameters(None, False), self._search_parameters(None, True)

    def _search_parameters(self, selection: Selection | None, exact: bool, limit: int = 0) -> Any:
        """Put what is special about one call into FAISS's parameters; None if nothing is."""
        parameters: Any
        if self.n_lists:
            k_factor = float(self._parameters.get("k_factor", DEFAULT_K_FACTOR))
            n_probe = self._n_probe(selection, exact)
            return inverted_file_parameters(self._index, n_probe, k_factor, selection)
        if self._is_graph:
            parameters = faiss.SearchParametersHNSW()
            parameters.efSearch = self._ef_search(selection, limit)
        elif selection is None:
            return None
        else:
            parameters = faiss.SearchParameters()
        if selection is not None:
            sel = selection.rows_selector if self._is_flat else selection.bits_selector
            parameters.sel = sel
        return parameters

    def _ef_search(self, selection: Selection | None, limit: int) -> int:
        """Say how many rows of a graph to keep in view: more where fewer of them may be found."""
        # FAISS's graphs stop when so many rows were nearer than what is left to look at, however
        # many more are asked for.
        ef_search = max(int(self._parameters.get("efSearch", 128)), limit)
        if selection is not None:
            ef_search = -(-ef_search * self.count // max(selection.n_rows, 1))
        return min(ef_search, max(self.count, 1))

    def _n_probe(self, selection: Selection | None, exact: bool) -> int:
        """Say how many lists to ask: more where fewer of their rows may be found."""
        n_probe = int(self._parameters.get("nprobe", max(1, self.n_lists // 16)))
        if selection is not None:
            n_near = n_probe * self.count / self.n_lists
            if self.count - selection.n_rows > FEW_LEFT_OUT * n_near:
                n_probe = -(-FILTERED_PROBES * n_probe * self.count // max(selection.n_rows, 1))
        return self.n_lists if exact else min(n_probe, self.n_lists)


class _Room(NamedTuple):
    """Room for the answer to one query, kept and written over.

    Going through 15,000 vectors leaves little else in the core's caches, and all that comes after
    costs several times what it does in a loop by itself: two new arrays 6 of some 100 microseconds.

    Parameters
    ----------
    limit : int
        How many rows it has room for.
    similarities, rows : ndarray, shape (limit,), float32 and int64
    to_similarities, to_rows
        FAISS's pointers to them.
    """

    limit: int
    similarities: NDArray[np.float32]
    rows: NDArray[np.int64]
    to_similarities: Any
    to_rows: Any

    @classmethod
    def of(cls, limit: int) -> _Room:
        """Make room for so many rows."""
        similarities, rows = np.empty(limit, np.float32), np.empty(limit, np.int64)
        return cls(limit, similarities, rows, faiss.swig_ptr(similarities), faiss.swig_ptr(rows))


class _FlatMemory:
    """The memory of a flat index, as NumPy takes it: read-only, and it keeps the index alive."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self.__array_interface__ = {
            "version": 3,
            "shape": (index.ntotal, index.d),
            "typestr": np.dtype(np.float32).str,
            "data": (int(index.get_xb()), True),
        }


def nearest_exactly(
    matrix: NDArray[np.float32],
    queries: NDArray[np.float32],
    limit: int,
    selection: Selection | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Compare queries with every row of a matrix, without an index; see :meth:`Vectors.search`.

    Parameters
    ----------
    matrix : ndarray, shape (n, dimension), float32
    queries : ndarray, shape (n_queries, dimension), float32
    limit : int
        At most the number of rows that may be found.
    selection : Selection, optional
    """
    rows = None if selection is None else selection.rows
    compared = matrix if rows is None else matrix[rows]
    search = partial(faiss.knn, queries, compared, limit, metric=faiss.METRIC_INNER_PRODUCT)
    similarities, found = _on_one_thread(search) if len(queries) == 1 else search()
    if queries.size >= BLAS_THRESHOLD:
        similarities = _inner_products(compared, found, queries)
    return similarities, found if rows is None else rows[found]


def _inner_products(
    matrix: NDArray[np.float32], rows: NDArray[np.int64], queries: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Compute inner products of queries with some rows of a matrix, each by itself.

    The result for a pair does not depend on what is computed beside it, as a matrix product's does.
    FAISS itself does the same where it does not multiply matrices.

    Parameters
    ----------
    matrix : ndarray, shape (n, dimension), float32, C-contiguous
    rows : ndarray, shape (n_queries, n_rows), int64, C-contiguous
        -1 for none.
    queries : ndarray, shape (n_queries, dimension), float32, C-contiguous

    Returns
    -------
    ndarray, shape (n_queries, n_rows), float32
        ``-inf`` where there is no row.
    """
    products = np.empty(rows.shape, np.float32)
    faiss.fvec_inner_products_by_idx(
        faiss.swig_ptr(products),
        faiss.swig_ptr(queries),
        faiss.swig_ptr(matrix),
        faiss.swig_ptr(rows),
        matrix.shape[1],
        *rows.shape,
    )
    return products


def _on_one_thread(call: Any, *arguments: Any) -> Any:
    """Call FAISS with one OpenMP thread, and leave the calling thread's number as it was."""
    threads = faiss.omp_get_max_threads()
    if threads == 1:
        return call(*arguments)
    faiss.omp_set_num_threads(1)
    try:
        return call(*arguments)
    finally:
        faiss.omp_set_num_threads(threads)
