"""Prefetch: batches made ahead in worker processes, in the order of their steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset

from .batch import Batch, BatchSource


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
    """
    if workers == 0:
        yield from (source.batch(step) for step in range(first, last))
        return
    yield from DataLoader(
        _Steps(source),
        batch_size=None,
        sampler=range(first, last),
        num_workers=workers,
        prefetch_factor=4,
        pin_memory=pin,
        collate_fn=_as_it_is,
    )


class _Steps(Dataset[Batch]):
    """A batch source as a data set that is indexed by the step."""

    def __init__(self, source: BatchSource) -> None:
        self.source = source

    def __getitem__(self, step: int) -> Batch:
        return self.source.batch(step)


def _as_it_is(batch: Any) -> Any:
    return batch
