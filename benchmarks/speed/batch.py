"""Part ``batch``: a thousand exact queries at once, against FAISS as it is installed.

FAISS multiplies matrices for a batch only from 2,000 queries of 64 dimensions on
(``distance_compute_blas_threshold``); below, it compares one by one. :mod:`coverdex.search.vectors`
lowers that threshold, and this part says what it is worth. *As installed* is ``IndexFlatIP`` with
the threshold that a fresh process has; *tuned* is the same with ours; *Index.search* is our whole
call, with a list of candidates for each query.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .interleaving import Side, interleaved
from .measured_index import measured_index
from .part_result import Column, PartResult
from .simulated_embeddings import RealEmbeddings

COLUMNS = (
    Column("n", "vectors", ",d"),
    Column("n_queries", "queries", ",d"),
    Column("limit", "top", "d"),
    Column("threads", "threads", "d"),
    Column("ours_seconds", "Index.search, s", ".2f"),
    Column("tuned_seconds", "FAISS tuned, s", ".2f"),
    Column("installed_seconds", "FAISS as installed, s", ".2f"),
    Column("times_faster", "installed / ours", ".2f"),
)


def measure_batch(
    vectors: NDArray[np.float32],
    data: RealEmbeddings,
    work: Path,
    *,
    n_queries: int = 1_000,
    limits: Sequence[int] = (10, 100),
    threads: int = 1,
    rounds: int = 3,
    source: str = "",
) -> PartResult:
    """Measure a batch of exact queries on all of ``vectors``; see :func:`.query.measure_query`."""
    queries = np.resize(data.queries, (n_queries, vectors.shape[1]))
    rows = [_measured(vectors, queries, work, limit, threads, rounds) for limit in limits]
    return PartResult(
        part="batch",
        title="A batch of exact queries",
        settings={"source": source or data.source, "threads": threads, "rounds": rounds},
        columns=COLUMNS,
        rows=rows,
        notes=(
            f"vectors: {source or data.source}",
            "medians of rounds in turns; Index.search is the whole call, candidates included",
            f"as installed: distance_compute_blas_threshold is {installed_threshold():,}",
        ),
    )


def installed_threshold() -> int:
    """Ask a process that knows nothing of Coverdex for FAISS's own threshold."""
    code = "import faiss; print(faiss.cvar.distance_compute_blas_threshold)"
    asked = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(asked.stdout)


def _measured(
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    work: Path,
    limit: int,
    threads: int,
    rounds: int,
) -> dict[str, Any]:
    from ...search.vectors import BLAS_THRESHOLD, faiss

    path = work / f"flat-{len(vectors)}.index"
    index = measured_index(vectors, path)
    plain = faiss.read_index(str(path / "vectors.faiss"), faiss.IO_FLAG_MMAP_IFC)
    as_installed = installed_threshold()

    def alone(threshold: int) -> Side:
        def search(_: int) -> object:
            faiss.cvar.distance_compute_blas_threshold = threshold
            try:
                return plain.search(queries, limit)
            finally:
                faiss.cvar.distance_compute_blas_threshold = BLAS_THRESHOLD

        return search

    sides: dict[str, Side] = {
        "ours": lambda _: index.search(queries, limit=limit),
        "tuned": alone(BLAS_THRESHOLD),
        "installed": alone(as_installed),
    }
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        times = interleaved(sides, rounds=rounds, warm_up=1)
    finally:
        faiss.omp_set_num_threads(before)
    medians = {name: timing.median for name, timing in times.items()}
    return {
        "n": len(vectors),
        "n_queries": len(queries),
        "limit": limit,
        "threads": threads,
        **{f"{name}_seconds": seconds for name, seconds in medians.items()},
        "times_faster": medians["installed"] / medians["ours"],
        "times_tuned": medians["ours"] / medians["tuned"],
    }
