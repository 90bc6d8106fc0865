"""Part ``query``: one exact query, our whole call against FAISS alone and against the memory.

Comparing a query with every vector reads all of them once, so it cannot be quicker than memory is
read. Three times stand side by side, on one thread, on the same file in the same pages:

* *Index.search*: what a user calls; checks the query, asks FAISS, ranks, describes ten candidates;
* *FAISS*: ``IndexFlatIP.search`` for the same ten, tuned to one thread;
* *reading*: going through as many bytes once, the quickest of NumPy's and torch's sums and a BLAS
  dot product. At 15,000 vectors (4 MB) and 100,000 (26 MB) this is the speed of a cache; at
  1,000,000 (256 MB) that of the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .interleaving import Side, interleaved
from .measured_index import measured_index
from .part_result import Column, PartResult
from .simulated_embeddings import RealEmbeddings

LIMIT = 10
#: Rounds at 1,000,000 vectors; smaller ones get more, so that each size takes about as long.
_ROUNDS_AT_A_MILLION = 60
_MOST_ROUNDS = 1_000

COLUMNS = (
    Column("n", "vectors", ",d"),
    Column("ours_ms", "Index.search, ms", ".3f"),
    Column("faiss_ms", "FAISS alone, ms", ".3f"),
    Column("times_faiss", "ours / FAISS", ".2f"),
    Column("faiss_gb_per_second", "FAISS, GB/s", ".1f"),
    Column("reading_gb_per_second", "reading, GB/s", ".1f"),
    Column("share_of_reading", "FAISS / reading", ".2f"),
)


def measure_query(
    vectors: NDArray[np.float32],
    data: RealEmbeddings,
    work: Path,
    *,
    sizes: Sequence[int],
    rounds: int | None = None,
    source: str = "",
) -> PartResult:
    """Measure one query at each size.

    Parameters
    ----------
    vectors : ndarray, shape (n, dimension), float32
        At least the largest of ``sizes``; each takes the first.
    data : RealEmbeddings
        For its queries.
    work : Path
        Keeps the indexes.
    sizes : sequence of int
    rounds : int, optional
        If not given, by size.
    source : str
        What the vectors are.
    """
    rows = [_measured(vectors[:n], data.queries, work, rounds) for n in sizes]
    return PartResult(
        part="query",
        title="One exact query",
        settings={
            "source": source or data.source,
            "limit": LIMIT,
            "threads": 1,
            "sizes": list(sizes),
        },
        columns=COLUMNS,
        rows=rows,
        notes=(
            "one thread, top 10, medians of rounds in turns",
            f"vectors: {source or data.source}",
        ),
    )


def _measured(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], work: Path, rounds: int | None
) -> dict[str, Any]:
    from ...search.vectors import faiss

    n = len(vectors)
    path = work / f"flat-{n}.index"
    index = measured_index(vectors, path)
    # The same pages of the same file, so that neither side finds its vectors nearer than the other.
    bare = faiss.read_index(str(path / "vectors.faiss"), faiss.IO_FLAG_MMAP_IFC)
    blocks = [queries[i : i + 1] for i in range(min(len(queries), 256))]
    single = [block[0] for block in blocks]

    def ours(number: int) -> object:
        return index.search(single[number % len(single)], limit=LIMIT)

    def alone(number: int) -> object:
        return bare.search(blocks[number % len(blocks)], LIMIT)

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        sides: dict[str, Side] = {"ours": ours, "faiss": alone, **_readers(n * vectors.shape[1])}
        count = rounds or min(_MOST_ROUNDS, max(1, _ROUNDS_AT_A_MILLION * 1_000_000 // n))
        times = interleaved(sides, rounds=count, warm_up=min(3, count))
    finally:
        faiss.omp_set_num_threads(threads)
    readers = {name: t.median for name, t in times.items() if name.startswith("reading")}
    quickest = min(readers, key=readers.__getitem__)
    n_bytes = vectors.nbytes
    ours_s, faiss_s = times["ours"].median, times["faiss"].median
    return {
        "n": n,
        "bytes": n_bytes,
        "rounds": count,
        "ours_ms": 1e3 * ours_s,
        "ours_p95_ms": 1e3 * times["ours"].percentile(95),
        "faiss_ms": 1e3 * faiss_s,
        "times_faiss": ours_s / faiss_s,
        "faiss_gb_per_second": n_bytes / faiss_s / 1e9,
        "reading_gb_per_second": n_bytes / readers[quickest] / 1e9,
        "reading_by": quickest,
        "share_of_reading": readers[quickest] / faiss_s,
    }


def _readers(n_numbers: int) -> dict[str, Side]:
    """Make ways to go through so many float32 once, on one thread."""
    import torch

    numbers = np.ones(n_numbers, np.float32)
    tensor = torch.from_numpy(numbers)
    torch.set_num_threads(1)
    ways: dict[str, Callable[[], object]] = {
        "reading by numpy.sum": numbers.sum,
        "reading by torch.sum": tensor.sum,
        "reading by numpy.dot": lambda: np.dot(numbers, numbers),
    }

    def side(way: Callable[[], object]) -> Side:
        return lambda _: way()

    return {name: side(way) for name, way in ways.items()}
