"""Part ``approximate``: programs for approximate search at equal recall.

Each contender (:mod:`.contender`) indexes the same vectors on one thread, in a process of its own
bound to one core. The effort that just reaches the wanted recall@10 is sought for each; then all
answer the same queries in turns at that effort, in one call where they take many queries, and one
by one. Queries per second and core, bytes per vector and the CPU time of the build stand side by
side. A contender that is not installed is left out with a line that says so.

What takes long, building and seeking the effort, is kept in the work folder, so that it can be done
beforehand (``--prepare``) and the timing later, when the machine is idle.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contender import AS_PLANNED, Built, Contender, Ladder
from .contender_process import ContenderFailedError, ContenderProcess
from .graph_contenders import Hnswlib, Usearch
from .lancedb_contender import Lancedb
from .our_contender import Coverdex, CoverdexStructure, FaissGraph
from .part_result import Column, PartResult
from .pgvector_contender import PgvectorGraph, PgvectorLists
from .recall import least_effort, recall_of
from .scann_contender import Scann

CONTENDERS: tuple[type[Contender], ...] = (
    Coverdex,
    CoverdexStructure,
    Scann,
    Hnswlib,
    Usearch,
    FaissGraph,
    Lancedb,
    PgvectorLists,
    PgvectorGraph,
)
LIMIT = 10
WANTED = 0.99
#: Queries that are asked one by one.
_ALONE = 200

COLUMNS = (
    Column("n", "vectors", ",d"),
    Column("name", "program"),
    Column("setting", "asked with"),
    Column("recall", "recall@10", ".4f"),
    Column("per_second", "queries/s, many at once", ",.0f"),
    Column("ratio", "Coverdex's structure / this", ".2f"),
    Column("alone_ms", "one query, ms", ".2f"),
    Column("bytes_per_vector", "bytes per vector", ".0f"),
    Column("build_cpu_seconds", "build, CPU s", ",.0f"),
)


def prepare_approximate(
    path: Path,
    queries: NDArray[np.float32],
    work: Path,
    *,
    contenders: Sequence[type[Contender]],
    patient: bool = False,
) -> list[dict[str, Any]]:
    """Build every contender and seek its effort, as far as an earlier run has not.

    Parameters
    ----------
    path : Path
        The vectors, a ``.npy`` file of shape (n, dimension), float32.
    queries : ndarray, shape (n_queries, dimension), float32
    work : Path
        Keeps what is built.
    contenders : sequence of type
    patient : bool
        Also build those whose builds take hours at this size (:attr:`.Contender.most_vectors`).

    Returns
    -------
    list of dict
        One per contender: what was built and the setting, or ``failed`` and why.
    """
    n = len(np.load(path, mmap_mode="r"))
    truth = _truth(path, queries, work / f"truth-{n}-{len(queries)}.npy")
    prepared = []
    for kind in contenders:
        contender = kind()
        reason = contender.missing()
        if reason is None and n > contender.most_vectors and not patient:
            most = f"{contender.most_vectors:,}"
            reason = f"not built for more than {most} vectors unless it is named: it takes hours"
        known: dict[str, Any] = {"name": contender.name, "n": n}
        if reason is None:
            try:
                known |= _prepared(kind, work, path, queries, truth)
            except ContenderFailedError as error:
                reason = str(error).strip().splitlines()[-1]
        if reason is not None:
            known["failed"] = reason
            print(f"{contender.name}, {n:,} vectors: left out, {reason}", file=sys.stderr)
        prepared.append(known)
    return prepared


def measure_approximate(
    paths: Sequence[Path],
    queries: NDArray[np.float32],
    work: Path,
    *,
    source: str,
    contenders: Sequence[type[Contender]] = CONTENDERS,
    patient: bool = False,
    rounds: int = 5,
    remarks: Sequence[str] = (),
) -> PartResult:
    """Time all contenders on each file of vectors; see :func:`prepare_approximate`.

    Parameters
    ----------
    source : str
        What the vectors are.
    rounds : int
        Of all queries by all contenders in turns.
    remarks : sequence of str
        Further lines under the table.
    """
    rows, left_out = [], []
    for path in paths:
        prepared = prepare_approximate(path, queries, work, contenders=contenders, patient=patient)
        for known in prepared:
            if "failed" in known:
                left_out.append(f"{known['name']} at {known['n']:,}: {known['failed']}")
        taking_part = [
            (kind, known)
            for kind, known in zip(contenders, prepared, strict=True)
            if "failed" not in known
        ]
        rows += _timed(taking_part, queries, work, rounds)
    return PartResult(
        part="approximate",
        title=f"Approximate search at recall@{LIMIT} of {WANTED}",
        settings={
            "source": source,
            "limit": LIMIT,
            "recall_wanted": WANTED,
            "queries": len(queries),
            "rounds": rounds,
            "left_out": left_out,
        },
        columns=COLUMNS,
        rows=rows,
        notes=(
            f"vectors: {source}",
            f"{len(queries):,} queries that are not among the vectors; one core each; medians of "
            f"{rounds} rounds in turns; build on one thread",
            *remarks,
            *(f"left out: {line}" for line in left_out),
        ),
    )


def _truth(path: Path, queries: NDArray[np.float32], kept: Path) -> NDArray[np.int64]:
    """Find the true neighbours, or read them."""
    from ...search.vectors import nearest_exactly

    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        vectors = np.load(path, mmap_mode="r")
        np.save(kept, nearest_exactly(np.asarray(vectors), queries, LIMIT)[1])
    truth: NDArray[np.int64] = np.load(kept)
    return truth


def _folder(kind: type[Contender], work: Path, n: int) -> Path:
    return work / f"{kind().folder_name}-{n}"


def _prepared(
    kind: type[Contender],
    work: Path,
    path: Path,
    queries: NDArray[np.float32],
    truth: NDArray[np.int64],
) -> dict[str, Any]:
    n = len(np.load(path, mmap_mode="r"))
    folder = _folder(kind, work, n)
    kept = work / f"{folder.name}-{kind.__name__}-effort.json"
    if kept.exists() and Built.read(folder) is not None:
        known: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return known
    with ContenderProcess(kind, folder) as process:
        built = process.build(path)
        settings, ladders = process.open(n)
        setting = _quickest(process, ladders, queries, truth)
    found = {
        "settings": settings,
        "parameters": setting,
        "setting": ", ".join(
            name if name == AS_PLANNED else f"{name} {value}" for name, value in setting.items()
        ),
        "bytes_per_vector": built.n_bytes / n,
        "build_cpu_seconds": built.cpu_seconds,
    }
    kept.write_text(json.dumps(found), encoding="utf-8")
    return found


def _quickest(
    process: ContenderProcess,
    ladders: Sequence[Ladder],
    queries: NDArray[np.float32],
    truth: NDArray[np.int64],
) -> dict[str, Any]:
    """Seek each ladder's least effort; take the setting that costs the least CPU time."""

    def recall(setting: dict[str, Any]) -> float:
        return recall_of(process.search(queries, LIMIT, setting).rows, truth)

    best: tuple[float, dict[str, Any]] | None = None
    for ladder in ladders:
        alone = len(ladders) == 1 and ladder.low == ladder.high
        setting = ladder.setting(ladder.low) if alone else least_effort(recall, ladder, WANTED)
        if setting is None:
            continue
        cost = min(process.search(queries, LIMIT, setting).cpu_seconds for _ in range(2))
        if best is None or cost < best[0]:
            best = cost, setting
    if best is None:
        raise ContenderFailedError(f"recall {WANTED} is not reached at any effort")
    return best[1]


def _timed(
    taking_part: Sequence[tuple[type[Contender], dict[str, Any]]],
    queries: NDArray[np.float32],
    work: Path,
    rounds: int,
) -> list[dict[str, Any]]:
    """Let all answer in turns; one row each."""
    with ExitStack() as stack:
        processes = []
        for kind, known in taking_part:
            folder = _folder(kind, work, known["n"])
            process = stack.enter_context(ContenderProcess(kind, folder))
            process.open(known["n"])
            process.search(queries[:_ALONE], LIMIT, known["parameters"])  # warm
            processes.append((process, known))
        answers: dict[str, list[Any]] = {known["name"]: [] for _, known in processes}
        for number in range(rounds):
            first = number % max(1, len(processes))
            for process, known in processes[first:] + processes[:first]:
                answers[known["name"]].append(process.search(queries, LIMIT, known["parameters"]))
        alone = {
            known["name"]: process.search_one_by_one(queries[:_ALONE], LIMIT, known["parameters"])
            for process, known in processes
        }
    rows = []
    for _, known in processes:
        n_queries = len(queries)
        given = answers[known["name"]]
        truth = np.load(work / f"truth-{known['n']}-{n_queries}.npy")
        rows.append(
            {
                **known,
                "recall": recall_of(given[0].rows, truth),
                "per_second": n_queries / float(np.median([a.seconds for a in given])),
                "per_cpu_second": n_queries / float(np.median([a.cpu_seconds for a in given])),
                "alone_ms": 1e3 * float(np.median(alone[known["name"]])),
            }
        )
    ours = next((row for row in rows if row["name"] == CoverdexStructure.name), None)
    for row in rows:
        row["ratio"] = ours["per_second"] / row["per_second"] if ours else None
    return rows
