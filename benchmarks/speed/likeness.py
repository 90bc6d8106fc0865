"""How like real embeddings the extended ones are: the check that they are not easier.

A catalogue of real embeddings and one of the same size, of which only a part is real and the rest
drawn by :mod:`.extended_embeddings`, get inverted files of the same kind; the same held-out real
queries are asked of both at growing numbers of lists. If the extended one reached a recall with
fewer lists, figures on extended data would flatter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .extended_embeddings import drawn_between, neighbours_of
from .recall import recall_of

#: Real vectors of the comparison, of which each factor's share stays in the extended one.
SIZE = 65_536
FACTORS = (4, 32)
PROBES = (16, 32, 64, 96, 128)
LIMIT = 10


def likeness(
    base: NDArray[np.float32],
    queries: NDArray[np.float32],
    *,
    size: int = SIZE,
    factors: Sequence[int] = FACTORS,
    probes: Sequence[int] = PROBES,
) -> list[dict[str, Any]]:
    """Measure recall@10 against lists visited, on real and on extended embeddings of one size.

    Parameters
    ----------
    base : ndarray, shape (n, dimension), float32
        Real ones; at most ``size`` are used.
    queries : ndarray, shape (n_queries, dimension), float32
        Real, not among them.
    size : int
    factors : sequence of int
        How many times as many vectors the extended catalogues have as real ones.
    probes : sequence of int
        Lists visited.

    Returns
    -------
    list of dict
        ``vectors`` (``"real"`` or ``"extended N times"``), ``nearest`` (mean distance of a query to
        its nearest) and ``recall_at_<probe>``.
    """
    size = min(size, len(base))
    catalogues = {"real": base[:size]}
    for factor in factors:
        kept = base[: max(2, size // factor)]
        drawn = drawn_between(
            kept, neighbours_of(kept), size - len(kept), np.random.default_rng([13, factor])
        )
        catalogues[f"extended {factor} times"] = np.concatenate([kept, drawn])
    return [
        {"vectors": name, "n": len(vectors), **_recalls(vectors, queries, probes)}
        for name, vectors in catalogues.items()
    ]


def _recalls(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], probes: Sequence[int]
) -> dict[str, float]:
    from ...search.vectors import faiss, nearest_exactly

    similarities, truth = nearest_exactly(vectors, queries, LIMIT)
    n_lists = max(1, len(vectors) // 64)
    index = faiss.index_factory(vectors.shape[1], f"IVF{n_lists},Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(np.ascontiguousarray(vectors))
    index.add(np.ascontiguousarray(vectors))
    distance = np.sqrt(np.maximum(0, 2 - 2 * similarities[:, 0]))
    result = {"nearest": float(distance.mean())}
    for probe in probes:
        parameters = faiss.SearchParametersIVF(nprobe=min(probe, n_lists))
        found = index.search(queries, LIMIT, params=parameters)[1]
        result[f"recall_at_{probe}"] = recall_of(found, truth)
    return result
