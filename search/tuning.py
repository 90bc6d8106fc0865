"""Building the FAISS structure of an index, and measuring how it must be asked.

How many lists of an inverted file a query must visit depends on how the vectors lie. So it is
measured on the index itself: some of its performances, none of which trained it, ask for their
neighbours, and the answers are compared with those of an exact search. The smallest ``nprobe`` that
finds the wanted share of the true nearest ten is kept in the manifest, with all that was measured
on the way. A figure from other data would not do: synthetic clusters flatter an inverted file, and
vectors that fill all 64 dimensions evenly defeat it, because the true neighbours then lie in a
quarter of all lists. Where a planned inverted file is not :data:`WORTH_IT` times as quick as
comparing one by one, the index gets no inverted file.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import IndexFormatError
from .plan import AUTO, DEFAULT_RECALL, plan
from .vectors import faiss, nearest_exactly

#: Vectors that train an approximate index are drawn with this seed.
TRAINING_SEED = 1
#: Vectors per list of an inverted file that train it; FAISS warns below 39.
TRAINING_VECTORS_PER_LIST = 64
#: Performances that ask, at most.
N_QUERIES = 500
QUERY_SEED = 2
#: Of them, those that are also timed against all vectors, one by one.
N_EXACT = 20
#: How much quicker an inverted file must be than comparing one by one to be kept.
WORTH_IT = 2.0
#: Neighbours that are compared: the first ten decide, a hundred are reported.
DEPTHS = (10, 100)


@dataclass(frozen=True)
class Structure:
    """A FAISS index and what the manifest says about it.

    Parameters
    ----------
    index : faiss.Index
        Filled.
    factory : str
        Its factory string.
    search_parameters, plan : mapping
        See :class:`~coverdex.search.manifest.Manifest`.
    """

    index: Any
    factory: str
    search_parameters: Mapping[str, Any]
    plan: Mapping[str, Any]


def build_structure(
    embeddings: NDArray[np.float32],
    *,
    factory: str = AUTO,
    search_parameters: Mapping[str, Any] | None = None,
    memory: int | None = None,
    recall: float = DEFAULT_RECALL,
) -> Structure:
    """Plan, train, fill and measure the FAISS structure of an index.

    Parameters
    ----------
    embeddings : ndarray, shape (n, dimension), float32
    factory : str, default "auto"
        FAISS factory string; ``"auto"`` plans one (:func:`~coverdex.search.plan.plan`).
    search_parameters : mapping, optional
        How it shall be asked; measured if not given and it is an inverted file.
    memory, recall
        See :func:`~coverdex.search.plan.plan`.

    Raises
    ------
    IndexFormatError
        When FAISS does not know the factory string, or there are too few vectors to train it.
    IndexPlanError
        As :func:`~coverdex.search.plan.plan`.
    """
    said: dict[str, Any] = {}
    if factory == AUTO:
        planned = plan(len(embeddings), embeddings.shape[1], memory=memory, recall=recall)
        factory = planned.factory
        said |= planned.to_dict()
    index = build_vectors(embeddings, factory)
    if search_parameters is None and isinstance(index, faiss.IndexIVF) and len(embeddings) > 1:
        search_parameters, measured = measure(index, embeddings, recall=recall)
        said |= {"recall_wanted": recall, "measured": measured}
        if "reason" in said and not _is_worth_it(measured):
            planned = plan(*embeddings.shape, memory=memory, recall=recall, compare_all=True)
            said |= {**planned.to_dict(), "measured": {"factory": factory, **measured}}
            factory, search_parameters = planned.factory, {}
            index = build_vectors(embeddings, factory)
    return Structure(index, factory, dict(search_parameters or {}), said)


def build_vectors(embeddings: NDArray[np.float32], factory: str) -> Any:
    """Make a FAISS index of embeddings.

    Parameters
    ----------
    embeddings : ndarray, shape (n, dimension), float32
    factory : str
        FAISS factory string, such as ``"Flat"`` or ``"IVF1024,SQfp16"``.

    Returns
    -------
    faiss.Index
        Trained on a seeded sample where it needs training, and filled.

    Raises
    ------
    IndexFormatError
        When FAISS does not know the factory string, or there are too few vectors to train it.
    """
    n, dimension = embeddings.shape
    try:
        index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            rows = training_rows(n, int(getattr(index, "nlist", 256)))
            index.train(embeddings if rows is None else np.ascontiguousarray(embeddings[rows]))
        index.add(embeddings)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise IndexFormatError(
            f"FAISS cannot make {factory!r} of {n} vectors of dimension {dimension}: {reason}"
        ) from None
    return index


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
) -> tuple[dict[str, int], dict[str, Any]]:
    """Find the smallest ``nprobe`` that reaches a recall, for an inverted file of embeddings.

    Parameters
    ----------
    index : faiss.IndexIVF
        Filled with the embeddings, row for row.
    embeddings : ndarray, shape (n, dimension), float32
    recall : float
        Share of the true nearest ten to find.

    Returns
    -------
    search_parameters : dict
        ``{"nprobe": ...}``; all lists if none reached it.
    measured : dict
        ``n_queries``, whether the recall was ``reached``, and per ``nprobe`` tried the recall at
        each depth and the queries per second of one thread; the same of comparing one by one.
    """
    rows = _asking_rows(len(embeddings), int(index.nlist))
    queries = np.ascontiguousarray(embeddings[rows])
    depth = min(max(DEPTHS), len(embeddings) - 1)
    _, exact = nearest_exactly(embeddings, queries, depth + 1)
    truth = _without_self(exact, rows, depth)
    tried: list[dict[str, Any]] = []
    reached = False
    for n_probe in _probes(int(index.nlist)):
        found, rate = _ask(index, queries, depth + 1, n_probe)
        shares = _shares(_without_self(found, rows, depth), truth)
        tried.append({"nprobe": n_probe, **shares, "queries_per_second": round(rate)})
        reached = shares[f"recall_at_{DEPTHS[0]}"] >= recall
        if reached:
            break
    return {"nprobe": tried[-1]["nprobe"]}, {
        "n_queries": len(rows),
        "reached": reached,
        "exact_queries_per_second": round(_exact_rate(embeddings, queries[:N_EXACT])),
        "tried": tried,
    }


def _is_worth_it(measured: Mapping[str, Any]) -> bool:
    rate = measured["tried"][-1]["queries_per_second"]
    quick = rate >= WORTH_IT * measured["exact_queries_per_second"]
    return bool(measured["reached"]) and quick


def _exact_rate(embeddings: NDArray[np.float32], queries: NDArray[np.float32]) -> float:
    """Compare single queries with every vector on one thread; return the queries per second."""
    start = time.perf_counter()
    for query in queries:
        nearest_exactly(embeddings, query[np.newaxis], min(max(DEPTHS), len(embeddings)))
    return len(queries) / (time.perf_counter() - start)


def _asking_rows(n: int, n_lists: int) -> NDArray[np.int64]:
    """Choose performances that did not train the index; any, if all did."""
    trained = training_rows(n, n_lists)
    held_out = np.setdiff1d(np.arange(n), trained) if trained is not None else np.arange(n)
    chosen = np.random.default_rng(QUERY_SEED).choice(
        held_out, min(N_QUERIES, len(held_out)), replace=False
    )
    return np.sort(chosen)


def _probes(n_lists: int) -> list[int]:
    """Numbers of lists to try: each about 1.4 times the last, up to all."""
    steps = {round(2 ** (i / 2)) for i in range(2 * n_lists.bit_length())}
    return [*sorted(step for step in steps if step < n_lists), n_lists]


def _ask(
    index: Any, queries: NDArray[np.float32], limit: int, n_probe: int
) -> tuple[NDArray[np.int64], float]:
    """Search on one thread; return the rows found and the queries per second."""
    parameters = faiss.SearchParametersIVF()
    parameters.nprobe = n_probe
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        start = time.perf_counter()
        _, rows = index.search(queries, limit, params=parameters)
        rate = len(queries) / (time.perf_counter() - start)
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


def _shares(found: NDArray[np.int64], truth: NDArray[np.int64]) -> dict[str, float]:
    """Say at each depth which share of the true neighbours was found."""
    shares = {}
    for depth in DEPTHS:
        near = truth[:, :depth]
        was_found = (near[:, :, np.newaxis] == found[:, np.newaxis, :depth]).any(axis=2)
        shares[f"recall_at_{depth}"] = round(float(was_found.mean()), 4)
    return shares
