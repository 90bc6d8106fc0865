"""Prefetch: batches made ahead in worker processes, in the order of their steps.

A GPU learns faster than one processor core makes batches, so worker processes make them ahead, one
for each core where nothing else is asked for. Whether that is enough is measured: how long a run
waits for its batches stands in the history of every epoch.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import time
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader, Dataset

from ..errors import CoverdexError, TrainingError
from .batch import Batch, BatchSource

#: Most workers that are started unasked where each has a copy of the data.
_MOST_COPIES = 4

#: How torch says that a worker is gone.
_WORKER_ENDED = re.compile("DataLoader worker .*(exited unexpectedly|killed by signal)")


def worker_count(workers: int | Literal["auto"], device: torch.device) -> int:
    """Return how many processes make batches.

    Parameters
    ----------
    workers : int or "auto"
        ``auto`` is none where the CPU trains, whose cores would only be shared. Beside a GPU it is
        one for each core that the process may use, but one, which feeds the GPU; four at most where
        processes are spawned, so that each has a copy of the data.
    device : torch.device
        Where the run computes.
    """
    if workers != "auto":
        return workers
    if device.type == "cpu":
        return 0
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    spare = max(1, cores - 1)
    # Asked so that the method is not fixed by asking.
    fixed = multiprocessing.get_start_method(allow_none=True)
    method = fixed or multiprocessing.get_all_start_methods()[0]
    return spare if method == "fork" else min(spare, _MOST_COPIES)


class Waiting:
    """Passes batches on and adds up the time that was waited for them.

    Parameters
    ----------
    made : iterator of Batch
    """

    def __init__(self, made: Iterator[Batch]) -> None:
        self._made = made
        self._seconds = 0.0

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        started = time.perf_counter()
        try:
            return next(self._made)
        finally:
            self._seconds += time.perf_counter() - started

    def take_seconds(self) -> float:
        """Return the seconds since the last call, or since the beginning."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds


def batches(
    source: BatchSource, first: int, last: int, *, workers: int = 0, pin: bool = False
) -> Iterator[Batch]:
    """Yield the batches of steps ``first`` to ``last - 1``.

    Parameters
    ----------
    source : BatchSource
        Makes each batch from its step alone, so that the workers need not talk to one another.
    first, last : int
        Range of steps.
    workers : int
        Processes; 0 makes each batch when it is asked for.
    pin : bool
        Put batches where a GPU copies them fast from.

    Raises
    ------
    TrainingError
        The source has refused to make a batch, or a worker was ended from outside.
    """
    if workers == 0:
        yield from (source.batch(step) for step in range(first, last))
        return
    loader = DataLoader(
        _Steps(source),
        batch_size=None,
        sampler=range(first, last),
        num_workers=workers,
        prefetch_factor=4,
        pin_memory=pin,
        collate_fn=_as_it_is,
    )
    made = iter(loader)
    while True:
        try:
            batch = next(made)
        except StopIteration:
            return
        except RuntimeError as error:
            if _WORKER_ENDED.search(str(error)) is None:
                raise
            raise TrainingError(
                f"a process that makes batches was ended ({error}), for want of memory as a rule; "
                "give fewer run.workers, or 0, and the run goes on from where it was saved"
            ) from error
        if isinstance(batch, TrainingError):
            raise batch
        yield batch


class _Steps(Dataset[Batch | TrainingError]):
    """A batch source as a data set that is indexed by the step.

    What a source says when it refuses is handed over: raised in a worker, torch would put the
    worker's stack in its place.
    """

    def __init__(self, source: BatchSource) -> None:
        self.source = source

    def __getitem__(self, step: int) -> Batch | TrainingError:
        try:
            return self.source.batch(step)
        except CoverdexError as error:
            return TrainingError(str(error))


def _as_it_is(batch: Any) -> Any:
    return batch
