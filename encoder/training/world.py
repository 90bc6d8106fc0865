"""The world above: what training needs from folders that it must not import.

Training reads catalogues, which :mod:`coverdex.indexer` opens, and measures MAP, which
:mod:`coverdex.benchmarks` computes. Imports run the other way, so whoever starts a training run
hands both down in one :class:`TrainingWorld`. On the command line that is :mod:`coverdex.cli`: the
``obj`` of its context is a function without arguments that returns it, called only by the commands
that need it.

The protocols below are the parts of those folders' types that training uses, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ..chroma import Chroma


class Record(Protocol):
    """A performance's metadata: :class:`coverdex.indexer.PerformanceRecord` is one."""

    @property
    def performance_id(self) -> str:
        """Unique in its catalogue."""
        ...

    @property
    def work_id(self) -> str | None:
        """The work that it performs, where known."""
        ...

    @property
    def title(self) -> str | None:
        """Its title, where known."""
        ...


class Catalogue(Protocol):
    """Performances and their chroma: :class:`coverdex.indexer.Catalogue` is one."""

    @property
    def performances(self) -> Sequence[Record]:
        """Records of all that is to be read, sorted by performance id."""
        ...

    def __iter__(self) -> Iterator[tuple[Record, Chroma]]:
        """Yield record and chroma one performance at a time, sorted by performance id."""
        ...


class Evaluation(Protocol):
    """The result of an evaluation: :class:`coverdex.benchmarks.Evaluation` is one."""

    def summary(self) -> dict[str, Any]:
        """Give ``map``, ``mr1``, ``mrr``, ``hits_at_1``, ``hits_at_10`` and ``counts``."""
        ...


class WorkList(Protocol):
    """Performances and their works: :class:`coverdex.benchmarks.work_lists.WorkList` is one."""

    @property
    def performances(self) -> list[str]:
        """Ids, each once."""
        ...

    @property
    def works(self) -> list[str | None]:
        """Work of each; None where it is unknown."""
        ...


@dataclass(frozen=True)
class TrainingWorld:
    """What is handed down to a training run.

    Parameters
    ----------
    open_catalogue : callable
        ``open_catalogue(path, kind=..., subset=...) -> Catalogue``:
        :func:`coverdex.indexer.open_catalogue`.
    evaluate_embeddings : callable
        ``evaluate_embeddings(embeddings (n, d) float32, works: Sequence[str]) -> Evaluation``:
        :func:`coverdex.benchmarks.evaluate_embeddings`.
    read_work_list : callable, optional
        ``read_work_list(path) -> WorkList``:
        :func:`coverdex.benchmarks.work_lists.read_work_list`, for data that a benchmark must not
        share.
    """

    open_catalogue: Callable[..., Catalogue]
    evaluate_embeddings: Callable[[NDArray[np.float32], Sequence[str]], Evaluation]
    read_work_list: Callable[[Path], WorkList] | None = None
