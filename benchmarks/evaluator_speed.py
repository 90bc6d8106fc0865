"""How fast the evaluator is, and in how much memory, against the plain way.

The plain way computes all similarities with torch, sorts every row and reads the metrics off the
sorted rows: n x n floats, n x n positions, n x n flags. Ours counts in blocks. Both run on the same
planted catalogue of Da-TACOS' size, one after the other in processes of their own, so that each has
its own peak of memory; only their ratio is meant to be read.

``coverdex benchmark evaluator-speed --threads 2`` prints both; so does ``python -m
coverdex.benchmarks.evaluator_speed``.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .peak_memory import own_peak
from .planted_catalogue import planted_embeddings, works_of_sizes

_MIB = 2**20


def counted(embeddings: NDArray[np.float32], works: Sequence[str]) -> dict[str, Any]:
    """Evaluate with this package: everything that a summary has, intervals included."""
    from .metrics import evaluate_embeddings

    summary = evaluate_embeddings(embeddings, works).summary()
    return {name: summary[name] for name in ("map", "mr1", "mrr", "hits_at_1")}


def sorted_in_full(embeddings: NDArray[np.float32], works: Sequence[str]) -> dict[str, Any]:
    """Evaluate the plain way: a full matrix, a full sort, ties as they come, no intervals."""
    import torch

    vectors = torch.from_numpy(embeddings)
    _, number = np.unique(np.asarray(works), return_inverse=True)
    work = torch.from_numpy(number)
    similarity = vectors @ vectors.T
    similarity.fill_diagonal_(-float("inf"))
    order = torch.argsort(similarity, dim=1, descending=True)
    found = (work[order] == work[:, None]).float()
    found[:, -1] = 0  # the query itself is last
    n_covers = found.sum(dim=1)
    ranks = torch.arange(1, len(works) + 1)
    precision = found.cumsum(dim=1) / ranks
    is_query = n_covers > 0
    average_precision = (precision * found).sum(dim=1)[is_query] / n_covers[is_query]
    first = found.argmax(dim=1)[is_query] + 1.0
    return {
        "map": float(average_precision.mean()),
        "mr1": float(first.mean()),
        "mrr": float((1 / first).mean()),
        "hits_at_1": float((first == 1).float().mean()),
    }


WAYS: dict[str, Callable[[NDArray[np.float32], Sequence[str]], dict[str, Any]]] = {
    "coverdex": counted,
    "plain": sorted_in_full,
}


def measured(way: str, sizes: Sequence[int], threads: int) -> dict[str, Any]:
    """Run one way in a process of its own; seconds, CPU seconds, peak memory, figures."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    # Libraries read the number of threads when they are loaded, which spawning does anew.
    before = dict(os.environ)
    os.environ.update({"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)})
    process = context.Process(target=_measure, args=(sender, way, tuple(sizes)))
    process.start()
    os.environ.clear()
    os.environ.update(before)
    sender.close()
    try:
        result: dict[str, Any] = receiver.recv()
    except EOFError:
        result = {"failed": "the process died, probably for want of memory"}
    process.join()
    return result


def _measure(sender: Any, way: str, sizes: tuple[int, ...]) -> None:
    works = works_of_sizes(sizes)
    embeddings = planted_embeddings(works)
    if way == "plain":
        import torch  # loading it is not part of the work

        del torch
    from . import metrics  # noqa: F401

    idle = own_peak()
    start, busy = time.perf_counter(), time.process_time()
    figures = WAYS[way](embeddings, works)
    sender.send(
        {
            "seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - busy,
            "peak_mib": own_peak() / _MIB,
            "peak_mib_before": idle / _MIB,
            **figures,
        }
    )


def compare_ways(works: int, noise_works: int, threads: int) -> dict[str, Any]:
    """Measure both ways.

    Parameters
    ----------
    works, noise_works : int
        Works of 13 performances, and of one.
    threads : int
        That each way may use.

    Returns
    -------
    dict
        ``coverdex`` and ``plain`` as :func:`measured` gives them, ``times_faster``,
        ``times_less_cpu`` and ``times_less_memory`` where neither failed, and the environment.
    """
    from .report.run import environment

    sizes = (13,) * works + (1,) * noise_works
    results = {way: measured(way, sizes, threads) for way in WAYS}
    document: dict[str, Any] = {"n_performances": sum(sizes), "threads": threads, **results}
    if all("seconds" in result for result in results.values()):
        ours, plain = results["coverdex"], results["plain"]
        document["times_faster"] = plain["seconds"] / ours["seconds"]
        document["times_less_cpu"] = plain["cpu_seconds"] / ours["cpu_seconds"]
        document["times_less_memory"] = plain["peak_mib"] / ours["peak_mib"]
    return {**document, "environment": environment()}


if __name__ == "__main__":
    import typer

    from .evaluator_speed_command import evaluator_speed

    typer.run(evaluator_speed)
