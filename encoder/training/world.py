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

    def __iter__(self) -> Iterator[tuple[Record, Chroma]]:
        """Yield record and chroma one performance at a time, sorted by performance id."""
        ...


class Evaluation(Protocol):
    """The result of an evaluation: :class:`coverdex.benchmarks.Evaluation` is one."""

    def summary(self) -> dict[str, Any]:
        """Give ``map``, ``mr1``, ``mrr``, ``hits_at_1``, ``hits_at_10`` and ``counts``."""
        ...


@dataclass(frozen=True)
class TrainingWorld:
    """What is handed down to a training run.

    Parameters
    ----------
    open_catalogue : callable
        ``open_catalogue(path, kind=...) -> Catalogue``: :func:`coverdex.indexer.open_catalogue`.
    evaluate_embeddings : callable
        ``evaluate_embeddings(embeddings (n, d) float32, works: Sequence[str]) -> Evaluation``:
        :func:`coverdex.benchmarks.evaluate_embeddings`.
    """

    open_catalogue: Callable[..., Catalogue]
    evaluate_embeddings: Callable[[NDArray[np.float32], Sequence[str]], Evaluation]
