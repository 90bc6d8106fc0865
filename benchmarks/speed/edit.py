"""Part ``edit``: adding and removing while the index is asked.

Single performances are added and removed one by one, and batches of 256 added, once as the editor
does it (each change is on the disk when its call returns) and once without waiting for the disk
(``durable=False``); both in turns. Meanwhile another process, which follows the index as a service
does, asks one query after the other: its latency is taken before the changes and during them, in
both cases with one core left to each process.
"""

from __future__ import annotations

import multiprocessing
import shutil
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .measured_index import ENCODER_ID, made_up_performances, measured_index
from .part_result import Column, PartResult
from .simulated_embeddings import RealEmbeddings

#: Performances of an added batch.
BATCH = 256
#: Seconds for which the asking process is watched before the changes begin.
_BEFORE = 2.0

COLUMNS = (
    Column("n", "vectors", ",d"),
    Column("change", "change"),
    Column("durable_per_second", "performances/s, on the disk", ",.0f"),
    Column("quick_per_second", "performances/s, without fsync", ",.0f"),
    Column("times", "without / with", ".1f"),
    Column("p50_before_ms", "query before, p50, ms", ".2f"),
    Column("p95_before_ms", "p95", ".2f"),
    Column("p50_during_ms", "query during, p50, ms", ".2f"),
    Column("p95_during_ms", "p95", ".2f"),
)


def measure_edit(
    vectors: NDArray[np.float32],
    data: RealEmbeddings,
    work: Path,
    *,
    sizes: Sequence[int],
    n_changes: int = 300,
    n_batches: int = 8,
    source: str = "",
) -> PartResult:
    """Measure changes to an index of each size; see :func:`.query.measure_query`.

    Parameters
    ----------
    n_changes : int
        Single additions, and as many removals.
    n_batches : int
        Additions of :data:`BATCH` at once.
    """
    rows = [
        row
        for n in sizes
        for row in _measured(vectors[:n], data.queries, work, n_changes, n_batches)
    ]
    return PartResult(
        part="edit",
        title="Changing an index while it is asked",
        settings={"source": source or data.source, "changes": n_changes, "batches": n_batches},
        columns=COLUMNS,
        rows=rows,
        notes=(
            "one process changes the index, another follows it and asks exact queries, top 10, "
            "without pause; the latencies during changes are those of changes on the disk",
            f"batches are of {BATCH} performances",
            f"vectors: {source or data.source}",
        ),
    )


def _measured(
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    work: Path,
    n_changes: int,
    n_batches: int,
) -> list[dict[str, Any]]:
    n = len(vectors)
    original = work / f"flat-{n}.index"
    measured_index(vectors, original)
    copies = {durable: work / f"edited-{n}-{durable}.index" for durable in (True, False)}
    for copy in copies.values():
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(original, copy)
    try:
        return [
            {"n": n, **_change(copies, change, vectors, queries, count, per_call)}
            for change, count, per_call in (
                ("add one", n_changes, 1),
                ("remove one", n_changes, 1),
                (f"add {BATCH}", n_batches, BATCH),
            )
        ]
    finally:
        for copy in copies.values():
            shutil.rmtree(copy, ignore_errors=True)


def _change(
    copies: dict[bool, Path],
    change: str,
    vectors: NDArray[np.float32],
    queries: NDArray[np.float32],
    count: int,
    per_call: int,
) -> dict[str, Any]:
    """Change both copies in turns, and watch who asks the durable one."""
    from ...search import IndexEditor

    calls = _calls(change, vectors, count, per_call)
    seconds = {True: 0.0, False: 0.0}
    with (
        _Asking(copies[True], queries) as asking,
        IndexEditor(copies[True]) as slow,
        IndexEditor(copies[False], durable=False) as quick,
    ):
        time.sleep(_BEFORE)
        before = asking.latencies()
        editors = {True: slow, False: quick}
        # All durable ones in one go: the latencies that are taken meanwhile are theirs alone.
        for durable, editor in editors.items():
            start = time.perf_counter()
            for method, arguments in calls:
                getattr(editor, method)(*arguments[0], **arguments[1])
            seconds[durable] = time.perf_counter() - start
            if durable:
                during = asking.latencies()
    n_changed = count * per_call
    return {
        "change": change,
        "performances": n_changed,
        "durable_per_second": n_changed / seconds[True],
        "quick_per_second": n_changed / seconds[False],
        "times": seconds[True] / seconds[False],
        **_percentiles(before, "before"),
        **_percentiles(during, "during"),
    }


def _calls(
    change: str, vectors: NDArray[np.float32], count: int, per_call: int
) -> list[tuple[str, tuple[tuple[Any, ...], dict[str, Any]]]]:
    """List the editor's calls; what is removed was there from the beginning."""
    if change == "remove one":
        names = made_up_performances(0, count).column("performance_id").to_pylist()
        return [("remove", (([name],), {})) for name in names]
    first = 10 * len(vectors) * (1 if per_call == 1 else 2)
    rng = np.random.default_rng(3)
    calls = []
    for start in range(first, first + count * per_call, per_call):
        added = vectors[np.sort(rng.integers(0, len(vectors), per_call))]
        table = made_up_performances(start, start + per_call)
        calls.append(("add", ((table, np.array(added)), {"encoder_id": ENCODER_ID})))
    return calls


def _percentiles(seconds: Sequence[float], when: str) -> dict[str, float | None]:
    if not seconds:
        return {f"p50_{when}_ms": None, f"p95_{when}_ms": None}
    return {f"p{share}_{when}_ms": 1e3 * float(np.percentile(seconds, share)) for share in (50, 95)}


class _Asking:
    """A process that follows an index and asks it without pause; use it in a ``with`` block."""

    def __init__(self, path: Path, queries: NDArray[np.float32]) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(
            target=_ask_without_pause, args=(there, path, queries[:256]), daemon=True
        )

    def __enter__(self) -> _Asking:
        self._process.start()
        self._here.recv()  # it is open
        return self

    def __exit__(self, *_: object) -> None:
        self._here.send(None)
        self._process.join()

    def latencies(self) -> list[float]:
        """Return the times of the queries since the last call, in seconds."""
        self._here.send("latencies")
        times: list[float] = self._here.recv()
        return times


def _ask_without_pause(there: Connection, path: Path, queries: NDArray[np.float32]) -> None:
    from ...search import Index

    index = Index.open(path, follow=True)
    for query in queries[:8]:
        index.search(query)
    there.send("open")
    times: list[float] = []
    number = 0
    while True:
        if there.poll():
            if there.recv() is None:
                return
            there.send(times)
            times = []
        start = time.perf_counter()
        index.search(queries[number % len(queries)])
        times.append(time.perf_counter() - start)
        number += 1
