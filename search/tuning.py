"""Measuring how an inverted file must be asked.

How many lists of an inverted file a query must visit depends on how the vectors lie. So it is
measured on the index itself: some of its performances, none of which trained it, ask for their
neighbours, and the answers are compared with those of an exact search. The smallest ``nprobe`` that
surely finds the wanted share of the true nearest ten is kept in the manifest, with all that was
measured on the way. Surely: what a thousand queries find is off from what all would find by about
the standard error of their mean, and the least effort at which they just reach the share is too
little as often as too much. So they must find the share and one standard error more.

Where the lists hold codes, that is done for several ``k_factor``, and the quickest pair is kept.
Such lists can also be chosen by a ``gap`` (:mod:`coverdex.search.probing`): for each ``k_factor``
that reached the recall the least gap that does so too is sought, in thousandths, and kept beside
the ``nprobe`` if it is quicker. A figure from other data would not do: synthetic clusters flatter
an inverted file, and vectors that fill all 64 dimensions evenly defeat it, because the true
neighbours then lie in a quarter of all lists.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .coded_lists import CodedLists
from .inverted_file import inverted_file_in, inverted_file_parameters, is_refined
from .vectors import faiss, nearest_exactly

_log = logging.getLogger(__name__)

#: Vectors that train an approximate index are drawn with this seed.
TRAINING_SEED = 1
#: Vectors per list of an inverted file that train it; FAISS warns below 39.
TRAINING_VECTORS_PER_LIST = 64
#: Performances that ask, at most.
N_QUERIES = 1_000
QUERY_SEED = 2
#: Of them, those that are also timed against all vectors, one by one.
N_EXACT = 20
#: How much quicker an inverted file must be than comparing one by one to be kept.
WORTH_IT = 2.0
#: Neighbours that are compared: the first ten decide, a hundred are reported.
DEPTHS = (10, 100)
#: How many times as many as wanted are compared again, where the lists hold codes.
K_FACTORS = (32, 16, 8, 4)
#: More lists than these are not tried once the recall has stopped growing by this much: the codes
#: and not the lists are then what loses it.
_STALLED = 5e-4
#: The steps in which a gap is sought: thousandths.
_GAP_STEPS = 1_000
#: How far the first one tried is from the next, in such steps, before the distance is doubled.
_FIRST_STEP = 16
_DECIDES = f"recall_at_{DEPTHS[0]}"
_ERROR = f"{_DECIDES}_error"


def training_rows(n: int, n_lists: int) -> NDArray[np.int64] | None:
    """Say which of ``n`` vectors train an inverted file, ascending; None for all of them.

    Seeded, so that the same vectors give the same index.
    """
    wanted = n_lists * TRAINING_VECTORS_PER_LIST
    if n <= wanted:
        return None
    return np.sort(np.random.default_rng(TRAINING_SEED).choice(n, wanted, replace=False))


def measure(
    index: Any, embeddings: NDArray[np.float32], *, recall: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Find how an inverted file of embeddings is asked most quickly at a recall.

    Parameters
    ----------
    index : faiss.Index
        Holds an inverted file; filled with the embeddings, row for row.
    embeddings : ndarray, shape (n, dimension), float32
    recall : float
        Share of the true nearest ten to find.

    Returns
    -------
    search_parameters : dict
        ``{"nprobe": ...}``, with ``"k_factor"`` where the lists hold codes, and ``"gap"`` where
        that is quicker; the last tried if none reached it.
    measured : dict
        ``n_queries``, whether the recall was ``reached``, and for all that was tried the recall at
        each depth, its standard error at ten, and the queries per second of one thread, top ten;
        the same of comparing one by one. Where a gap was tried, ``nprobe`` is how many lists that
        came to on the average.
    """
    inverted_file = inverted_file_in(index)
    n_lists = int(inverted_file.nlist)
    rows = _asking_rows(len(embeddings), n_lists)
    _log.info("measuring how it is asked at recall %s, with %s queries", recall, f"{len(rows):,}")
    queries = np.ascontiguousarray(embeddings[rows])
    depth = min(max(DEPTHS), len(embeddings) - 1)
    _, exact = nearest_exactly(embeddings, queries, depth + 1)
    asked = _Asked(index, queries, rows, _without_self(exact, rows, depth), recall)
    if is_refined(index):
        least, least_gap = 1, 0
        for k_factor in K_FACTORS:
            reached_at = asked.climb(_probes(n_lists, least), k_factor)
            if reached_at is None:
                break  # comparing fewer again reaches less
            least_gap = asked.close_in(k_factor, reached_at, least_gap)
            least = reached_at
    else:
        asked.climb(_probes(n_lists), None)
    best = asked.best()
    return asked.parameters(best), {
        "n_queries": len(rows),
        "reached": asked.reached(best),
        "queries_per_second": best["queries_per_second"],
        "exact_queries_per_second": round(_exact_rate(embeddings, queries[:N_EXACT])),
        "tried": asked.tried,
    }


class _Asked:
    """An index, who asks it, and what was tried."""

    def __init__(
        self,
        index: Any,
        queries: NDArray[np.float32],
        rows: NDArray[np.int64],
        truth: NDArray[np.int64],
        recall: float,
    ) -> None:
        self._index, self._queries, self._rows, self._truth = index, queries, rows, truth
        self._recall = recall
        self._coded_lists = CodedLists.of(index)
        self._n_probe_beside: dict[tuple[float, int], int] = {}
        self.tried: list[dict[str, Any]] = []

    def climb(self, probes: Sequence[int], k_factor: int | None) -> int | None:
        """Try ever more lists until the recall is reached; return how many that took."""
        before = -1.0
        for n_probe in probes:
            entry = self._try(n_probe, k_factor)
            self.tried.append(entry)
            if self.reached(entry):
                return n_probe
            found = entry[_DECIDES]
            if k_factor is not None and found > 0.5 and found - before < _STALLED:
                return None
            before = found
        return None

    def close_in(self, k_factor: int, n_probe: int, least: int) -> int:
        """Seek the least gap that reaches the recall, where the lists can be chosen by one.

        Parameters
        ----------
        k_factor : int
        n_probe : int
            How many lists reach it with this ``k_factor`` if that is one number for all queries.
        least : int
            A gap from which to seek on, in thousandths.

        Returns
        -------
        int
            The least gap, in thousandths; ``least`` if there is none.
        """
        if self._coded_lists is None:
            return least
        low = high = least
        step = _FIRST_STEP
        while not self._reaches(high, k_factor):
            if high >= 2 * _GAP_STEPS:
                return least  # all lists, and still not enough
            low, high, step = high + 1, high + step, 2 * step
        while low < high:
            middle = (low + high) // 2
            if self._reaches(middle, k_factor):
                high = middle
            else:
                low = middle + 1
        entry = self._try_gap(self._coded_lists, high / _GAP_STEPS, k_factor)
        self.tried.append(entry)
        self._n_probe_beside[entry["gap"], k_factor] = n_probe
        return high

    def parameters(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """Return how to ask as in one of those tried; lists are also counted where there is a gap.

        Answers for which a gap was not measured, long ones and those of a selection, take that
        number of lists.
        """
        found = {name: entry[name] for name in ("nprobe", "k_factor", "gap") if name in entry}
        if "gap" in entry:
            found["nprobe"] = self._n_probe_beside[entry["gap"], entry["k_factor"]]
        return found

    def reached(self, entry: Mapping[str, Any]) -> bool:
        """Say whether one of those tried has the recall, and a standard error to spare."""
        return _is_enough(entry[_DECIDES], entry[_ERROR], self._recall)

    def best(self) -> dict[str, Any]:
        """Return the quickest that has the recall; the last if none has."""
        enough = [entry for entry in self.tried if self.reached(entry)]
        return max(enough, key=lambda e: e["queries_per_second"]) if enough else self.tried[-1]

    def _try(self, n_probe: int, k_factor: int | None) -> dict[str, Any]:
        entry: dict[str, Any] = {"nprobe": n_probe}
        if k_factor is not None:
            entry["k_factor"] = k_factor
        parameters = inverted_file_parameters(self._index, n_probe, k_factor or 1)
        self._measure(
            entry, lambda limit: self._index.search(self._queries, limit, params=parameters)
        )
        return entry

    def _try_gap(self, lists: CodedLists, gap: float, k_factor: int) -> dict[str, Any]:
        probed = round(lists.n_probed(self._queries, gap))
        entry: dict[str, Any] = {"nprobe": probed, "k_factor": k_factor, "gap": gap}
        self._measure(
            entry, lambda limit: lists.search(self._queries, limit, gap=gap, k_factor=k_factor)
        )
        return entry

    def _reaches(self, n_steps: int, k_factor: int) -> bool:
        """Say whether the first ten are found as well as is wanted with a gap."""
        lists, depth = self._coded_lists, min(DEPTHS[0], self._truth.shape[1])
        assert lists is not None
        _, found = lists.search(
            self._queries, depth + 1, gap=n_steps / _GAP_STEPS, k_factor=k_factor
        )
        return _is_enough(*self._recall_of(found, depth), self._recall)

    def _measure(self, entry: dict[str, Any], ask: Callable[[int], Any]) -> None:
        """Put recall and speed of a way to ask into its entry."""
        rates = []
        # The depth decides how many are compared again, so each is asked for by itself.
        for depth in DEPTHS:
            shown = min(depth, self._truth.shape[1])
            found, rate = _timed(partial(ask, shown + 1), len(self._queries))
            recall, error = self._recall_of(found, shown)
            entry[f"recall_at_{depth}"] = recall
            if depth == DEPTHS[0]:
                entry[_ERROR] = error
            rates.append(rate)
        entry["queries_per_second"] = round(rates[0])

    def _recall_of(self, found: NDArray[np.int64], depth: int) -> tuple[float, float]:
        """Say which share of the true neighbours at a depth was found, one more asked for.

        Also the standard error of that share, by query: the neighbours of one are missed together.
        """
        near = self._truth[:, :depth]
        was_found = near[:, :, None] == _without_self(found, self._rows, depth)[:, None]
        shares = was_found.any(axis=2).mean(axis=1)
        return round(float(shares.mean()), 4), round(float(shares.std()) / len(shares) ** 0.5, 4)


def _is_enough(recall: float, error: float, wanted: float) -> bool:
    """Say whether a recall that was measured with an error is surely what is wanted."""
    return recall - error >= wanted - 1e-9  # both have four digits


def is_worth_it(measured: Mapping[str, Any]) -> bool:
    """Say whether the recall was reached, :data:`WORTH_IT` times as quickly as one by one."""
    rate = measured["queries_per_second"]
    quick = rate >= WORTH_IT * measured["exact_queries_per_second"]
    return bool(measured["reached"]) and quick


def _exact_rate(embeddings: NDArray[np.float32], queries: NDArray[np.float32]) -> float:
    """Compare single queries with every vector on one thread; return the queries per second."""
    start = time.perf_counter()
    for query in queries:
        nearest_exactly(embeddings, query[np.newaxis], min(DEPTHS[0], len(embeddings)))
    return len(queries) / (time.perf_counter() - start)


def _asking_rows(n: int, n_lists: int) -> NDArray[np.int64]:
    """Choose performances that did not train the index; any, if all did."""
    trained = training_rows(n, n_lists)
    held_out = np.setdiff1d(np.arange(n), trained) if trained is not None else np.arange(n)
    chosen = np.random.default_rng(QUERY_SEED).choice(
        held_out, min(N_QUERIES, len(held_out)), replace=False
    )
    return np.sort(chosen)


def _probes(n_lists: int, least: int = 1) -> list[int]:
    """Numbers of lists to try from ``least`` on: each about 1.2 times the last, up to all."""
    steps = {least, *(round(2 ** (i / 4)) for i in range(4 * n_lists.bit_length()))}
    return [*sorted(step for step in steps if least <= step < n_lists), n_lists]


def _timed(ask: Callable[[], Any], n_queries: int) -> tuple[NDArray[np.int64], float]:
    """Search on one thread; return the rows found and the queries per second."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        start = time.perf_counter()
        _, rows = ask()
        rate = n_queries / (time.perf_counter() - start)
    finally:
        faiss.omp_set_num_threads(threads)
    return rows, rate


def _without_self(
    found: NDArray[np.int64], rows: NDArray[np.int64], depth: int
) -> NDArray[np.int64]:
    """Take each query's own row out of its list; the last one where it is not in it."""
    own = found == rows[:, np.newaxis]
    own[~own.any(axis=1), -1] = True
    others: NDArray[np.int64] = found[~own].reshape(len(rows), depth)
    return others
